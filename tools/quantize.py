#!/usr/bin/env python3
"""Make an INT8 model (explicit Q/DQ) of a float32 stereo_pose model, and say what it costs in accuracy.

The ranges come from the crops which the estimator itself cuts from a recording (coarse windows and closer looks).
Convolutions become INT8; the softmax over the volume and everything behind it stay float32. Prints a table before /
after; with ground truth in the recording, also the accuracy of both. Needs no ROS.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

EXAMPLES = """examples:
  python tools/quantize.py models/rsb_pose_edge.onnx --calibration tests/fixtures/demo_bag
  python tools/quantize.py models/rsb_pose_edge.onnx --calibration my_robot.mcap -o models/mine.onnx --pairs 100
  python tools/quantize.py models/rsb_pose_edge.onnx --calibration stills/ --target cpu
  python tools/quantize.py models/rsb_pose_edge.onnx --calibration bag/ --keep-float32 backbone/stem regressor/volume

calibration: a rosbag2 (folder, .mcap, .db3), or a folder with calibration.yaml, left/*.png, right/*.png
targets: jetson: S8S8, zero points 0, float biases (TensorRT);  cpu: U8S8 (ONNX Runtime on x86 or Arm)

exit codes: 0 done, 2 arguments or inputs that cannot be used
"""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="float32 .onnx with its card")
    parser.add_argument("--calibration", type=Path, required=True, help="recording or folder with stereo pairs")
    parser.add_argument("-o", "--output", type=Path, help="default: the model's name with _int8")
    parser.add_argument("--pairs", type=int, default=60, help="pairs to calibrate with, spread evenly (default 60)")
    parser.add_argument("--target", choices=("jetson", "cpu"), default="jetson")
    parser.add_argument(
        "--keep-float32", nargs="+", default=[], metavar="PATTERN", help="regular expressions of operators"
    )
    parser.add_argument("--float-weights", action="store_true", help="weights float32 behind Q/DQ (TensorRT before 10)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads for the comparison")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    from rsb_pose_ros.bags import BagError
    from rsb_pose_ros.inference import ModelError
    from rsb_pose_ros.stereo import CalibrationError

    try:
        run(arguments)
    except (BagError, CalibrationError, ModelError, ValueError, OSError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 2
    return 0


def open_pairs(path: Path) -> AbstractContextManager[Any]:
    """A recording, or a folder of pictures."""
    from rsb_pose_ros.bags import StereoBag
    from rsb_pose_ros.bags.folder import StereoFolder

    if path.is_dir() and (path / "calibration.yaml").exists():
        return StereoFolder(path)
    return StereoBag(path)


def run(arguments: argparse.Namespace) -> None:
    import onnx
    from tqdm import tqdm

    from rsb_pose_ros.inference import ModelError, StereoPoseEstimator
    from rsb_pose_ros.inference.quantization import choose_nodes, collect_crops, quantize

    output = arguments.output or arguments.model.with_name(f"{arguments.model.stem}_int8.onnx")
    if output.resolve() == arguments.model.resolve():
        raise ValueError(f"output {output} is the model itself; expected another file")
    if arguments.pairs < 1:
        raise ValueError(f"--pairs is {arguments.pairs}; expected at least 1")
    with open_pairs(arguments.calibration) as source:
        if not source.pair_count:
            raise ValueError(f"{arguments.calibration}: holds no stereo pairs; expected some with people in them")
        estimator = StereoPoseEstimator(arguments.model, source.rig(), threads=arguments.threads)
        choose_nodes(onnx.load(arguments.model), ("Conv",), source=str(arguments.model))  # fail before the long part
        total = min(arguments.pairs, source.pair_count)
        pairs = tqdm(source.pairs(limit=total), total=total, unit="pair", disable=not sys.stderr.isatty())
        samples, found = collect_crops(estimator, pairs)
    if not found:
        raise ModelError(
            f"{arguments.calibration}: nobody was found in {total} pairs; expected people, whose crops set the ranges"
        )
    print(f"calibration: {len(samples)} crops of {total} pairs, somebody found in {found}")
    output.parent.mkdir(parents=True, exist_ok=True)
    record = quantize(
        arguments.model, output, samples, arguments.target, arguments.keep_float32, arguments.float_weights
    )
    record["calibration_data"] = str(arguments.calibration.name)
    record["calibration_pairs"] = total
    write_card_of(arguments.model, output, record)
    comparison = compare(arguments, output, samples)
    write_card_of(arguments.model, output, record, comparison)
    print(f"written {output} and {output.with_suffix('.json')}")


def write_card_of(model: Path, output: Path, record: dict, comparison: dict | None = None) -> None:
    """The float32 model's card with the new name and hash, what was done, and what was measured."""
    from dataclasses import replace

    from rsb_pose_ros.inference.card import STEREO_POSE, read_card, sha256_of, write_card

    card = read_card(model, STEREO_POSE)
    measured = {"float32_model": card.measured, **({"against_float32": comparison} if comparison else {})}
    configuration = {**card.configuration, "quantization": {**record, "float32_sha256": card.sha256}}
    quantized = replace(
        card, name=output.stem, sha256=sha256_of(output), configuration=configuration, measured=measured
    )
    write_card(quantized, output)


def compare(arguments: argparse.Namespace, output: Path, samples: list) -> dict[str, Any]:
    """Print the table and return its numbers."""
    import numpy as np

    from rsb_pose_ros.evaluation.comparison import answers, differences
    from rsb_pose_ros.inference.quantization import operator_counts

    models = (arguments.model, output)
    (before, after), seconds = answers(models, samples, threads=arguments.threads)
    result: dict[str, Any] = {key: round(value, 4) for key, value in differences(before, after).items()}
    result["size_mb"] = [round(m.stat().st_size / 1e6, 3) for m in models]
    result["cpu_p50_ms"] = [round(1000 * float(np.median(s)), 2) for s in seconds]
    result["mpjpe_mm"] = [accuracy(arguments, m) for m in models]
    counts = [operator_counts(m) for m in models]
    rows = [
        ("file, MB", *result["size_mb"]),
        ("CPU latency p50, ms", *result["cpu_p50_ms"]),
        ("MPJPE of the recording, mm", *(m if m is not None else "no truth" for m in result["mpjpe_mm"])),
        *((f"operators: {k}", counts[0].get(k, 0), counts[1].get(k, 0)) for k in _INTERESTING),
        ("operators: all", sum(counts[0].values()), sum(counts[1].values())),
    ]
    print(f"\n{'':32}{'float32':>12}{'int8':>12}")
    for name, *values in rows:
        print(f"{name:32}" + "".join(f"{value:>12}" for value in values))
    print(
        f"\njoints differ by {result['joint_mean_mm']:.1f} mm on average, {result['joint_p95_mm']:.1f} mm at the 95th "
        f"percentile, {result['joint_max_mm']:.1f} mm at most ({result['joints_compared']} sure joints)"
        f"\nkeypoints by {result['keypoint_mean_px']:.2f} crop pixels on average; confidence by "
        f"{result['confidence_mean']:.3f}"
    )
    return result


_INTERESTING = ("Conv", "QuantizeLinear", "DequantizeLinear")


def accuracy(arguments: argparse.Namespace, model: Path) -> float | None:
    """MPJPE of a model over the recording in mm, or None without ground truth."""
    import numpy as np

    from rsb_pose_ros.evaluation.metrics import distances, mean
    from rsb_pose_ros.evaluation.run import observe, tabulate
    from rsb_pose_ros.inference import StereoPoseEstimator

    with open_pairs(arguments.calibration) as source:
        if not getattr(source, "truth_count", 0):
            return None
        rig = source.rig()
        estimator = StereoPoseEstimator(model, rig, threads=arguments.threads)
        table = tabulate(observe(estimator, source.pairs()), rig)
    error = 1000 * mean(distances(table.joints, table.truth))
    return round(error, 2) if np.isfinite(error) else None


if __name__ == "__main__":
    sys.exit(main())
