#!/usr/bin/env python3
"""Write a network as one ONNX graph with its model card."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

EXAMPLES = """examples:
  python tools/export_onnx.py --config config/models/rsb_pose_edge.yaml --checkpoint runs/edge/final.pt \\
      --record config/records/rsb_pose_edge.json -o models/rsb_pose_edge.onnx
  python tools/export_onnx.py --transformer runs/ppt/best.pt -o models/ppt.onnx         # the refiner alone
  python tools/export_onnx.py --config config/models/rsb_pose_r50.yaml --untrained -o out/r50.onnx
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="network configuration; left out: export the transformer alone")
    parser.add_argument(
        "--checkpoint", type=Path, help="co-keypoint weights (tools/train.py sce), or an exported float32 .onnx"
    )
    parser.add_argument("--transformer", type=Path, help="pose transformer weights (tools/train.py ppt)")
    parser.add_argument("--untrained", action="store_true", help="random weights, for trying out a configuration")
    parser.add_argument("--record", type=Path, help="JSON with the card's licence, attribution, training")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        card = export(arguments)
    except (OSError, ValueError) as error:
        print(f"export_onnx: {error}", file=sys.stderr)
        return 2
    megabytes = arguments.output.stat().st_size / 1e6
    print(
        f"{arguments.output}: {megabytes:.1f} MB, sha256 {card.sha256[:12]}…, card {arguments.output.with_suffix('.json')}"
    )
    return 0


def export(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    from rsb_pose_ros.model import ModelConfig, PoseTransformer, RSBPose
    from rsb_pose_ros.model.config import TransformerConfig
    from rsb_pose_ros.training import checkpoint
    from rsb_pose_ros.training.export import export_pose_prior, export_stereo_pose
    from rsb_pose_ros.training.exported_weights import load_start

    record = {"licence": "Apache-2.0", "training": {"state": "untrained"}}
    if arguments.record:
        record = json.loads(arguments.record.read_text())
    record.setdefault("measured", {})
    prior = checkpoint.load(arguments.transformer) if arguments.transformer else None
    if arguments.config is None:
        if prior is None:
            raise ValueError("neither --config nor --transformer given; expected at least one of them")
        transformer = PoseTransformer(TransformerConfig(**prior["config"]))
        transformer.load_state_dict(prior["average"])
        note(record, prior)
        return export_pose_prior(transformer, arguments.output, prior["config"], record)
    model = RSBPose(ModelConfig.from_yaml(arguments.config))
    if arguments.checkpoint:
        weights = load_start(arguments.checkpoint)
        parts = weights["average"]
        if prior is not None:
            # The co-keypoint run carries an untrained transformer, perhaps of another size.
            parts = {name: value for name, value in parts.items() if not name.startswith("transformer.")}
            parts |= {f"transformer.{name}": value for name, value in prior["average"].items()}
        model.load_state_dict(parts)
        note(record, weights)
    elif not arguments.untrained:
        raise ValueError("no --checkpoint given; expected trained weights, or --untrained")
    elif prior is not None:
        model.transformer.load_state_dict(prior["average"])
    return export_stereo_pose(model, arguments.output, record)


def note(record: dict, weights: dict) -> None:
    """Put into the card what the checkpoint knows of its own making."""
    record["training"] = {
        **record["training"],
        **{k: weights[k] for k in ("pairs", "step", "code_version") if k in weights},
    }
    if "measured" in weights:
        command = "tools/train.py finish (synthetic pairs with held-out bodies, motions and textures)"
        record["measured"] = {"command": command, **{k: round(v, 3) for k, v in weights["measured"].items()}}


if __name__ == "__main__":
    sys.exit(main())
