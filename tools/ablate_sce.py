#!/usr/bin/env python3
"""Ablations of the co-keypoints: short trainings on the same remembered features that differ in one thing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))

EXAMPLES = """examples:
  python tools/ablate_sce.py features --output runs/sce_ablation --pairs 3000         # once: 1.4 MB on the disk for each
  python tools/ablate_sce.py train --output runs/sce_ablation --steps 500
  python tools/ablate_sce.py train --output runs/sce_ablation --only base "no attention mask"
  python tools/ablate_sce.py table --output runs/sce_ablation --into docs/accuracy.md

Trainings that were cut go on when started again; several commands may train different variants at the same time.
Exit codes: 0 done, 2 arguments or inputs that cannot be used.
"""
FIRST_SEED = 2_700_000_000
"""Of the pairs that are trained on; no other training reaches them."""
HELD_OUT_SEED = 2_020_000_000
COLUMNS = (
    ("joints right", "right", "{:.1%}"),
    ("keypoints, median px", "keypoint_median_px", "{:.2f}"),
    ("disparity, median px", "disparity_median_px", "{:.2f}"),
    ("disparity, mean px", "disparity_mean_px", "{:.2f}"),
    ("triangulated, median mm", "triangulated_median_mm", "{:.0f}"),
    ("triangulated, mean mm", "triangulated_mean_mm", "{:.0f}"),
)
MARKER = "ablate_sce"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    features = commands.add_parser("features", help="render pairs and keep what the backbone makes of them")
    train = commands.add_parser("train", help="train variants and judge them")
    table = commands.add_parser("table", help="print what trained variants are worth")
    for command in (features, train, table):
        command.add_argument("--output", type=Path, required=True, help="folder of features, checkpoints, figures")
    for command in (features, train):
        command.add_argument("--config", type=Path, default=ROOT / "config/models/rsb_pose_edge.yaml")
        command.add_argument(
            "--start", type=Path, default=ROOT / "models/rsb_pose_edge.onnx", help="network whose backbone it is"
        )
        command.add_argument("--threads", type=int, default=1)
    features.add_argument("--pairs", type=int, default=3000, help="to train on (default 3000)")
    features.add_argument("--held-out-pairs", type=int, default=400, help="to judge on (default 400)")
    features.add_argument("--workers", type=int, default=1, help="rendering processes")
    features.add_argument("--data", type=Path, default=ROOT / "config/synthetic.yaml", help="ranges of the pairs")
    features.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="tools/synthesize.py bake")
    features.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared"))
    )
    train.add_argument("--steps", type=int, default=500, help="of each variant (default 500)")
    train.add_argument("--batch", type=int, default=16)
    train.add_argument("--rate", type=float, default=1e-3)
    train.add_argument("--only", nargs="+", metavar="NAME", help="some of the variants")
    table.add_argument("--into", type=Path, help="page whose `<!-- ablate_sce -->` table is renewed")
    arguments = parser.parse_args()
    try:
        return {"features": write_features, "train": train_variants, "table": print_table}[arguments.command](arguments)
    except (OSError, ValueError) as error:
        print(f"ablate_sce: {error}", file=sys.stderr)
        return 2


def write_features(arguments: argparse.Namespace) -> int:
    import torch

    from rsb_pose_ros.data.synthetic.dataset import SyntheticPairsDataset
    from rsb_pose_ros.model import ModelConfig, RSBPose
    from rsb_pose_ros.training.co_keypoint_ablation import remember
    from rsb_pose_ros.training.co_keypoints import load_weights
    from rsb_pose_ros.training.exported_weights import load_start

    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    if min(arguments.pairs, arguments.held_out_pairs) < 1:
        raise ValueError(f"--pairs {arguments.pairs} --held-out-pairs {arguments.held_out_pairs}; expected at least 1")
    model = RSBPose(ModelConfig.from_yaml(arguments.config))
    load_weights(model, load_start(arguments.start)["average"])
    data = (arguments.data, arguments.shared, arguments.bodies, model.config.image_size)
    for name, split, seed, pairs in (
        ("train", "train", FIRST_SEED, arguments.pairs),
        ("held_out", "val", HELD_OUT_SEED, arguments.held_out_pairs),
    ):
        dataset = SyntheticPairsDataset(*data, split, seed=seed)
        remember(model, dataset, pairs, arguments.output / "features" / name, arguments.workers)
    return 0


def train_variants(arguments: argparse.Namespace) -> int:
    import torch

    from rsb_pose_ros.model import ModelConfig
    from rsb_pose_ros.training.co_keypoint_ablation import VARIANTS, figures, remembered, train_variant
    from rsb_pose_ros.training.co_keypoints import Plan

    names = arguments.only or [variant.name for variant in VARIANTS]
    unknown = sorted(set(names) - {variant.name for variant in VARIANTS})
    if unknown:
        raise ValueError(f"no variant {', '.join(unknown)}; known are {', '.join(v.name for v in VARIANTS)}")
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    config = ModelConfig.from_yaml(arguments.config)
    plan = Plan(steps=arguments.steps, batch=arguments.batch, rate=arguments.rate)
    seen, held_out = (remembered(arguments.output / "features" / name) for name in ("train", "held_out"))
    for variant in VARIANTS:
        if variant.name in names:
            model = train_variant(variant, config, plan, arguments.output, arguments.start, seen)
            row = {"steps": plan.steps, "batch": plan.batch, "pairs": len(seen["joints"]), **figures(model, held_out)}
            row["held_out_pairs"] = len(held_out["joints"])
            path = arguments.output / variant.name.replace(" ", "_") / "figures.json"
            path.write_text(json.dumps(row, indent=2) + "\n")
    return print_table(arguments)


def print_table(arguments: argparse.Namespace) -> int:
    from rsb_pose_ros.benchmark.markdown import insert, table
    from rsb_pose_ros.training.co_keypoint_ablation import VARIANTS

    rows = {}
    for variant in VARIANTS:
        path = arguments.output / variant.name.replace(" ", "_") / "figures.json"
        if path.exists():
            rows[variant.name] = json.loads(path.read_text())
    if not rows:
        raise ValueError(f"{arguments.output} holds no figures; expected those that `train` writes")
    one = next(iter(rows.values()))
    same = ("steps", "batch", "pairs", "held_out_pairs")
    if odd := [name for name, row in rows.items() if any(row[key] != one[key] for key in same)]:
        raise ValueError(
            f"{arguments.output}: {', '.join(odd)} differ from the first in {', '.join(same)}; expected one of each"
        )
    head = (
        f"{one['steps']} steps of {one['batch']} of the same {one['pairs']} pairs, judged on {one['held_out_pairs']} "
        "others:"
    )
    cells = [[name, *(form.format(row[key]) for _, key, form in COLUMNS)] for name, row in rows.items()]
    text = "\n".join([head, "", table(["variant", *(label for label, _, _ in COLUMNS)], cells)])
    print(text)
    if getattr(arguments, "into", None):
        insert(arguments.into, MARKER, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
