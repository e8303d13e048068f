#!/usr/bin/env python3
"""Make an INT8 model (explicit Q/DQ) of a float32 stereo_pose model, and say what that costs in accuracy, layer by layer.

Ranges are calibrated on windows as the estimator cuts them, by the method that costs least on held-out windows; what
costs most stays in floating point until the whole costs no more than --tolerance-mm. The softmax over the volume, the
second look and triangulation stay float32. Needs no ROS; torch only to read a checkpoint.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))

if TYPE_CHECKING:
    import onnx

    from rsb_pose_ros.quantization.search import Wishes
    from rsb_pose_ros.quantization.sources import Sources
    from rsb_pose_ros.quantization.windows import Windows

EXAMPLES = """examples:
  # Both files of a network: first for CPUs, then for TensorRT, whose card names the first one as its twin.
  python tools/quantize.py my_network.onnx --calibration tests/fixtures/demo_bag --target cpu
  python tools/quantize.py my_network.onnx --calibration tests/fixtures/demo_bag
  # The shipped network on your own recordings, beside the shipped files (--force would replace those).
  python tools/quantize.py models/rsb_pose_edge.onnx --calibration my_robot.mcap --held-out tests/fixtures/demo_bag \\
      -o out/mine_int8.onnx
  python tools/quantize.py models/rsb_pose_edge.onnx --calibration stills/ --keep-fp16 stage4 lateral4 --no-sensitivity \\
      -o out/mine_int8.onnx
  python tools/quantize.py runs/edge/final.pt --config config/models/rsb_pose_edge.yaml --calibration synthetic \\
      -o out/edge_int8.onnx

calibration: a rosbag2 (folder, .mcap, .db3); a folder with calibration.yaml, left/*.png, right/*.png; or `synthetic`,
             pairs rendered now (docs/synthetic-data.md)
targets: jetson: S8S8, zero points 0, float biases, the pose transformer's MLPs as well, its attention in FP16 (TensorRT)
         cpu: U8S8 (ONNX Runtime on x86 with VNNI, or Arm)
kept: what --keep-fp16 names computes in float. For jetson, convolutions and their weights stay float32 in the file, and
      TensorRT may run them in FP16 where its flag allows it (tensorrt_fp16, docs/jetson.md); products of the pose
      transformer compute in FP16 in the file itself, other products in float32 with weights stored as FP16. For cpu, all
      compute in float32, with large weights stored as int8 and a scale per channel.

exit codes: 0 done, 2 arguments or inputs that cannot be used
"""
CHECKPOINTS = (".pt", ".pth")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", type=Path, help="float32 .onnx with its card, or a checkpoint .pt, .pth (then --config, too)"
    )
    parser.add_argument("--calibration", required=True, help="recording, folder of stereo pictures, or `synthetic`")
    parser.add_argument("--held-out", help="the same, to judge with (default: the other half of --calibration)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="default: beside the model, with _int8 (jetson) or _int8_cpu (cpu) in its name",
    )
    parser.add_argument("--force", action="store_true", help="replace an output that exists, and its card")
    parser.add_argument("--pairs", type=int, default=60, help="pairs to calibrate with, spread evenly (default 60)")
    parser.add_argument("--held-out-pairs", type=int, default=120, help="pairs to judge with (default 120)")
    parser.add_argument("--target", choices=("jetson", "cpu"), default="jetson")
    parser.add_argument(
        "--keep-fp16",
        "--keep-float32",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="regular expressions of operators that compute in float; in which precision: see below",
    )
    parser.add_argument(
        "--cpu-twin",
        metavar="NAME",
        help="file beside the output that nodes without a GPU take instead "
        "(default: OUTPUT_cpu.onnx or MODEL_int8_cpu.onnx, if it is there and of the same network)",
    )
    parser.add_argument("--float-weights", action="store_true", help="weights float32 behind Q/DQ (TensorRT before 10)")
    parser.add_argument("--methods", nargs="+", choices=("minmax", "percentile", "entropy"), help="default: all three")
    parser.add_argument(
        "--tolerance-mm",
        type=float,
        help="leave layers out until it costs no more: millimetres of error where the held-out "
        "windows have a truth (default 1), else of joints' moves (default: leave none out)",
    )
    parser.add_argument("--exclude-at-most", type=int, default=6, help="layers that are left out (default 6)")
    parser.add_argument("--no-sensitivity", action="store_true", help="judge no single layers, leave none out: faster")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all")
    parser.add_argument("--config", type=Path, help="of a checkpoint: config/models/*.yaml")
    parser.add_argument("--record", type=Path, help="of a checkpoint: licence and training record for the card")
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="for `synthetic`")
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared")), help="likewise"
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    arguments = parse(words)
    from rsb_pose_ros.bags import BagError
    from rsb_pose_ros.inference import ModelError
    from rsb_pose_ros.stereo import CalibrationError

    try:
        with tempfile.TemporaryDirectory() as folder:
            run(arguments, Path(folder))
    except (BagError, CalibrationError, ModelError, ValueError, OSError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 2
    return 0


def run(arguments: argparse.Namespace, folder: Path) -> None:
    output = checked_output(arguments)
    if not arguments.model.is_file():
        raise ValueError(
            f"model {arguments.model}: no such file; expected a float32 .onnx file with its card, or a checkpoint "
            f"{' or '.join(CHECKPOINTS)}"
        )
    from rsb_pose_ros.inference.card import STEREO_POSE, read_card
    from rsb_pose_ros.quantization.graph import load
    from rsb_pose_ros.quantization.report import report
    from rsb_pose_ros.quantization.search import chosen_nodes, prepare, quantize
    from rsb_pose_ros.quantization.sources import gather

    model = exported(arguments, folder) if arguments.model.suffix in CHECKPOINTS else arguments.model
    graph, wishes = load(model), wishes_of(arguments)
    # What can fail fails before the long part.
    chosen_nodes(prepare(graph, str(model)), wishes, str(model))
    read_card(model, STEREO_POSE)
    output.parent.mkdir(parents=True, exist_ok=True)
    sources = sources_of(arguments)
    calibration, held_out = gather(sources, model)
    print(about_windows(calibration, held_out, sources.held_out))
    with Bars() as bars:
        result = quantize(graph, calibration, held_out, wishes, str(model), bars)
    print(report(result))
    rules = judge_rules(arguments.target, result.model, output)
    record = result.record(wishes, calibration, held_out) | {
        "calibration_data": Path(arguments.calibration).name,
        "calibration_sha256": calibration.sha256,
    }
    if calibration.sha256 == held_out.sha256:
        record["judged_on_calibration_windows"] = True
    about_twin = write(arguments, model, result.model, held_out, record, output, folder)
    print(f"\n{rules}")
    print(f"\nwritten {output} and {output.with_suffix('.json')}{about_twin}")


def write(
    arguments: argparse.Namespace,
    model: Path,
    quantized: onnx.ModelProto,
    held_out: Windows,
    record: dict[str, Any],
    output: Path,
    folder: Path,
) -> str:
    """Write the file and its card, whole, and print what it is worth; returns a sentence about its twin."""
    import onnx

    from rsb_pose_ros.quantization.quantized_card import compare, twin_of, write_card_of
    from rsb_pose_ros.quantization.report import table

    made = folder / "made" / output.name
    made.parent.mkdir()
    onnx.save(quantized, made)
    twin, about_twin = (None, "") if arguments.target == "cpu" else twin_of(model, output, arguments.cpu_twin)
    if twin:
        record["cpu_twin"] = twin
    write_card_of(model, made, record)
    comparison = compare(model, made, held_out, arguments.threads)
    write_card_of(model, made, record, comparison)
    for file in (made, made.with_suffix(".json")):
        shutil.move(file, output.with_suffix(file.suffix))
    print(table(comparison))
    return about_twin


def wishes_of(arguments: argparse.Namespace) -> Wishes:
    from rsb_pose_ros.quantization.search import Wishes

    wishes = Wishes(
        target=arguments.target,
        keep=arguments.keep_fp16,
        float_weights=arguments.float_weights,
        tolerance_mm=arguments.tolerance_mm,
        exclude_at_most=arguments.exclude_at_most,
        sensitivity_windows=0 if arguments.no_sensitivity else 24,
        threads=arguments.threads or os.cpu_count() or 1,
    )
    return replace(wishes, methods=arguments.methods) if arguments.methods else wishes


def sources_of(arguments: argparse.Namespace) -> Sources:
    from rsb_pose_ros.quantization.sources import Sources

    return Sources(
        calibration=arguments.calibration,
        held_out=arguments.held_out or arguments.calibration,
        pairs=arguments.pairs,
        held_out_pairs=arguments.held_out_pairs,
        ranges=ROOT / "config/synthetic.yaml",
        shared=arguments.shared,
        bodies=arguments.bodies,
        threads=arguments.threads,
    )


def about_windows(calibration: Windows, held_out: Windows, source: str) -> str:
    """How many there are, and a warning where none are left to judge with."""
    text = (
        f"calibration: {len(calibration)} windows of {calibration.pairs} pairs, somebody found in {calibration.found}; "
        f"held out: {len(held_out)} windows of {held_out.pairs}"
    )
    if calibration.sha256 != held_out.sha256:
        return text
    return text + (
        f"\nwarning: the same windows calibrate and judge, as {source} holds no others: errors on other pictures will be "
        "larger than what is said below; give more pairs, or --held-out with others"
    )


def checked_output(arguments: argparse.Namespace) -> Path:
    """The file to write. Raises ValueError for arguments that make no sense."""
    suffix = "_int8_cpu" if arguments.target == "cpu" else "_int8"
    output: Path = arguments.output or arguments.model.with_name(f"{arguments.model.stem}{suffix}.onnx")
    if output.resolve() == arguments.model.resolve():
        raise ValueError(f"output {output} is the model itself; expected another file")
    if output.suffix != ".onnx":
        raise ValueError(f"output {output}: expected a name that ends in .onnx")
    twin = arguments.cpu_twin
    if twin is not None and arguments.target == "cpu":
        raise ValueError(f"--cpu-twin {twin}: expected it of a model that is not for CPUs itself (--target jetson)")
    if twin is not None and (Path(twin).name != twin or not twin.endswith(".onnx") or twin == output.name):
        raise ValueError(
            f"--cpu-twin {twin}: expected the name of another .onnx file beside the output {output}, without a folder"
        )
    for name, least in (("pairs", 1), ("held_out_pairs", 1), ("exclude_at_most", 0), ("threads", 0)):
        if getattr(arguments, name) < least:
            raise ValueError(f"--{name.replace('_', '-')} is {getattr(arguments, name)}; expected at least {least}")
    tolerance = arguments.tolerance_mm
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"--tolerance-mm is {tolerance}; expected millimetres, 0 or more")
    existing = [path for path in (output, output.with_suffix(".json")) if path.exists()]
    if existing and not arguments.force:
        raise ValueError(
            f"output {existing[0]} exists; expected a new name (-o), or --force to replace it and its card"
        )
    if arguments.model.suffix in CHECKPOINTS and arguments.config is None:
        raise ValueError(f"{arguments.model}: a checkpoint needs --config, the network's config/models/*.yaml")
    return output


def exported(arguments: argparse.Namespace, folder: Path) -> Path:
    """The checkpoint as a float32 model with its card, in a temporary folder."""
    import subprocess

    model = folder / f"{arguments.model.stem}.onnx"
    command = [sys.executable, str(ROOT / "tools/export_onnx.py"), "--config", str(arguments.config)]
    command += ["--checkpoint", str(arguments.model), "-o", str(model)]
    command += ["--record", str(arguments.record)] if arguments.record else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(f"{arguments.model}: cannot be exported: {said[-1]}")
    return model


class Bars:
    """A progress bar per stage of the search."""

    def __enter__(self) -> Bars:
        self._bar: Any = None
        self._stage = ""
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if stage != self._stage:
            self.__exit__()
            self._stage, self._bar = stage, tqdm(total=total, desc=stage, disable=not sys.stderr.isatty())
        self._bar.update(done - self._bar.n)


def judge_rules(target: str, model: onnx.ModelProto, output: Path) -> str:
    """What TensorRT makes of the graph, as text. Raises ValueError where it would not take it as it is meant."""
    from rsb_pose_ros.quantization.graph import Graph
    from rsb_pose_ros.quantization.tail import narrow_tail
    from rsb_pose_ros.quantization.tensorrt_rules import alignment_lines, check

    if target != "jetson":
        rounded = list(narrow_tail(Graph(model)))
        if rounded:
            raise ValueError(f"{output}: not written, as it computes too coarsely: {'; '.join(rounded[:5])}")
        return "TensorRT's rules do not concern a file for CPUs"
    found = check(model)
    if found.violations:
        raise ValueError(f"{output}: not written, as it breaks TensorRT's rules: {'; '.join(found.violations[:5])}")
    lines = ["TensorRT's rules are met (tools/check_tensorrt.py tells more)", *(f"note: {n}" for n in found.notes)]
    return "\n".join([*lines, *alignment_lines(found, shown=3)])


if __name__ == "__main__":
    sys.exit(main())
