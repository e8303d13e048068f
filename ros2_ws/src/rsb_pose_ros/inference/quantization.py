"""Post-training INT8 quantization of the stereo pose graph, as explicit Q/DQ nodes (needs the onnx package).

Convolutions up to the co-heatmap become INT8. The softmax over the volume and all that follows it (expectation,
triangulation, covariance, pose transformer) stay float32: a disparity is a difference of a few pixels, and 8 bits of
a probability over 65 536 cells are none.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx

from rsb_pose_ros.inference.card import ModelError
from rsb_pose_ros.inference.estimator import StereoPoseEstimator

QUANTIZED_SCOPES = re.compile(
    r"(^|[/.])(backbone|heatmaps|attention_mask|reduc\w*|co_keypoints|volume|regressor)([/.]|$)"
)
"""Module scopes of the exported graph that may become INT8."""

Sample = dict[str, np.ndarray]
"""One feed of the graph: crops (1, 2, S, S, 3) uint8, projections (1, 2, 3, 4) float32."""


@dataclass(frozen=True)
class Recipe:
    """How a target wants its Q/DQ nodes.

    symmetric: zero points 0, signed activations (TensorRT); else unsigned with zero points (x86 and Arm CPUs).
    outputs: Q/DQ behind operators too (a CPU kernel needs both ends); TensorRT places its own and fuses better without.
    """

    symmetric: bool
    outputs: bool
    operators: tuple[str, ...]


RECIPES = {
    "jetson": Recipe(symmetric=True, outputs=False, operators=("Conv", "ConvTranspose", "Add")),
    "cpu": Recipe(
        symmetric=False,
        outputs=True,
        operators=("Conv", "ConvTranspose", "Add", "Concat", "Resize", "Clip", "Relu", "Pad", "Slice", "MaxPool"),
    ),
}


class Pair(Protocol):
    """A raw stereo pair."""

    @property
    def left(self) -> np.ndarray: ...
    @property
    def right(self) -> np.ndarray: ...


def collect_crops(estimator: StereoPoseEstimator, pairs: Iterable[Pair]) -> tuple[list[Sample], int]:
    """What goes into the network while each pair is searched from anew: coarse windows and closer looks.

    Returns the feeds and in how many pairs somebody was found.
    """
    samples: list[Sample] = []

    def keep(crops: np.ndarray, projections: np.ndarray, stage: str) -> None:
        del stage
        samples.append({"crops": crops[None].copy(), "projections": projections[None].copy()})

    estimator.observer = keep
    found = 0
    try:
        for pair in pairs:
            estimator.reset()
            found += bool(estimator.estimate(pair.left, pair.right))
    finally:
        estimator.observer = None
        estimator.reset()
    return samples, found


def quantize(
    model: Path,
    output: Path,
    samples: Sequence[Sample],
    target: str = "jetson",
    keep_float32: Sequence[str] = (),
    float_weights: bool = False,
) -> dict[str, Any]:
    """Write the INT8 graph and return a record of what was done.

    keep_float32: regular expressions; operators whose name matches one stay float32. float_weights: keep weights as
    float32 behind Q/DQ pairs (TensorRT before 10 takes no INT8 weights); the file does not shrink then.
    Raises ModelError: quantized already, no volume softmax, nothing left to quantize, a pattern that matches nothing.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    recipe = RECIPES[target]
    graph = onnx.shape_inference.infer_shapes(onnx.load(model))
    chosen = choose_nodes(graph, recipe.operators, keep_float32, str(model))

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter(samples)

        def get_next(self) -> Sample | None:
            return next(self._feeds, None)

    logging.disable(logging.WARNING)  # it advises preprocessing, which the export has done
    try:
        quantize_static(
            graph,
            output,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(recipe.operators),
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QInt8 if recipe.symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": recipe.symmetric,
                "WeightSymmetric": True,
                # TensorRT refuses INT32 biases; a CPU kernel wants them.
                "QuantizeBias": not recipe.symmetric,
                "AddQDQPairToWeight": float_weights,
                "OpTypesToExcludeOutputQuantization": [] if recipe.outputs else list(recipe.operators),
            },
        )
    finally:
        logging.disable(logging.NOTSET)
    return {
        "target": target,
        "scheme": "S8S8 symmetric" if recipe.symmetric else "U8S8 asymmetric",
        "weights": "float32 with Q/DQ" if float_weights else "int8 per channel",
        "calibration_crops": len(samples),
        "calibration_method": "MinMax",
        "keep_float32": list(keep_float32),
        "int8_operators": dict(Counter(n.op_type for n in graph.graph.node if n.name in set(chosen))),
    }


def choose_nodes(
    model: onnx.ModelProto, operators: Sequence[str], keep_float32: Sequence[str] = (), source: str = "model"
) -> list[str]:
    """Names of the nodes that become INT8: of the given operators, in the scopes that may be quantized (where the
    graph has such scopes), not behind the volume softmax, and not the layer that makes its logits."""
    nodes = list(model.graph.node)
    kinds = {node.op_type for node in nodes}
    if kinds & {"QuantizeLinear", "DequantizeLinear", "QLinearConv"}:
        raise ModelError(f"{source}: is quantized already; expected the float32 model that it was made from")
    for index, node in enumerate(nodes):
        node.name = node.name or f"{node.op_type}_{index}"
    tail = float32_tail(model, source)
    scoped = [n for n in nodes if QUANTIZED_SCOPES.search(n.name)]
    candidates = [n for n in (scoped or nodes) if n.op_type in operators and n.name not in tail]
    patterns = [re.compile(pattern) for pattern in keep_float32]
    idle = [p.pattern for p in patterns if not any(p.search(n.name) for n in candidates)]
    if idle:
        raise ModelError(
            f"{source}: no operator that would become INT8 matches {', '.join(idle)}; expected a regular expression "
            f"that fits names such as {', '.join(n.name for n in candidates[:3])}"
        )
    chosen = [n.name for n in candidates if not any(p.search(n.name) for p in patterns)]
    if not any(n.op_type in ("Conv", "ConvTranspose") for n in nodes if n.name in set(chosen)):
        raise ModelError(f"{source}: no convolution is left to quantize; expected some outside {list(keep_float32)}")
    return chosen


def float32_tail(model: onnx.ModelProto, source: str = "model") -> set[str]:
    """Names of the nodes from the layer that makes the co-heatmap's logits on.

    The volume softmax is the one behind convolutions that has none behind itself (the attention mask's has).
    """
    nodes = list(model.graph.node)
    producer = {output: node for node in nodes for output in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            consumers.setdefault(name, []).append(node)

    def behind(start: Iterable[onnx.NodeProto]) -> set[str]:
        found: set[str] = set()
        waiting = list(start)
        while waiting:
            for output in waiting.pop().output:
                fresh = [n for n in consumers.get(output, []) if n.name not in found]
                found.update(n.name for n in fresh)
                waiting += fresh
        return found

    convolutions = {n.name for n in nodes if n.op_type in ("Conv", "ConvTranspose")}
    after_convolutions = behind([n for n in nodes if n.name in convolutions])
    softmaxes = [n for n in nodes if n.op_type == "Softmax" and n.name in after_convolutions]
    volume = [n for n in softmaxes if not behind([n]) & convolutions]
    if not volume:
        raise ModelError(
            f"{source}: has no softmax behind its convolutions; expected a stereo_pose graph with a co-heatmap"
        )
    tail = behind(volume) | {n.name for n in volume}
    for softmax in volume:
        tail |= _up_to_convolution(softmax, producer)
    return tail


def _up_to_convolution(node: onnx.NodeProto, producer: dict[str, onnx.NodeProto]) -> set[str]:
    """Names from a node backwards along its first input up to and with the next convolution."""
    names: set[str] = set()
    while node.input and node.input[0] in producer:
        node = producer[node.input[0]]
        names.add(node.name)
        if node.op_type in ("Conv", "ConvTranspose"):
            break
    return names


def operator_counts(model: Path) -> dict[str, int]:
    """How often each operator occurs in a graph."""
    return dict(sorted(Counter(node.op_type for node in onnx.load(model).graph.node).items()))
