#!/usr/bin/env python3
"""Hold ONNX files against TensorRT's rules, without TensorRT: what it would refuse, or run in another precision.

examples:
  python tools/check_tensorrt.py models/rsb_pose_edge_int8.onnx
  python tools/check_tensorrt.py models/*.onnx --json out/tensorrt.json

exit codes: 0 all rules met, 1 a file breaks some, 2 a file cannot be read
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ros2_ws/src"))

if TYPE_CHECKING:
    from rsb_pose_ros.quantization.tensorrt_rules import Report
SHOWN = 8
"""Violations that are printed of each file."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="ONNX files")
    parser.add_argument(
        "--variable-batch",
        action="store_true",
        help="a leading dimension named `batch` may vary, also where no card says so",
    )
    parser.add_argument("--json", type=Path, help="write the findings there")
    arguments = parser.parse_args()

    from rsb_pose_ros.inference import ModelError
    from rsb_pose_ros.quantization.tensorrt_rules import check

    reports = {}
    for model in arguments.models:
        try:
            reports[str(model)] = check(model, arguments.variable_batch)
        except ModelError as error:
            print(f"check_tensorrt: {error}", file=sys.stderr)
            return 2
        print(text(model, reports[str(model)]))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({m: asdict(r) for m, r in reports.items()}, indent=2) + "\n")
    return int(any(report.violations for report in reports.values()))


def text(model: Path, report: Report) -> str:
    """One file's findings."""
    from rsb_pose_ros.quantization.tensorrt_rules import alignment_lines

    verdict = f"{len(report.violations)} violations" if report.violations else "meets the rules"
    lines = [f"{model}: {verdict}; {report.int8} of {report.heavy} convolutions and matrix products in INT8"]
    lines += [f"  ✗ {sentence}" for sentence in report.violations[:SHOWN]]
    if len(report.violations) > SHOWN:
        lines.append(f"  … and {len(report.violations) - SHOWN} more (--json has them all)")
    lines += [f"  note: {sentence}" for sentence in report.notes]
    lines += [f"  {line}" for line in alignment_lines(report)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
