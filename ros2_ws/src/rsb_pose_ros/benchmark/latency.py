"""Latency by stage, of models on providers and of MediaPipe Pose on each view, alternated pair by pair on the same clip.

Machines are shared and noisy: whatever slows one of them slows all, and the ratios hold.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.benchmark.clip import Clip, load_clip
from rsb_pose_ros.benchmark.markdown import table as markdown_table
from rsb_pose_ros.benchmark.mediapipe_process import MediaPipePose, make_environment
from rsb_pose_ros.benchmark.node_memory import node_memory, resident_mb
from rsb_pose_ros.benchmark.stages import AROUND, StagedEstimator, decode, message_builder
from rsb_pose_ros.images import to_array
from rsb_pose_ros.inference import read_card
from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.gpu import gpu
from rsb_pose_ros.inference.providers import resolve

ROOT = Path(__file__).resolve().parents[4]
BUDGET_MS = 3.0
"""Everything but the network, of one pair of 1280×720."""
WARM_UP = 5
"""Pairs at a clip's start that are not counted: people are searched, caches filled."""
ORDER = {"cpu": ("cpu",), "cuda": ("cuda", "cpu"), "tensorrt": ("tensorrt", "cuda", "cpu")}
"""By --provider: what a model runs on, best first. What TensorRT does not take runs on CUDA, and what that has no kernel
for on the CPU."""
SHIPPED_INT8 = {"cpu": "rsb_pose_edge_int8_cpu.onnx", "tensorrt": "rsb_pose_edge_int8.onnx"}
"""TensorRT wants INT8 symmetric and signed, CPUs want it unsigned; CUDA computes Q/DQ nodes in float and gains nothing."""

EXAMPLES = """examples:
  tools/benchmark.py latency                                          # all models, both sizes, MediaPipe, the node's memory
  tools/benchmark.py latency --cores 1 --json out/latency_1_core.json
  tools/benchmark.py latency --int8 models/mine_int8_cpu.onnx --sizes 1280x720 --without-mediapipe --without-node
  tools/benchmark.py latency --provider tensorrt cuda cpu --without-mediapipe
"""

LABEL = 60
"""Width of the first column of the text."""
Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Column:
    """What is measured: a model file on one of ORDER's providers. suffix: tells a model's providers apart, if need be."""

    model: Path
    provider: str
    suffix: str = ""

    @property
    def name(self) -> str:
        """Of its figures: "rsb_pose_edge_int8 on tensorrt"."""
        return self.model.stem + self.suffix

    @property
    def providers(self) -> tuple[str, ...]:
        """What is asked of ONNX Runtime, best first."""
        return ORDER[self.provider]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py latency`."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, default=ROOT / "models/rsb_pose_edge.onnx", help="float model")
    parser.add_argument(
        "--int8",
        type=Path,
        help="the same, quantized (default, if there: models/rsb_pose_edge_int8_cpu.onnx for cpu, rsb_pose_edge_int8.onnx "
        "for tensorrt)",
    )
    parser.add_argument("--refiner", type=Path, default=ROOT / "models/ppt.onnx", help="pose transformer alone")
    parser.add_argument("--bag", type=Path, default=ROOT / "tests/fixtures/demo_bag", help="recording that is shown")
    parser.add_argument("--sizes", nargs="+", type=size, default=[(1280, 720), (640, 480)], metavar="WxH")
    parser.add_argument("--pairs", type=int, default=100, help="measured pairs of each size (default 100)")
    parser.add_argument(
        "--provider",
        nargs="+",
        choices=tuple(ORDER),
        default=["cpu"],
        help="of our models, each with those behind it: tensorrt with cuda and cpu (default cpu)",
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of ONNX Runtime; 0 leaves it to it")
    parser.add_argument("--cores", type=int, help="bind everything to so many cores")
    parser.add_argument("--without-mediapipe", action="store_true", help="do not install or run MediaPipe")
    parser.add_argument("--without-node", action="store_true", help="do not start the ROS node for its memory")


def size(text: str) -> tuple[int, int]:
    """(width, height) of "1280x720"."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a size such as 1280x720") from None
    if min(width, height) < 64:
        raise argparse.ArgumentTypeError(f"{text!r}; expected at least 64x64")
    return width, height


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures by size and model, ratios, memory. Raises ValueError, BagError, ModelError, BenchmarkError."""
    import cv2

    if arguments.pairs < 1:
        raise ValueError(f"--pairs is {arguments.pairs}; expected at least 1")
    measured = columns(arguments.model, arguments.int8, arguments.provider)
    check(measured)
    cv2.setNumThreads(1)  # as the node does it
    _bind_to_cores(arguments.cores)
    mediapipe = None if arguments.without_mediapipe else make_environment()
    sizes = {f"{w}x{h}": _measure((w, h), measured, mediapipe, arguments) for w, h in arguments.sizes}
    node = None if arguments.without_node else _node_memory(measured, arguments.bag)
    machine = f"{platform.machine()}, {os.cpu_count()} cores seen, Python {platform.python_version()}"
    device = gpu() if set(arguments.provider) != {"cpu"} else None
    return {
        "benchmark": "latency",
        "columns": {column.name: {"file": column.model.name, "provider": column.provider} for column in measured},
        "pairs": arguments.pairs,
        "providers": list(dict.fromkeys(arguments.provider)),
        "threads": arguments.threads,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "sizes": sizes,
        "refine_alone_ms": _refine_alone(arguments.refiner, arguments.provider, arguments.threads, arguments.pairs),
        "node_rss_mb": node,
        "load_average": os.getloadavg()[0],
        "machine": f"{machine}, GPU {device}" if device else machine,
    }


def columns(model: Path, int8: Path | None, wanted: Sequence[str], shipped: Path = ROOT / "models") -> list[Column]:
    """What is measured, in the order of the tables: on each provider the float model, and the INT8 file made for it.

    wanted: names in ORDER; int8: this very file on every provider that computes in INT8, instead of the one in `shipped`,
    which is left out where it is not there. On the CPU alone names do without the provider. Raises ValueError for two
    files of one name.
    """
    wanted = list(dict.fromkeys(wanted))
    found = []
    for provider in wanted:
        suffix = "" if wanted == ["cpu"] else f" on {provider}"
        found.append(Column(model, provider, suffix))
        if provider not in SHIPPED_INT8:
            continue
        quantized = int8 or shipped / SHIPPED_INT8[provider]
        if int8 and int8.stem == model.stem:
            raise ValueError(
                f"--model and --int8 are both named {int8.stem}; expected two names to tell their figures apart"
            )
        if int8 or (quantized.is_file() and quantized.stem != model.stem):
            found.append(Column(quantized, provider, suffix))
    return found


def check(measured: Sequence[Column]) -> None:
    """Refuse what cannot be measured, before anything is installed or built for it.

    Raises ModelError where a model is not what it must be or this onnxruntime lacks a provider; ValueError for a model
    that was quantized for CPUs and is asked for on a GPU.
    """
    for column in measured:
        resolve(column.providers)
        quantization = read_card(column.model, STEREO_POSE).configuration.get("quantization") or {}
        if column.provider != "cpu" and quantization.get("target") == "cpu":
            raise ValueError(
                f"{column.model} was quantized for CPUs, says its card (target: cpu), and is to run on {column.provider}; "
                "expected a float model, or for tensorrt symmetric INT8 (tools/quantize.py --target jetson): give another "
                "--int8 or --model"
            )


def _bind_to_cores(cores: int | None) -> None:
    if cores is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError("--cores needs Linux; leave it out")
    free = sorted(os.sched_getaffinity(0))
    if not 1 <= cores <= len(free):
        raise ValueError(f"--cores is {cores}; expected 1 to {len(free)}, which this process may use")
    os.sched_setaffinity(0, free[-cores:])


def _measure(
    size: tuple[int, int], measured: Sequence[Column], mediapipe: Path | None, arguments: argparse.Namespace
) -> dict[str, Any]:
    """One picture size."""
    clip = load_clip(arguments.bag, size, arguments.pairs + WARM_UP)
    build = message_builder()
    ours = [
        StagedEstimator(c.name, c.model, clip.rig, build, providers=c.providers, threads=arguments.threads)
        for c in measured
    ]
    gc.collect()
    gc.freeze()  # as the node does it
    with ExitStack() as stack:
        partner = stack.enter_context(MediaPipePose(mediapipe, still=False)) if mediapipe else None
        samples, found, runs = _alternate(clip, ours, partner, arguments.pairs)
        partner_rss = resident_mb(partner.pid) if partner else None
    result: dict[str, Any] = {"decode_ms": summary(samples["decode"]["total"]), "messages_built": build is not None}
    for staged in ours:
        own = samples[staged.name]
        result[staged.name] = {
            "providers": staged.estimator.providers,
            "ms": {stage: summary(values) for stage, values in own.items()},
            "pairs_per_s": len(own["total"]) / sum(own["total"]),
            "network_runs_per_pair": runs[staged.name] / len(own["total"]),
            "found": found[staged.name] / len(own["total"]),
        }
    if partner:
        own = samples["mediapipe"]
        result["mediapipe"] = {
            "version": partner.version,
            "ms": {"total": summary(own["total"])},
            "pairs_per_s": len(own["total"]) / sum(own["total"]),
            "found": found["mediapipe"] / len(own["total"]),
            "rss_mb": partner_rss,
        }
    result["ratios"] = ratios(result, [staged.name for staged in ours])
    return result


def _alternate(
    clip: Clip, ours: list[StagedEstimator], partner: MediaPipePose | None, pairs: int
) -> tuple[dict[str, Samples], dict[str, int], dict[str, int]]:
    """Durations (s) by method and stage, pairs with somebody found, network runs. The order turns from pair to pair."""
    from tqdm import tqdm

    samples: dict[str, Samples] = defaultdict(lambda: defaultdict(list))
    found: dict[str, int] = defaultdict(int)
    runs: dict[str, int] = defaultdict(int)
    # A recording shorter than what is asked for is played again.
    order = [k % len(clip.pairs) for k in range(pairs + WARM_UP)]
    for k, index in enumerate(tqdm(order, desc=f"latency {clip.size[0]}x{clip.size[1]}", unit="pair")):
        pair, counted = clip.pairs[index], k >= WARM_UP
        if index == 0:
            for staged in ours:
                staged.restart()
        for staged in [*ours[k % len(ours) :], *ours[: k % len(ours)]]:
            durations, people = staged.work(pair)
            if counted:
                for stage, seconds in durations.items():
                    samples[staged.name][stage].append(seconds)
                found[staged.name] += bool(people)
                runs[staged.name] += staged.estimator.timing.runs
        decoding = decode(pair)
        if counted:
            samples["decode"]["total"].append(decoding)
        if partner is not None:
            answer = partner.ask(*(to_array(message) for message in pair.raw))
            if counted:
                samples["mediapipe"]["total"].append(answer.seconds)
                found["mediapipe"] += answer.found
    return samples, found, runs


def summary(seconds: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    p50, p95 = 1000 * np.percentile(seconds, (50, 95))
    return {"p50": float(p50), "p95": float(p95), "max": 1000 * max(seconds)}


def ratios(result: dict[str, Any], names: list[str]) -> dict[str, float]:
    """What is compared, of medians: how many times faster."""
    found = {}
    first, *others = names
    for other in others:
        for stage in ("network", "total"):
            found[f"{other} vs {first}, {stage}"] = (
                result[first]["ms"][stage]["p50"] / result[other]["ms"][stage]["p50"]
            )
    if "mediapipe" in result:
        for name in names:
            found[f"{name} vs MediaPipe Pose ×2, raw images to people"] = (
                result["mediapipe"]["ms"]["total"]["p50"] / result[name]["ms"]["total"]["p50"]
            )
    return found


def _refine_alone(model: Path, wanted: Sequence[str], threads: int, runs: int) -> dict[str, dict[str, float]]:
    """The pose transformer by itself by provider, as PoseRefiner runs it on one person. It is part of the network's graph,
    too."""
    from rsb_pose_ros.inference import PoseRefiner

    refiners = {name: PoseRefiner(model, providers=ORDER[name], threads=threads) for name in wanted}
    joints = np.random.default_rng(0).normal(0, 0.3, (17, 3)) + np.array([0, 0, 3.0])
    seconds: Samples = defaultdict(list)
    for _ in range(runs + WARM_UP):
        for name, refiner in refiners.items():
            start = time.perf_counter()
            refiner.refine(joints)
            seconds[name].append(time.perf_counter() - start)
    return {name: summary(values[WARM_UP:]) for name, values in seconds.items()}


def _node_memory(measured: Sequence[Column], bag: Path) -> dict[str, Any] | None:
    """By file and provider; None where ROS is not installed."""
    try:
        import rclpy  # noqa: F401
    except ImportError:
        return None
    return {column.model.name + column.suffix: node_memory(column.model, bag, column.providers) for column in measured}


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{result['machine']}; {result['cores']} cores used, load {result['load_average']:.1f}"]
    for name, part in result["sizes"].items():
        lines += ["", *_size_lines(name, part, list(result["columns"]))]
    lines.append("")
    for name, figures in result["refine_alone_ms"].items():
        where = "" if result["providers"] == ["cpu"] else f" on {name}"
        lines.append(_row(f"pose transformer alone{where} (a part of the network)", figures))
    for model, memory in (result["node_rss_mb"] or {}).items():
        lines.append(f"node with {model}: {memory['following']:.0f} MB resident, {memory['peak']:.0f} MB at most")
    if result["node_rss_mb"] is None:
        lines.append("node: memory not measured (--without-node, or ROS is not installed)")
    return "\n".join(lines)


def _size_lines(name: str, part: dict[str, Any], names: list[str]) -> list[str]:
    lines = [f"{name:{LABEL}}{'p50':>9}{'p95':>9}{'max':>9}  ms"]
    for column in names:
        own = part[column]
        lines.append(
            f"{column}: {own['pairs_per_s']:.1f} pairs/s, {own['network_runs_per_pair']:.2f} runs a pair, "
            f"found in {own['found']:.0%}"
        )
        for stage in (*AROUND, "network"):
            lines.append(_row(f"  {stage}", own["ms"][stage]))
        lines.append(_row(f"  everything but the network (≤ {BUDGET_MS:g})", own["ms"]["around"]))
        lines.append(_row("  whole pair, raw images to people", own["ms"]["total"]))
    lines.append(_row("JPEG decoding of both pictures, on top", part["decode_ms"]))
    if "mediapipe" in part:
        own = part["mediapipe"]
        lines.append(_row("MediaPipe Pose ×2", own["ms"]["total"]))
        lines.append(
            f"  {own['pairs_per_s']:.1f} pairs/s, found in {own['found']:.0%}, {own['rss_mb']:.0f} MB, {own['version']}"
        )
    lines += [f"{ratio:.2f} × faster: {what}" for what, ratio in part["ratios"].items()]
    return lines


def _row(label: str, figures: dict[str, float]) -> str:
    return f"{label:{LABEL}}{figures['p50']:9.2f}{figures['p95']:9.2f}{figures['max']:9.2f}"


def marker(result: dict[str, Any]) -> str:
    """Of the place in a page that `markdown` belongs to."""
    providers = "" if result["providers"] == ["cpu"] else f", providers: {' '.join(result['providers'])}"
    return f"benchmark latency, cores: {result['cores']}{providers}"


def markdown(result: dict[str, Any]) -> str:
    """The figures for docs/performance.md."""
    sizes = result["sizes"]
    pairs = [(size, name) for size in sizes for name in result["columns"]]

    def row(label: str, stage: str) -> list[str]:
        return [label, *(_percentiles(sizes[size][name]["ms"][stage]) for size, name in pairs)]

    rows = [row(f"`{stage}`", stage) for stage in AROUND]
    rows += [row("**everything but the network**", "around"), row("network", "network"), row("**whole pair**", "total")]
    rows.append(["pairs/s", *(f"{sizes[size][name]['pairs_per_s']:.1f}" for size, name in pairs)])
    rows.append(["network runs a pair", *(f"{sizes[size][name]['network_runs_per_pair']:.2f}" for size, name in pairs)])
    rows.append(["JPEG decoding, on top", *(_percentiles(sizes[size]["decode_ms"]) for size, _ in pairs)])
    if all("mediapipe" in part for part in sizes.values()):
        rows.append(
            ["MediaPipe Pose ×2", *(_percentiles(sizes[size]["mediapipe"]["ms"]["total"]) for size, _ in pairs)]
        )
    lines = [
        f"{result['machine']}, {result['cores']} used, load {result['load_average']:.1f}; ms, p50 / p95 / max of "
        f"{result['pairs']} pairs:",
        "",
        markdown_table(["", *(f"{size} `{name}`" for size, name in pairs)], rows),
        "",
        markdown_table(
            ["times faster (medians)", *sizes],
            [
                [what, *(f"{part['ratios'][what]:.2f}" for part in sizes.values())]
                for what in next(iter(sizes.values()))["ratios"]
            ],
        ),
    ]
    for model, memory in (result["node_rss_mb"] or {}).items():
        lines += ["", f"Node with `{model}`: {memory['following']:.0f} MB resident, {memory['peak']:.0f} MB at most."]
    return "\n".join(lines)


def _percentiles(figures: dict[str, float]) -> str:
    return f"{figures['p50']:.2f} / {figures['p95']:.2f} / {figures['max']:.2f}"
