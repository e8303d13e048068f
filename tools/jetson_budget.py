#!/usr/bin/env python3
"""Compute what a model costs on Jetsons, on paper: products, bytes, kernels, and the least time. Measures nothing.

examples:
  python tools/jetson_budget.py models/rsb_pose_edge.onnx
  python tools/jetson_budget.py models/*edge*.onnx --worst 10      # with the ten kernels that take longest
  python tools/jetson_budget.py models/rsb_pose_edge.onnx --no-fp16 --json out/budget.json

exit codes: 0 done, 2 a file cannot be read, or its shapes vary
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ros2_ws/src"))

if TYPE_CHECKING:
    from rsb_pose_ros.benchmark.on_paper import Kernel


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="ONNX files of static shape")
    parser.add_argument(
        "--no-fp16", action="store_true", help="TensorRT may not compute in FP16 (tensorrt_fp16: false)"
    )
    parser.add_argument(
        "--worst", type=int, default=0, metavar="N", help="print the N slowest kernels of the first board"
    )
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()

    import onnx

    from rsb_pose_ros.benchmark.on_paper import BOARDS, kernels, summary
    from rsb_pose_ros.inference import ModelError

    budgets = {}
    for path in arguments.models:
        try:
            found = kernels(onnx.load(path), half=not arguments.no_fp16)
        except (ModelError, OSError) as error:
            print(f"jetson_budget: {path}: {error}", file=sys.stderr)
            return 2
        except Exception as error:  # protobuf's own types differ between its versions
            print(f"jetson_budget: {path}: is no ONNX file ({type(error).__name__}); export it again", file=sys.stderr)
            return 2
        budgets[str(path)] = summary(found)
        print(text(path, budgets[str(path)]))
        for kernel in sorted(found, key=lambda k: -k.seconds(BOARDS[0])[0])[: arguments.worst]:
            print(line(kernel))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(budgets, indent=2) + "\n")
    return 0


def text(path: Path, budget: dict[str, Any]) -> str:
    """One file's figures."""
    products = ", ".join(f"{v:.3f} {k}" for k, v in budget["gmac"].items())
    moved = ", ".join(f"{v:.1f} {k}" for k, v in budget["megabytes"].items())
    lines = [
        f"{path} (computed, not measured)",
        f"  GMAC by unit: {products}; MB read and written: {moved}; {budget['kernels']} kernels",
        f"  {'least time, ms':24}{'sum':>8}{'arithmetic':>12}{'memory':>9}{'launch':>9}",
    ]
    for name, times in budget["milliseconds"].items():
        parts = "".join(f"{times[k]:{w}.2f}" for k, w in (("sum", 8), ("arithmetic", 12), ("memory", 9), ("launch", 9)))
        lines.append(f"  {name:24}{parts}")
    return "\n".join(lines)


def line(kernel: Kernel) -> str:
    """One kernel."""
    from rsb_pose_ros.benchmark.on_paper import BOARDS

    seconds, limit = kernel.seconds(BOARDS[0])
    return (
        f"    {1e6 * seconds:7.1f} µs, {limit:10} {kernel.macs / 1e6:8.2f} MMAC {kernel.unit if kernel.macs else '':10} "
        f"{sum(kernel.bytes.values()) / 1e6:6.2f} MB  {kernel.nodes[0]}"
    )


if __name__ == "__main__":
    sys.exit(main())
