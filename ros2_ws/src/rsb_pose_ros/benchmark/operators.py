"""Where a run of the network spends its time: by operator and by part of the network, from ONNX Runtime's own profile.

On the CPU. Profiling itself costs time, of every operator alike: shares matter, and small operators look larger than they
are. Each node counts with the median of its runs, so that what other programs take from a few of them is left out; on a busy
machine the nodes' sum is less than what a run takes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.benchmark import BenchmarkError
from rsb_pose_ros.benchmark.markdown import table as markdown_table
from rsb_pose_ros.inference import ModelError, read_card
from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.session import session_options
from rsb_pose_ros.inference.windows import searched_bounds
from rsb_pose_ros.stereo import StereoCrop, WindowCutter

ROOT = Path(__file__).resolve().parents[4]
MODELS = ("models/rsb_pose_edge.onnx", "models/rsb_pose_edge_int8_cpu.onnx")
WARM_UP = 5
"""Runs at the start that are not counted: memory is given, caches fill."""
MOST_RUNS = 500
"""ONNX Runtime keeps a million events of a profile and drops what comes after; a run has about a thousand."""
TOP = 12
"""Rows of a table; what takes less is one row more."""
KERNEL = "_kernel_time"
RENAMED = "renamed by the optimiser"
BETWEEN = "between the parts"
VIEWS = {"by_operator": "operator", "by_part": "part of the network"}

EXAMPLES = """examples:
  tools/benchmark.py operators                                        # the float32 file and its INT8 twin for CPUs
  tools/benchmark.py operators --model models/mine.onnx --runs 100 --json out/operators.json
  tools/benchmark.py operators --into docs/performance.md
"""


@dataclass(frozen=True)
class Node:
    """One operator of the optimised graph. name: as ONNX Runtime calls it; operator: its type; ms: of a run, median."""

    name: str
    operator: str
    ms: float

    @property
    def part(self) -> str:
        """Of the network, see part_of."""
        return part_of(self.name)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py operators`."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--model",
        nargs="+",
        type=Path,
        default=[ROOT / name for name in MODELS],
        help="stereo_pose .onnx with its card (default: the shipped float32 file and its INT8 twin for CPUs)",
    )
    parser.add_argument("--bag", type=Path, default=ROOT / "tests/fixtures/demo_bag", help="recording that is shown")
    parser.add_argument("--runs", type=int, default=40, help=f"profiled runs of each, at most {MOST_RUNS} (default 40)")
    parser.add_argument("--threads", type=int, default=1, help="of ONNX Runtime (default 1); 0 leaves it to it")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds and nodes by model, operator and part. Raises ValueError, BagError, ModelError, BenchmarkError."""
    if not 1 <= arguments.runs <= MOST_RUNS:
        raise ValueError(f"--runs is {arguments.runs}; expected 1 to {MOST_RUNS}")
    if arguments.threads < 0:
        raise ValueError(f"--threads is {arguments.threads}; expected 0 (ONNX Runtime chooses) or a positive number")
    names = [model.stem for model in arguments.model]
    if len(set(names)) < len(names):
        raise ValueError(f"--model names {', '.join(names)}; expected different names to tell their figures apart")
    return {
        "benchmark": "operators",
        "runs": arguments.runs,
        "threads": arguments.threads,
        "models": {
            model.stem: measure(model, arguments.bag, arguments.runs, arguments.threads) for model in arguments.model
        },
        "load_average": os.getloadavg()[0],
        "onnxruntime": onnxruntime.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores seen, Python {platform.python_version()}",
    }


def measure(model: Path, bag: Path, runs: int, threads: int) -> dict[str, Any]:
    """One model: {"run_ms", "profiled_run_ms": medians of whole runs, "ms": sum of the nodes' medians, "nodes": how many,
    "by_operator", "by_part"}."""
    feed = window_pair(model, bag)
    plain = _session(model, threads, profile=None)
    seconds = []
    for _ in range(WARM_UP + runs):
        start = time.perf_counter()
        plain.run(None, feed)
        seconds.append(time.perf_counter() - start)
    del plain
    with tempfile.TemporaryDirectory() as folder:
        session = _session(model, threads, profile=Path(folder) / "profile")
        for _ in range(WARM_UP + runs):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    spans = run_spans(events, WARM_UP, runs)
    nodes = read_nodes(events, spans)
    return {
        "run_ms": 1000 * float(np.median(seconds[WARM_UP:])),
        "profiled_run_ms": float(np.median([end - start for start, end in spans])) / 1000,
        "ms": sum(node.ms for node in nodes),
        "nodes": len(nodes),
        "by_operator": _grouped((node.operator, node.ms) for node in nodes),
        "by_part": _grouped((node.part, node.ms) for node in nodes),
    }


def window_pair(model: Path, bag: Path) -> dict[str, np.ndarray]:
    """What a model is fed: the first pair of a recording, in windows around its person, or of the whole view.

    {"crops": (1, 2, S, S, 3) uint8, "projections": (1, 2, 3, 4) float32}. Raises ModelError; BagError for a recording that
    has no pairs or cannot be read.
    """
    size = int(read_card(model, STEREO_POSE).image_size or 0)
    with StereoBag(bag) as recording:
        rig, pair = recording.rig(), next(recording.pairs(), None)
    if pair is None:
        raise BenchmarkError(
            f"recording {bag}: has no stereo pair; expected one to cut a window from: name another --bag"
        )
    if pair.truth is not None and np.isfinite(pair.truth).any():
        crop = StereoCrop.around(pair.truth, rig.projections, size)
    else:
        crop = StereoCrop.whole_view(searched_bounds(rig), rig.projections, size)
    cutter, crops = WindowCutter(rig), np.zeros((1, 2, size, size, 3), np.uint8)
    cutter.cut(pair.left, pair.right, crop, out=crops[0])
    return {"crops": crops, "projections": cutter.projections(crop)[None].astype(np.float32)}


def _session(model: Path, threads: int, profile: Path | None) -> onnxruntime.InferenceSession:
    options = session_options(threads)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        raise ModelError(
            f"model {model}: ONNX Runtime {onnxruntime.__version__} cannot load it ({error}); expected an ONNX graph that "
            "this version knows: update onnxruntime, or export with a lower opset"
        ) from error


def run_spans(events: Sequence[dict[str, Any]], warm_up: int, runs: int) -> list[tuple[int, int]]:
    """(start, end) in microseconds of the runs that count: those of a profile's events after the first `warm_up` ones.

    Raises BenchmarkError unless these are as many as `runs`: ONNX Runtime drops what is too much for a profile.
    """
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("name") == "model_run")
    counted = spans[warm_up:]
    if len(counted) != runs:
        raise BenchmarkError(
            f"the profile holds {len(spans)} runs; expected {warm_up + runs}, of which {runs} count: lower --runs"
        )
    return counted


def read_nodes(events: Sequence[dict[str, Any]], spans: Sequence[tuple[int, int]]) -> list[Node]:
    """The nodes that worked in these runs of a profile, each with the median of what they took it.

    events: of the profile's JSON; spans: see run_spans. A node that works several times in a run counts with the sum.
    """
    starts = [start for start, _ in spans]
    spent: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0] * len(spans))
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith(KERNEL):
            continue
        index = bisect_right(starts, event["ts"]) - 1
        if index < 0 or event["ts"] > spans[index][1]:
            continue
        about = event["args"]
        # Names alone need not differ: a graph may leave them out.
        key = event["name"].removesuffix(KERNEL), about["op_name"], str(about.get("node_index", ""))
        spent[key][index] += event["dur"] / 1000
    return [Node(name, operator, float(np.median(ms))) for (name, operator, _), ms in spent.items()]


def part_of(name: str) -> str:
    """The part of the network that a node belongs to: "network/co_keypoints" of "/network/co_keypoints/reduce/Conv".

    The exporter names nodes after the modules that hold them, which are written small, and after their operators, which are
    not: a node of no module is BETWEEN the parts. Optimisers name what they put in after nothing that is known here.
    """
    whole, *rest = name.removeprefix("/").split("/")
    if not name.startswith("/"):
        return RENAMED
    if len(rest) > 1 and rest[0][:1].islower():
        return f"{whole}/{rest[0]}"
    return RENAMED if name.endswith("_nchwc") else BETWEEN


def _grouped(nodes: Iterable[tuple[str, float]]) -> dict[str, dict[str, float]]:
    """{group: {"ms", "nodes"}}, the longest first, of (group, ms)."""
    groups: dict[str, list[float]] = defaultdict(list)
    for group, ms in nodes:
        groups[group].append(ms)
    longest = sorted(groups.items(), key=lambda item: -sum(item[1]))
    return {group: {"ms": sum(values), "nodes": len(values)} for group, values in longest}


def rows(models: dict[str, Any], view: str, top: int = TOP) -> list[tuple[str, list[dict[str, float]]]]:
    """A table's rows, the longest first: (group, {"ms", "nodes"} of each model); the last one is the rest, if any.

    view: "by_operator" or "by_part". The order is that of the model where a group takes longest.
    """
    nothing = {"ms": 0.0, "nodes": 0}
    groups = {group for model in models.values() for group in model[view]}
    every = [(group, [model[view].get(group, nothing) for model in models.values()]) for group in groups]
    every.sort(key=lambda row: (-max(cell["ms"] for cell in row[1]), row[0]))
    first, others = every[:top], every[top:]
    if len(others) == 1:
        return every
    if others:
        cells = [
            {key: sum(cell[key] for cell in column) for key in nothing} for column in zip(*(row[1] for row in others))
        ]
        first.append((f"the other {len(others)}", cells))
    return first


def _cell(cell: dict[str, float], whole: float) -> str:
    return f"{cell['ms']:.2f} ms, {100 * cell['ms'] / whole:.0f} %, {cell['nodes']:.0f}" if cell["nodes"] else "–"


def _table(models: dict[str, Any], view: str) -> list[list[str]]:
    wholes = [model["ms"] for model in models.values()]
    lines = [[group, *map(_cell, cells, wholes)] for group, cells in rows(models, view)]
    return [*lines, ["all", *(f"{model['ms']:.2f} ms, 100 %, {model['nodes']}" for model in models.values())]]


def _heading(result: dict[str, Any]) -> str:
    runs = ", ".join(
        f"{name} {model['run_ms']:.1f} ms (profiled {model['profiled_run_ms']:.1f} ms)"
        for name, model in result["models"].items()
    )
    return (
        f"{result['machine']}, ONNX Runtime {result['onnxruntime']}, threads: {result['threads']}, load "
        f"{result['load_average']:.1f}; medians of {result['runs']} runs. A run takes: {runs}"
    )


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [_heading(result), "milliseconds with profiling, share, nodes:"]
    for view, title in VIEWS.items():
        lines += ["", f"{title:34}" + "".join(f"{name:>28}" for name in result["models"])]
        lines += [
            f"{group:34}" + "".join(f"{cell:>28}" for cell in cells) for group, *cells in _table(result["models"], view)
        ]
    return "\n".join(lines)


def marker(result: dict[str, Any]) -> str:
    """Of the place in a page that `markdown` belongs to."""
    return f"benchmark operators, threads: {result['threads']}"


def markdown(result: dict[str, Any]) -> str:
    """The figures for docs/performance.md."""
    names = [f"`{name}`" for name in result["models"]]
    lines = [f"{_heading(result)}. Milliseconds with profiling, share, nodes:"]
    for view, title in VIEWS.items():
        lines += ["", markdown_table([title, *names], _table(result["models"], view))]
    return "\n".join(lines)
