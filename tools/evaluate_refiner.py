#!/usr/bin/env python3
"""Measure a pose refiner: on recorded poses with ground truth, and on clean motion capture that it must not spoil.

Recorded poses are an .npz with `triangulated` and `ground_truth` (N, 17, 3) in metres and `group` (N,). Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsb_pose_ros.inference import PoseRefiner

EXAMPLES = """examples:
  python tools/evaluate_refiner.py ../shared/mhad_refine/subject_a.npz
  python tools/evaluate_refiner.py ../shared/mhad_refine/subject_a.npz --model models/ppt_mhad.onnx --part held-out
  python tools/evaluate_refiner.py ../shared/mhad_refine/subject_a.npz --joints --groups --json out/ppt.json
  python tools/evaluate_refiner.py ../shared/mhad_refine/subject_a.npz --oracles          # bounds
  python tools/evaluate_refiner.py --mocap ../shared/mocap/val.npz                        # moved, and masked joints found
  python tools/evaluate_refiner.py ../shared/mhad_refine/subject_a.npz --mocap ../shared/mocap/val.npz --card

exit codes: 0 done, 2 arguments or inputs that cannot be used
"""
ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (("abs", "mpjpe_mm"), ("rel", "root_relative_mm"), ("PA", "pa_mpjpe_mm"), ("bones", "bone_length_mm"))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("poses", type=Path, nargs="?", help=".npz of triangulated and true poses")
    parser.add_argument("--mocap", type=Path, help="clean poses (../shared/mocap/val.npz)")
    parser.add_argument("--bodies", type=Path, default=Path("cache/bodies.npz"), help="tools/synthesize.py bake")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models/ppt.onnx", help="default: models/ppt.onnx of this checkout"
    )
    parser.add_argument(
        "--part",
        default="all",
        choices=("all", "training", "held-out"),
        help="frames: the first half of the time is for training, the second is held out",
    )
    parser.add_argument("--joints", action="store_true", help="each joint's mean error, before and after")
    parser.add_argument("--groups", action="store_true", help="each camera pair by itself")
    parser.add_argument("--errors", action="store_true", help="bias and spread of the input, per joint and axis")
    parser.add_argument("--oracles", action="store_true", help="what a refiner could reach that knew part of the truth")
    parser.add_argument("--json", type=Path, help="write the figures")
    parser.add_argument("--card", action="store_true", help="write the figures into the model's card")
    arguments = parser.parse_args()
    from rsb_pose_ros.inference import ModelError

    try:
        return evaluate(arguments)
    except (ModelError, OSError, ValueError) as error:
        print(f"evaluate_refiner: {error}", file=sys.stderr)
        return 2


def evaluate(arguments: argparse.Namespace) -> int:
    from rsb_pose_ros.inference import PoseRefiner

    if arguments.poses is None and arguments.mocap is None:
        raise ValueError("neither recorded poses nor --mocap given; expected at least one of them")
    refiner = PoseRefiner(arguments.model)
    record: dict[str, Any] = {}
    if arguments.poses is not None:
        record |= {"recorded": f"{arguments.poses.name}, {arguments.part} frames", **on_recorded(arguments, refiner)}
    if arguments.mocap is not None:
        record["clean"] = on_clean(arguments, refiner)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(record, indent=2) + "\n")
    if arguments.card:
        write_to_card(arguments.model, refiner, record)
    return 0


def on_recorded(arguments: argparse.Namespace, refiner: PoseRefiner) -> dict[str, Any]:
    from rsb_pose_ros.data.recorded_poses import RecordedPoses
    from rsb_pose_ros.evaluation.refinement import before_and_after, error_statistics, oracles
    from rsb_pose_ros.evaluation.report import accuracy

    poses = RecordedPoses.load(arguments.poses).part(arguments.part)
    figures = before_and_after(poses, refiner.refine)
    print(f"{arguments.poses.name}, {arguments.part} frames: {len(poses)} poses; mean errors in mm")
    show(figures)
    if arguments.groups:
        for group in sorted({int(g) for g in poses.group}):
            print(f"\ncamera pair {group}")
            show(before_and_after(poses[poses.group == group], refiner.refine))
    if arguments.joints:
        print(f"\n{'joint':12}{'triangulated':>14}{'refined':>10}")
        for joint, before in figures["triangulated"]["per_joint_mm"].items():
            print(f"{joint:12}{before:>14.1f}{figures['refined']['per_joint_mm'][joint]:>10.1f}")
    if arguments.errors:
        print(
            "\nerror of the input, mm: bias ± spread along x (right), y (down), z (away); mean distance; 95th percentile"
        )
        for row in error_statistics(poses):
            axes = "  ".join(f"{row[f'bias_{a}']:6.1f} ±{row[f'std_{a}']:5.1f}" for a in "xyz")
            print(f"{row['joint']:12}{axes}  {row['mean']:6.1f} {row['p95']:6.1f}")
    if arguments.oracles:
        print()
        show({name: accuracy(joints, poses.truth) for name, joints in oracles(poses).items()})
    return figures


def on_clean(arguments: argparse.Namespace, refiner: PoseRefiner) -> dict[str, Any]:
    from rsb_pose_ros.data.synthetic.poses import load_poses
    from rsb_pose_ros.evaluation.refinement import on_clean_poses

    figures = on_clean_poses(load_poses(arguments.mocap, arguments.bodies, split="val"), refiner.refine)
    print(
        f"\n{arguments.mocap.name}, {figures['poses']} clean poses: joints moved by {figures['moved_mm']:.2f} mm on average;"
    )
    print(f"one to five masked joints found within {figures['masked_median_mm']:.1f} mm (median)")
    if arguments.joints:
        print("  ".join(f"{name} {value:.0f}" for name, value in figures["masked_per_joint_mm"].items()))
    return figures


def write_to_card(model: Path, refiner: PoseRefiner, record: dict[str, Any]) -> None:
    from dataclasses import replace

    from rsb_pose_ros.inference.card import write_card

    measured: dict[str, Any] = {"command": "tools/evaluate_refiner.py"}
    if "recorded" in record:
        measured["recorded"] = record["recorded"]
        for kind in ("triangulated", "refined"):
            measured |= {f"{kind}_{label.lower()}_mm": round(record[kind][key], 2) for label, key in COLUMNS[:3]}
    if "clean" in record:
        measured["clean_moved_mm"] = round(record["clean"]["moved_mm"], 2)
        measured["masked_median_mm"] = round(record["clean"]["masked_median_mm"], 1)
    write_card(replace(refiner.card, measured=measured), model)


def show(rows: Mapping[str, Mapping]) -> None:
    width = max(len(name) for name in rows) + 2
    print(" " * width + "".join(f"{label:>8}" for label, _ in COLUMNS))
    for name, figures in rows.items():
        print(f"{name:{width}}" + "".join(f"{figures[key]:8.2f}" for _, key in COLUMNS))


if __name__ == "__main__":
    sys.exit(main())
