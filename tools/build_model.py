#!/usr/bin/env python3
"""From a training's checkpoint to the files that a robot runs: float32, INT8 for TensorRT, INT8 for CPUs, calibrated cards.

Runs tools/train.py finish, tools/export_onnx.py, tools/quantize.py for both targets, tools/calibrate_uncertainty.py and
tools/calibrate_presence.py, one after the other, and prints each command, so that any of them can be repeated alone. More
than an hour on two cores.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = """examples:
  python tools/build_model.py runs/my_rig/last.pt --name my_rig --data my_rig.yaml --output out/my_rig
  python tools/build_model.py runs/edge_g/averaged.pt --transformer runs/ppt_edge/last.pt --name rsb_pose_edge \\
      --output models
  python tools/build_model.py runs/my_rig/last.pt --name my_rig --quick --dry-run           # what would be run

exit codes: 0 done, 2 arguments that cannot be used, otherwise that of the step that failed
"""
ROOT = Path(__file__).resolve().parents[1]
EDGE = ROOT / "config/models/rsb_pose_edge.yaml"
# Pairs that fit and measure, that judge INT8, that calibrate covariances, that tell people from coats; --quick takes as many
# as show that it works.
PAIRS = {"finish": 400, "calibration": 60, "held_out": 240, "uncertainty": 1200, "people": 600, "empty": 2400}
QUICK = {"finish": 8, "calibration": 4, "held_out": 8, "uncertainty": 120, "people": 60, "empty": 120}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="co-keypoints: tools/train.py sce, look, end_to_end or average")
    parser.add_argument("--name", required=True, help="of the files: NAME.onnx, NAME_int8.onnx, NAME_int8_cpu.onnx")
    parser.add_argument("--output", type=Path, default=Path("out/models"), help="folder (default out/models)")
    parser.add_argument("--config", type=Path, default=EDGE, help="network (default: the edge network)")
    parser.add_argument(
        "--transformer", type=Path, default=ROOT / "models/rsb_pose_edge.onnx",
        help="pose transformer: checkpoint of `ppt`, or a whole network's .onnx (default: the shipped one)",
    )  # fmt: skip
    parser.add_argument(
        "--record", type=Path, default=ROOT / "config/records/rsb_pose_edge.json",
        help="JSON with licence, attribution, training for the card (default: of the shipped weights; write your own)",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, default=ROOT / "config/synthetic.yaml", help="ranges of the pairs")
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="tools/synthesize.py bake")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="mocap/, backgrounds/")
    parser.add_argument("--quick", action="store_true", help="a handful of pairs each: to try it out")
    parser.add_argument("--dry-run", action="store_true", help="print the commands alone")
    arguments = parser.parse_args()
    missing = [p for p in (arguments.checkpoint, arguments.config, arguments.record, arguments.data) if not p.exists()]
    if missing:
        print(f"build_model: {missing[0]} not found; expected a file", file=sys.stderr)
        return 2
    steps = commands(arguments)
    for number, command in enumerate(steps, 1):
        print(f"[{number}/{len(steps)}] python {shlex.join(command)}", flush=True)
        if arguments.dry_run:
            continue
        started = time.monotonic()
        code = subprocess.run([sys.executable, *command], check=False).returncode
        if code != 0:
            print(f"build_model: step {number} ended with {code}; mend it and run the rest by hand", file=sys.stderr)
            return code
        print(f"      {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return 0


def commands(arguments: argparse.Namespace) -> list[list[str]]:
    """Each step's arguments behind `python`."""
    pairs = QUICK if arguments.quick else PAIRS
    folder, name = arguments.output, arguments.name
    network, int8, twin = (folder / f"{name}{suffix}.onnx" for suffix in ("", "_int8", "_int8_cpu"))
    joined = folder / f"{name}_joined"
    rendered = ["--bodies", arguments.bodies, "--shared", arguments.shared]
    of_network = ["--config", arguments.config]
    quantize = [
        *("tools/quantize.py", network, "--calibration", "synthetic", "--force", "--pairs", pairs["calibration"]),
        *("--held-out-pairs", pairs["held_out"], "--tolerance-mm", 2, *rendered),
        *(["--no-sensitivity"] if arguments.quick else []),
    ]
    steps = [
        ["tools/train.py", "finish", *of_network, "--start", arguments.checkpoint, "--transformer", arguments.transformer,
         "--data", arguments.data, "--pairs", pairs["finish"], "--output", joined, *rendered],
        ["tools/export_onnx.py", *of_network, "--checkpoint", joined / "final.pt", "--record", arguments.record,
         "-o", network],
        [*quantize, "--target", "jetson", "--cpu-twin", twin.name, "-o", int8],
        [*quantize, "--target", "cpu", "--exclude-at-most", 3, "-o", twin],
        ["tools/calibrate_uncertainty.py", network, int8, twin, "--pairs", pairs["uncertainty"], "--data", arguments.data,
         *rendered],
        ["tools/calibrate_presence.py", network, int8, twin, "--pairs", pairs["people"], "--empty", pairs["empty"],
         "--data", arguments.data, *rendered],
    ]  # fmt: skip
    return [[str(ROOT / step[0]), *(str(part) for part in step[1:])] for step in steps]


if __name__ == "__main__":
    sys.exit(main())
