"""From a float graph to the INT8 graph that costs least: ranges by the best method, the worst layers left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization.calibrate import TensorsData

from rsb_pose_ros.inference.card import ModelError
from rsb_pose_ros.quantization.graph import Graph, candidates, check_float, fold_normalisation, layers
from rsb_pose_ros.quantization.judge import Judge, Verdict
from rsb_pose_ros.quantization.qdq import RECIPES, Recipe, insert, pictures
from rsb_pose_ros.quantization.ranges import METHODS, Histograms, fixed
from rsb_pose_ros.quantization.storage import (
    WEIGHTED,
    compute_in_half,
    number_tensors,
    store_weights_as_int8,
    store_weights_in_half,
    transformer,
)
from rsb_pose_ros.quantization.windows import Windows

TOLERANCE_MM = 1.0
"""Error that an INT8 graph may cost where nothing else is wished for."""
Progress = Callable[[str, int, int], None]
"""Told what is going on, how many steps are done, and of how many."""


@dataclass(frozen=True)
class Wishes:
    """target: jetson or cpu; keep: regular expressions of operators that stay float; float_weights: see qdq.insert;
    methods: of calibration to try; tolerance_mm: cost at which no more layers are left out, None: TOLERANCE_MM where the
    held-out windows have a truth, else none are left out: a cost without truth is how far joints moved, many times what
    their error changed by; exclude_at_most: so many; sensitivity_windows: on which each layer is judged alone, 0 leaves
    that out; threads: of ONNX Runtime."""

    target: str = "jetson"
    keep: Sequence[str] = ()
    float_weights: bool = False
    methods: Sequence[str] = METHODS
    tolerance_mm: float | None = None
    exclude_at_most: int = 6
    sensitivity_windows: int = 24
    threads: int = 1


@dataclass
class Result:
    """The graph and how it came about. mpjpe_float: of the float graph on the held-out windows; sensitivity: per layer,
    worst first, what it costs alone; excluded: layers that stay float; tolerance_mm: cost that was aimed at, None without
    truth to measure it by."""

    model: onnx.ModelProto
    method: str
    mpjpe_float: float
    verdict: Verdict
    methods: dict[str, Verdict]
    sensitivity: dict[str, Verdict] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    tolerance_mm: float | None = None

    @property
    def within_tolerance(self) -> bool | None:
        """Whether the whole costs no more than was aimed at; None where there was no aim, or nothing to measure by."""
        if self.tolerance_mm is None or np.isnan(self.verdict.cost):
            return None
        return bool(self.verdict.cost <= self.tolerance_mm)

    def record(self, wishes: Wishes, calibration: Windows, held_out: Windows) -> dict[str, Any]:
        """For the model's card."""
        return {
            "target": wishes.target,
            "scheme": RECIPES[wishes.target].scheme,
            "weights": "float32 with Q/DQ" if wishes.float_weights else "int8 per channel",
            "calibration_windows": len(calibration),
            "calibration_pairs": calibration.pairs,
            "calibration_method": self.method,
            "calibration_methods": {name: verdict.as_dict() for name, verdict in self.methods.items()},
            "held_out_windows": len(held_out),
            "held_out": {"float32_mpjpe": round(self.mpjpe_float, 2), **self.verdict.as_dict()},
            "tolerance_mm": self.tolerance_mm,
            "within_tolerance": self.within_tolerance,
            "kept_float": [*wishes.keep, *self.excluded],
            "sensitivity_moved_mm": {name: verdict.as_dict()["moved"] for name, verdict in self.sensitivity.items()},
        }


def quantize(
    model: onnx.ModelProto,
    calibration: Windows,
    held_out: Windows,
    wishes: Wishes,
    source: str = "model",
    progress: Progress = lambda *_: None,
) -> Result:
    """Raises ModelError: quantized already, no stereo pose graph, a pattern that is none or matches nothing, no windows."""
    prepared = prepare(model, source)
    if not len(calibration) or not len(held_out):
        raise ModelError(
            f"{source}: {len(calibration)} windows to calibrate with and {len(held_out)} to judge with; expected some"
        )
    graph = Graph(prepared)
    recipe = RECIPES[wishes.target]
    chosen = chosen_nodes(prepared, wishes, source)
    judge = Judge(model, held_out, wishes.threads)
    histograms = _watch(prepared, graph, chosen, calibration, wishes, progress)

    def ranges_of(method: str) -> TensorsData:
        ranges = histograms.ranges(method)
        for name in pictures(prepared):
            fixed(ranges, name, 0, 255)
        return ranges

    ranges = {method: ranges_of(method) for method in wishes.methods}

    def build(method: str, nodes: Sequence[str]) -> onnx.ModelProto:
        return insert(prepared, ranges[method], nodes, recipe, wishes.float_weights)

    verdicts: dict[str, Verdict] = {}
    for i, method in enumerate(wishes.methods):
        progress("calibration methods", i, len(wishes.methods))
        verdicts[method] = judge.verdict(build(method, chosen))
    best = min(verdicts, key=lambda m: verdicts[m].cost)
    groups = layers(graph, chosen)
    sensitivity: dict[str, Verdict] = {}
    if wishes.sensitivity_windows:
        for i, (layer, nodes) in enumerate(groups.items()):
            progress("sensitivity", i, len(groups))
            sensitivity[layer] = judge.verdict(build(best, nodes), wishes.sensitivity_windows)
    worst_first = sorted(sensitivity, key=lambda name: -sensitivity[name].moved)
    excluded: list[str] = []
    verdict = verdicts[best]
    tolerance = wishes.tolerance_mm
    if tolerance is None and held_out.has_truth:
        tolerance = TOLERANCE_MM
    for i, layer in enumerate(worst_first[: wishes.exclude_at_most]):
        if tolerance is None or not verdict.cost > tolerance:  # a cost of NaN: nothing to measure by
            break
        progress("leaving out", i, wishes.exclude_at_most)
        excluded.append(layer)
        verdict = judge.verdict(build(best, _without(groups, excluded)))
    finished = finish(build(best, _without(groups, excluded)), recipe)
    return Result(
        finished,
        best,
        judge.mpjpe,
        judge.verdict(finished),
        verdicts,
        {name: sensitivity[name] for name in worst_first},
        excluded,
        tolerance,
    )


def chosen_nodes(prepared: onnx.ModelProto, wishes: Wishes, source: str = "model") -> list[str]:
    """Names of the nodes that become INT8 as far as the target and --keep-fp16 go. Raises ModelError as candidates."""
    recipe = RECIPES[wishes.target]
    graph = Graph(prepared)
    return candidates(graph, recipe.operators, wishes.keep, source, recipe.exact, recipe.logits, recipe.products)


def prepare(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    """A named copy with the picture's scaling folded into the first convolution. Raises as check_float."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    check_float(Graph(copy), source)
    fold_normalisation(copy)
    return onnx.shape_inference.infer_shapes(copy)


def finish(quantized: onnx.ModelProto, recipe: Recipe) -> onnx.ModelProto:
    """Store or compute what stayed float as the target wants it."""
    graph = Graph(quantized)
    if recipe.half:
        compute_in_half(quantized, transformer(graph))
        store_weights_in_half(quantized)
    else:
        store_weights_as_int8(quantized, [n.name for n in graph.of(*WEIGHTED)])
    number_tensors(quantized)
    return quantized


def _watch(
    model: onnx.ModelProto,
    graph: Graph,
    chosen: Sequence[str],
    calibration: Windows,
    wishes: Wishes,
    progress: Progress,
) -> Histograms:
    named = [graph.named[name] for name in chosen]
    tensors = [t for node in named for t in [*node.input, *node.output] if t and t not in graph.constants]
    histograms = Histograms(model, tensors, wishes.threads)
    for i, feed in enumerate(calibration.feeds):
        progress("calibration", i, len(calibration))
        histograms.add([feed])
    return histograms


def _without(groups: dict[str, list[str]], excluded: Sequence[str]) -> list[str]:
    return [name for layer, nodes in groups.items() if layer not in excluded for name in nodes]
