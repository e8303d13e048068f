#!/usr/bin/env python3
"""Measure how honest a model's covariance is on rendered pairs, and write what it lacks into the model's card.

What is published is then right at every confidence: 68 % of the joints lie within one stated standard deviation. The model
file itself stays as it is. Run it on every file, an INT8 one too: each is sure of itself in its own way.

examples:
  tools/calibrate_uncertainty.py models/rsb_pose_edge.onnx
  tools/calibrate_uncertainty.py models/*edge*.onnx --pairs 1200
  tools/calibrate_uncertainty.py out/mine.onnx --data my_rig.yaml --check      # show it, change nothing
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))

if TYPE_CHECKING:
    from rsb_pose_ros.evaluation.breakdown import WindowTable

FIRST_SEED = 1_900_000_000
"""Held-out people, rooms and textures, and none of synthetic-test's pairs."""


def main() -> int:
    """0: done; 2: something was missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files with their cards beside them")
    parser.add_argument("--pairs", type=int, default=800, help="three quarters of them fit, one quarter judges")
    parser.add_argument("--check", action="store_true", help="leave the cards as they are")
    parser.add_argument("--data", type=Path, default=ROOT / "config/synthetic.yaml", help="ranges of the pairs")
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="tools/synthesize.py bake")
    parser.add_argument(
        "--shared",
        type=Path,
        default=Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared")),
        help="mocap/, backgrounds/ (default $RSB_POSE_SHARED or ../shared)",
    )
    parser.add_argument("--providers", nargs="+", default=["auto"])
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0 leaves it to it")
    arguments = parser.parse_args()
    try:
        for model in arguments.models:
            calibrate(model, arguments)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calibrate_uncertainty: {error}", file=sys.stderr)
        return 2
    return 0


def calibrate(model: Path, arguments: argparse.Namespace) -> None:
    import numpy as np

    from rsb_pose_ros.evaluation.honesty import comparison, fit_honesty
    from rsb_pose_ros.inference.card import STEREO_POSE, read_card, write_card

    table = answers(model, arguments)
    fits = np.arange(len(table.present)) < len(table.present) * 3 // 4
    honesty, judged = fit_honesty(table.only(fits)), table.only(~fits)
    print(f"{model.name}: joints within one standard deviation along x, y and depth, %; 68 is honest")
    print(f"{'confidence':>12} {'joints':>7}   {'of the network':>15}   {'as published':>15}")
    for row in comparison(judged, honesty):
        shares = ["".join(f"{100 * row[f'{name}_{a}']:5.0f}" for a in "xyz") for name in ("network", "published")]
        print(f"{row['from']:6.1f}–{row['to']:3.1f}  {row['joints']:7d}   {shares[0]:>15}   {shares[1]:>15}")
    if not arguments.check:
        card = read_card(model, STEREO_POSE)
        print(f"written: {write_card(replace(card, uncertainty=honesty.record()), model)}")


def answers(model: Path, arguments: argparse.Namespace) -> WindowTable:
    """What the model says of rendered pairs, its covariance as the network states it."""
    import cv2
    import numpy as np
    from tqdm import tqdm

    from rsb_pose_ros.data.synthetic.config import SyntheticConfig
    from rsb_pose_ros.data.synthetic.generator import SyntheticPairs
    from rsb_pose_ros.evaluation.breakdown import observe
    from rsb_pose_ros.evaluation.onnx_windows import OnnxWindows

    cv2.setNumThreads(1)
    network = OnnxWindows(model, arguments.providers, arguments.threads, as_stated=True)
    ranges = SyntheticConfig.from_yaml(arguments.data, network.size)
    generator = SyntheticPairs(ranges, arguments.shared, arguments.bodies, split="val")
    names = ("crops", "projections", "joints", "keypoints", "visibility", "present", "search")

    def batches():  # type: ignore[no-untyped-def]
        for seed in tqdm(range(FIRST_SEED, FIRST_SEED + arguments.pairs), desc=model.name, unit="pair"):
            sample = generator.sample(seed)
            yield {name: np.asarray(getattr(sample, name))[None] for name in names}

    return observe(network, batches())


if __name__ == "__main__":
    sys.exit(main())
