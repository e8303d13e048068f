#!/usr/bin/env python3
"""Run the estimator over a recorded stereo bag and say how accurate it is. Needs no ROS.

Reads a rosbag2 (folder, .mcap or .db3), finds the stereo topics, estimates every pair in order, and compares with
the recorded ground truth where there is some. Writes evaluation.json and evaluation.png.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = """examples:
  python tools/evaluate_bag.py tests/fixtures/demo_bag
  python tools/evaluate_bag.py recording.mcap --model models/rsb_pose_edge_int8.onnx --output out/int8
  python tools/evaluate_bag.py recording/ --provider tensorrt --provider cuda --pairs 300
  python tools/evaluate_bag.py recording/ --left-image /zed/left/image --right-image /zed/right/image \\
      --calibration left.yaml right.yaml

exit codes: 0 done, 1 no pairs or the evaluation failed, 2 arguments or inputs that cannot be used
"""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bag", type=Path, help="rosbag2 folder (with or without metadata.yaml), .mcap or .db3")
    parser.add_argument(
        "--model",
        type=Path,
        default=ROOT / "models/rsb_pose_edge.onnx",
        help="ONNX file with its card beside it, default: models/rsb_pose_edge.onnx of this checkout",
    )
    parser.add_argument("--output", type=Path, default=Path("out/evaluation"), help="folder, default: %(default)s")
    parser.add_argument("--pairs", type=int, help="stop after the first N pairs")
    parser.add_argument(
        "--provider", action="append", help="cpu, cuda, tensorrt or auto; repeat in order of preference"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: ONNX Runtime chooses")
    parser.add_argument("--min-confidence", type=float, help="so sure it must be that somebody is there, 0 to 1")
    parser.add_argument("--rectified", action="store_true", help="the images are rectified already")
    parser.add_argument(
        "--calibration", type=Path, nargs="+", metavar="YAML", help="instead of camera_info: 1 or 2 files"
    )
    for topic in ("left-image", "right-image", "left-info", "right-info", "ground-truth"):
        parser.add_argument(f"--{topic}", default="", metavar="TOPIC")
    parser.add_argument("--no-figure", action="store_true", help="write no picture (and need no matplotlib)")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    from rsb_pose_ros.bags import BagError
    from rsb_pose_ros.inference import ModelError
    from rsb_pose_ros.stereo import CalibrationError

    try:
        return evaluate(arguments)
    except (BagError, CalibrationError, ModelError, ValueError, OSError) as error:
        print(f"evaluate_bag: {error}", file=sys.stderr)
        return 2


def evaluate(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from rsb_pose_ros.bags import StereoBag
    from rsb_pose_ros.evaluation.report import summarise, table_text, write_json
    from rsb_pose_ros.evaluation.run import observe, tabulate
    from rsb_pose_ros.inference import StereoPoseEstimator
    from rsb_pose_ros.stereo import StereoRig

    if arguments.pairs is not None and arguments.pairs < 1:
        raise ValueError(f"--pairs is {arguments.pairs}; expected at least 1")
    if arguments.calibration and len(arguments.calibration) > 2:
        raise ValueError(f"--calibration names {len(arguments.calibration)} files; expected 1 or 2 (left, right)")
    topics = {
        t: getattr(arguments, t) for t in ("left_image", "right_image", "left_info", "right_info", "ground_truth")
    }
    options = {} if arguments.min_confidence is None else {"min_confidence": arguments.min_confidence}
    with StereoBag(arguments.bag, **topics) as bag:
        if arguments.calibration:
            rig = StereoRig.from_yaml(*arguments.calibration)
            rig = rig.with_rectified_input() if arguments.rectified else rig
        else:
            rig = bag.rig(rectified=arguments.rectified or None)
        if not bag.pair_count:
            print(
                f"evaluate_bag: {arguments.bag}: no stereo pairs: {bag.left_count} left and {bag.right_count} right "
                "pictures, none with stamps near each other; expected cameras that are triggered together",
                file=sys.stderr,
            )
            return 1
        estimator = StereoPoseEstimator(
            arguments.model, rig, providers=arguments.provider, threads=arguments.threads, exact_model=True, **options
        )
        total = min(bag.pair_count, arguments.pairs or bag.pair_count)
        strip = None if arguments.no_figure else _strip(rig, total)
        pairs = tqdm(islice(bag.pairs(), total), total=total, unit="pair", disable=not sys.stderr.isatty())
        observations = observe(estimator, pairs, strip)
    record = {
        "recording": {
            "path": str(arguments.bag),
            "left": bag.left_count,
            "right": bag.right_count,
            "pairs": bag.pair_count,
        },
        "model": {"name": estimator.card.name, "sha256": estimator.card.sha256, "providers": estimator.providers},
        **summarise(observations, tabulate(observations, rig)),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_json(record, arguments.output / "evaluation.json")
    print(f"{arguments.bag} with {estimator.card.name} on {estimator.providers[0]}\n{table_text(record)}")
    if strip is not None:
        _figure(arguments, observations, strip, record)
    print(f"written to {arguments.output}/")
    return 0


def _strip(rig, total):  # type: ignore[no-untyped-def]
    from rsb_pose_ros.evaluation.figures import PairStrip

    return PairStrip(rig, total)


def _figure(arguments, observations, strip, record) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    from rsb_pose_ros.evaluation.figures import write_figure

    poses = np.array([o.person.joints for o in observations if o.person is not None]).reshape(-1, 17, 3)
    title = (
        f"{arguments.bag.name}: {record['model']['name']}, {record['detection']['found']} of {len(observations)} pairs"
    )
    write_figure(arguments.output / "evaluation.png", strip.picture(), poses, record, title)


if __name__ == "__main__":
    sys.exit(main())
