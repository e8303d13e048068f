#!/usr/bin/env python3
"""Ablations of the pose transformer: short trainings that differ in one thing, trials of one network, attention maps."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

EXAMPLES = """examples:
  python tools/ablate_ppt.py train --steps 1500 --recorded ../shared/mhad_refine/subject_a.npz --output runs/ablations
  python tools/ablate_ppt.py train --only base "depth 16" --output runs/ablations
  python tools/ablate_ppt.py trials --checkpoint runs/ppt/best.pt          # masking, passes, uncertainty, end-effectors
  python tools/ablate_ppt.py attention --checkpoint runs/ppt/best.pt -o docs/attention.png

Trainings that were cut go on when started again. Exit codes: 0 done, 2 arguments or inputs that cannot be used.
"""

TRAINED = (
    ("parameters", "parameters", "{:.0f}"),
    ("val abs", "val_refined_abs_mm", "{:.1f}"),
    ("val rel", "val_refined_rel_mm", "{:.1f}"),
    ("clean moved", "val_clean_moved_mm", "{:.2f}"),
    ("masked", "val_masked_mm", "{:.1f}"),
    ("rec. abs", "recorded_mpjpe_mm", "{:.2f}"),
    ("rec. rel", "recorded_root_relative_mm", "{:.2f}"),
    ("rec. PA", "recorded_pa_mpjpe_mm", "{:.2f}"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train variants and compare them")
    train.add_argument("--config", type=Path, default=Path("config/models/rsb_pose_edge.yaml"), help="the base network")
    train.add_argument("--steps", type=int, default=1500)
    train.add_argument("--batch", type=int, default=128)
    train.add_argument("--only", nargs="+", metavar="NAME", help="some of the variants")
    train.add_argument("--recorded", type=Path, help=".npz of recorded poses to measure on")
    trials = commands.add_parser("trials", help="ways to use one network")
    attention = commands.add_parser("attention", help="draw what joints look at")
    for command in (trials, attention):
        command.add_argument("--checkpoint", type=Path, required=True)
    for command in (train, attention):
        command.add_argument("-o", "--output", type=Path, required=True)
    for command in (train, trials, attention):
        command.add_argument("--bodies", type=Path, default=Path("cache/bodies.npz"), help="tools/synthesize.py bake")
        command.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
        command.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    try:
        return {"train": train_variants, "trials": try_network, "attention": draw_attention}[arguments.command](
            arguments
        )
    except (OSError, ValueError) as error:
        print(f"ablate_ppt: {error}", file=sys.stderr)
        return 2


def load(arguments: argparse.Namespace, name: str):  # type: ignore[no-untyped-def]
    import torch

    from rsb_pose_ros.data.synthetic.poses import load_poses

    split = Path(name).stem
    return torch.from_numpy(load_poses(arguments.shared / "mocap" / name, arguments.bodies, split=split))


def load_network(path: Path):  # type: ignore[no-untyped-def]
    from rsb_pose_ros.model import PoseTransformer
    from rsb_pose_ros.model.config import TransformerConfig
    from rsb_pose_ros.training import checkpoint

    content = checkpoint.load(path)
    model = PoseTransformer(TransformerConfig(**content["config"]))
    model.load_state_dict(content["average"])
    return model.eval()


def train_variants(arguments: argparse.Namespace) -> int:
    from rsb_pose_ros.data.recorded_poses import RecordedPoses
    from rsb_pose_ros.model import ModelConfig
    from rsb_pose_ros.training.pose_ablation import VARIANTS, figures, train_variant
    from rsb_pose_ros.training.pose_prior import Plan

    names = arguments.only or [variant.name for variant in VARIANTS]
    unknown = sorted(set(names) - {variant.name for variant in VARIANTS})
    if unknown:
        raise ValueError(f"no variant {', '.join(unknown)}; known are {', '.join(v.name for v in VARIANTS)}")
    config = ModelConfig.from_yaml(arguments.config).transformer
    plan = Plan(steps=arguments.steps, batch=arguments.batch, validate_every=arguments.steps)
    recorded = RecordedPoses.load(arguments.recorded) if arguments.recorded else None
    poses, held_out = load(arguments, "train.npz"), load(arguments, "val.npz")
    columns = TRAINED if recorded else TRAINED[:-3]
    rows = {}
    for variant in VARIANTS:
        if variant.name in names:
            model = train_variant(variant, config, plan, arguments.output, poses, held_out)
            rows[variant.name] = figures(model, held_out, recorded)
            (arguments.output / "figures.json").write_text(json.dumps(rows, indent=2) + "\n")
    print("| variant | " + " | ".join(label for label, _, _ in columns) + " |\n|---|" + "---|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(form.format(row[key]) for _, key, form in columns) + " |")
    return 0


def try_network(arguments: argparse.Namespace) -> int:
    from rsb_pose_ros.training.pose_ablation import trials

    print("| use | hidden joints, mm | seen joints, mm |\n|---|---|---|")
    for name, row in trials(load_network(arguments.checkpoint), load(arguments, "val.npz")).items():
        print(f"| {name} | {row['hidden']:.1f} | {row['seen']:.1f} |")
    return 0


def draw_attention(arguments: argparse.Namespace) -> int:
    from rsb_pose_ros.training.attention_figure import draw

    draw(load_network(arguments.checkpoint), load(arguments, "val.npz"), arguments.output)
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
