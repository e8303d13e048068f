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
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))

if TYPE_CHECKING:
    import onnx

    from rsb_pose_ros.quantization.search import Result
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
SYNTHETIC = "synthetic"
CHECKPOINTS = (".pt", ".pth")
CALIBRATION_SEED, HELD_OUT_SEED = 2_500_000_000, 2_600_000_000
"""First seeds of rendered pairs; no training reaches them."""


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
    import onnx

    from rsb_pose_ros.inference.card import STEREO_POSE, read_card
    from rsb_pose_ros.quantization.graph import load
    from rsb_pose_ros.quantization.search import Wishes, chosen_nodes, prepare, quantize

    model = exported(arguments, folder) if arguments.model.suffix in CHECKPOINTS else arguments.model
    graph = load(model)
    wishes = Wishes(
        target=arguments.target,
        keep=arguments.keep_fp16,
        float_weights=arguments.float_weights,
        tolerance_mm=arguments.tolerance_mm,
        exclude_at_most=arguments.exclude_at_most,
        sensitivity_windows=0 if arguments.no_sensitivity else 24,
        threads=arguments.threads or os.cpu_count() or 1,
    )
    wishes = replace(wishes, methods=arguments.methods) if arguments.methods else wishes
    # What can fail fails before the long part.
    chosen_nodes(prepare(graph, str(model)), wishes, str(model))
    read_card(model, STEREO_POSE)
    output.parent.mkdir(parents=True, exist_ok=True)
    calibration, held_out = gather(arguments, model)
    with Bars() as bars:
        result = quantize(graph, calibration, held_out, wishes, str(model), bars)
    print(report(result))
    rules = judge_rules(arguments.target, result.model, output)
    made = folder / "made" / output.name
    made.parent.mkdir()
    onnx.save(result.model, made)
    record = result.record(wishes, calibration, held_out) | {
        "calibration_data": Path(arguments.calibration).name,
        "calibration_sha256": calibration.sha256,
    }
    if calibration.sha256 == held_out.sha256:
        record["judged_on_calibration_windows"] = True
    twin, about_twin = twin_of(arguments, model, output)
    if twin:
        record["cpu_twin"] = twin
    write_card_of(model, made, record)
    comparison = compare(model, made, held_out, arguments.threads)
    write_card_of(model, made, record, comparison)
    for file in (made, made.with_suffix(".json")):
        shutil.move(file, output.with_suffix(file.suffix))
    print(table(comparison))
    print(f"\n{rules}")
    print(f"\nwritten {output} and {output.with_suffix('.json')}{about_twin}")


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
        raise ValueError(
            f"{arguments.model}: cannot be exported: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
        )
    return model


def gather(arguments: argparse.Namespace, model: Path) -> tuple[Windows, Windows]:
    """Windows to calibrate with and to judge with, from different pairs."""
    from rsb_pose_ros.inference import ModelError

    other = arguments.held_out or arguments.calibration
    share = 2 if same_source(arguments.calibration, other) else 1
    calibration = windows(arguments, model, arguments.calibration, 0, share)
    held_out = windows(arguments, model, other, 1, share)
    for source, found in ((arguments.calibration, calibration), (other, held_out)):
        if not found.found:
            count = "1 pair" if found.pairs == 1 else f"{found.pairs} pairs"
            raise ModelError(f"{source}: nobody was found in {count}; expected people, whose crops set the ranges")
    print(
        f"calibration: {len(calibration)} windows of {calibration.pairs} pairs, somebody found in {calibration.found}; "
        f"held out: {len(held_out)} windows of {held_out.pairs}"
    )
    if calibration.sha256 == held_out.sha256:
        print(
            f"warning: the same windows calibrate and judge, as {other} holds no others: errors on other pictures will be "
            "larger than what is said below; give more pairs, or --held-out with others"
        )
    return calibration, held_out


def same_source(one: str, other: str) -> bool:
    """Whether two sources are the same recording, in whichever way its path is written."""
    if SYNTHETIC in (one, other):
        return one == other
    return Path(one).resolve() == Path(other).resolve()


def places(total: int, wanted: int, role: int, share: int) -> set[int]:
    """Which of `total` pairs serve a role, `wanted` at most, spread evenly; with two roles each takes every other pair.

    A single pair has to serve for both.
    """
    own = range(role % share, total, share) or range(total)
    return {own[round(i * (len(own) - 1) / max(min(wanted, len(own)) - 1, 1))] for i in range(min(wanted, len(own)))}


def windows(arguments: argparse.Namespace, model: Path, source: str, role: int, share: int) -> Windows:
    """Windows from a source; role: 0 to calibrate, 1 to judge; share: how many roles share a recording pair by pair."""
    from tqdm import tqdm

    from rsb_pose_ros.inference import StereoPoseEstimator
    from rsb_pose_ros.inference.card import STEREO_POSE, read_card
    from rsb_pose_ros.quantization.windows import synthetic_windows, windows_of

    quiet = not sys.stderr.isatty()
    wanted = arguments.held_out_pairs if role else arguments.pairs
    if source == SYNTHETIC:
        first = HELD_OUT_SEED if role else CALIBRATION_SEED
        seeds = range(first, first + wanted)
        bar = tqdm(seeds, unit="pair", desc="rendering", disable=quiet)
        ranges, split = ROOT / "config/synthetic.yaml", "val" if role else "train"
        size = read_card(model, STEREO_POSE).image_size
        assert size is not None, "read_card asks for it in a card of this task"
        return synthetic_windows(ranges, size, arguments.shared, arguments.bodies, split, seeds, bar)
    with open_pairs(Path(source)) as opened:
        if not opened.pair_count:
            raise ValueError(f"{source}: holds no stereo pairs; expected some with people in them")
        estimator = StereoPoseEstimator(model, opened.rig(), threads=arguments.threads, exact_model=True)
        # Both roles count the same pairs, so that none serves for both.
        most = 2 * max(arguments.pairs, arguments.held_out_pairs) if share == 2 else wanted
        total = min(most, opened.pair_count)
        own = places(total, wanted, role, share)
        chosen = (pair for i, pair in enumerate(opened.pairs(limit=total)) if i in own)
        return windows_of(estimator, tqdm(chosen, unit="pair", desc="cutting windows", disable=quiet))


def open_pairs(path: Path) -> AbstractContextManager[Any]:
    """A recording, or a folder of pictures."""
    from rsb_pose_ros.bags import StereoBag
    from rsb_pose_ros.bags.folder import StereoFolder

    if path.is_dir() and (path / "calibration.yaml").exists():
        return StereoFolder(path)
    return StereoBag(path)


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


def write_card_of(model: Path, output: Path, record: dict, comparison: dict | None = None) -> None:
    """The float32 model's card with the new name and hash, what was done, and what was measured."""
    from rsb_pose_ros.inference.card import STEREO_POSE, read_card, sha256_of, write_card

    card = read_card(model, STEREO_POSE)
    measured = {"float32_model": card.measured, **({"against_float32": comparison} if comparison else {})}
    configuration = {**card.configuration, "quantization": {**record, "float32_sha256": card.sha256}}
    quantized = replace(
        card, name=output.stem, sha256=sha256_of(output), configuration=configuration, measured=measured
    )
    write_card(quantized, output)


def compare(model: Path, output: Path, held_out: Windows, threads: int) -> dict[str, Any]:
    """Both models on the held-out windows, alternated run by run."""
    import numpy as np

    from rsb_pose_ros.evaluation.comparison import answers, differences
    from rsb_pose_ros.quantization.graph import precisions
    from rsb_pose_ros.quantization.judge import LOST_MM

    models = (model, output)
    (before, after), seconds = answers(models, held_out.feeds, threads=threads)
    result: dict[str, Any] = {key: round(value, 4) for key, value in differences(before, after).items()}
    result["size_mb"] = [round(m.stat().st_size / 1e6, 3) for m in models]
    result["cpu_p50_ms"] = [round(1000 * float(np.median(s)), 2) for s in seconds]
    errors = [
        np.minimum(1000 * np.linalg.norm(a["joints"] - held_out.truth, axis=-1), LOST_MM) for a in (before, after)
    ]
    known = np.isfinite(held_out.truth).all(-1)
    result["mpjpe_mm"] = [round(float(e[known].mean()), 2) if known.any() else None for e in errors]
    result["precisions"] = [precisions(m) for m in models]
    return result


def report(result: Result) -> str:
    """What was tried, as text."""
    lines = [f"\n{'calibration method':32}{'MPJPE, mm':>12}{'change':>10}{'moved':>10}"]
    for name, verdict in result.methods.items():
        mark = " ← taken" if name == result.method else ""
        lines.append(f"{name:32}{verdict.mpjpe:12.1f}{verdict.change:+10.1f}{verdict.moved:10.1f}{mark}")
    if result.sensitivity:
        lines += [f"\n{'layer alone in INT8 (worst 12)':32}{'MPJPE, mm':>12}{'change':>10}{'moved':>10}"]
        for name, verdict in list(result.sensitivity.items())[:12]:
            mark = " ← stays float" if name in result.excluded else ""
            lines.append(f"{name:32}{verdict.mpjpe:12.1f}{verdict.change:+10.1f}{verdict.moved:10.1f}{mark}")
    verdict = result.verdict
    lines.append(
        f"\nMPJPE of the held-out windows {result.mpjpe_float:.1f} → {verdict.mpjpe:.1f} mm: {verdict.change:+.1f} ± "
        f"{verdict.change_error:.1f} mm; sure joints moved by {verdict.moved:.1f} mm (median)"
    )
    lines.append(about_tolerance(result))
    return "\n".join(lines)


def about_tolerance(result: Result) -> str:
    """Whether the whole costs no more than it may, and what to do where it does."""
    if result.tolerance_mm is None:
        return (
            "tolerance not applied: the held-out windows have no truth, and how far joints move is no error; no layer was "
            "left out. Judge with truth (--held-out synthetic), or give --tolerance-mm to go by the move"
        )
    if result.within_tolerance is None:
        return "tolerance not judged: no joint of the held-out windows is sure or has a truth"
    cost = f"costs {result.verdict.cost:+.1f} mm, expected at most {result.tolerance_mm:g} mm"
    if result.within_tolerance:
        return f"tolerance met: {cost}"
    if not result.sensitivity:
        return f"tolerance missed: {cost}; without --no-sensitivity the worst layers would be left out"
    return (
        f"tolerance missed: {cost}, with {len(result.excluded)} layers left out (--exclude-at-most); leave out more, or "
        "calibrate with more or other pairs"
    )


def table(comparison: dict[str, Any]) -> str:
    """Before and after."""
    size, time = comparison["size_mb"], comparison["cpu_p50_ms"]
    rows = [
        ("file, MB", *size, f"× {size[1] / size[0]:.2f}"),
        ("CPU latency p50, ms", *time, f"{time[0] / time[1]:.2f}× as fast"),
        ("MPJPE, mm", *(m if m is not None else "no truth" for m in comparison["mpjpe_mm"]), ""),
    ]
    kinds = sorted({k for counts in comparison["precisions"] for k in counts})
    rows += [(k, *(counts.get(k, 0) for counts in comparison["precisions"]), "") for k in kinds]
    lines = [f"\n{'':32}{'float32':>12}{'int8':>12}"]
    lines += [f"{name:32}{before!s:>12}{after!s:>12}  {note}".rstrip() for name, before, after, note in rows]
    lines.append(
        f"\nrefined joints differ by {comparison['joint_mean_mm']:.1f} mm on average, {comparison['joint_p95_mm']:.1f} mm "
        f"at the 95th percentile ({comparison['joints_compared']} sure joints); keypoints by "
        f"{comparison['keypoint_mean_px']:.2f} crop pixels; confidence by {comparison['confidence_mean']:.3f}"
    )
    return "\n".join(lines)


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


def twin_of(arguments: argparse.Namespace, model: Path, output: Path) -> tuple[str | None, str]:
    """The file for CPUs that the card names, and a sentence about it: the one asked for, else one beside the output that was
    made of the same float32 model."""
    if arguments.target == "cpu":
        return None, ""
    if arguments.cpu_twin:
        unfit = unfit_twin(output.with_name(arguments.cpu_twin), model)
        remark = f", but {unfit}: make it with --target cpu" if unfit else ""
        return arguments.cpu_twin, f"\ntwin for CPUs: {arguments.cpu_twin}{remark}"
    beside = dict.fromkeys(
        output.with_name(f"{stem}_cpu.onnx") for stem in (output.stem, f"{arguments.model.stem}_int8")
    )
    unfits = {file.name: unfit_twin(file, model) for file in beside if file.is_file()}
    for name, unfit in unfits.items():
        if not unfit:
            return name, f"\ntwin for CPUs: {name}, as it lies beside and was made of the same float32 file"
    others = "".join(f" ({unfit})" for unfit in unfits.values())
    return None, (
        f"\nhint: no twin for CPUs is named{others}; where there is no GPU, this file runs more slowly than float32. Make "
        "one with --target cpu, and name it: --cpu-twin, or cpu_twin in the card"
    )


def unfit_twin(file: Path, model: Path) -> str:
    """Why the node would not run a file for CPUs in place of one that is made of `model`; empty where it would."""
    from rsb_pose_ros.inference.card import STEREO_POSE, ModelError, read_card, sha256_of

    if not file.is_file():
        return f"{file.name} is not there yet"
    try:
        record = read_card(file, STEREO_POSE).configuration.get("quantization") or {}
    except ModelError as error:
        return str(error)
    if record.get("target") != "cpu":
        return f"{file.name} is not for CPUs"
    return "" if record.get("float32_sha256") == sha256_of(model) else f"{file.name} was made of another float32 file"


if __name__ == "__main__":
    sys.exit(main())
