"""Would TensorRT take this file, and take it as INT8? What can be told without a TensorRT.

Sources: NVIDIA's developer guide, "Working with Quantized Types" (explicit quantization, Q/DQ placement), and the operator
list of its ONNX parser (onnx-tensorrt, docs/operators.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from rsb_pose_ros.inference.card import ModelError
from rsb_pose_ros.quantization.graph import Graph

LOWEST_OPSET = 17
ALIGNMENT = 32
"""Channels that an INT8 tensor core takes at once; others are padded up to it."""

REFUSED = {
    "QLinearConv": "write QuantizeLinear/DequantizeLinear pairs instead",
    "QLinearMatMul": "write QuantizeLinear/DequantizeLinear pairs instead",
    "ConvInteger": "write QuantizeLinear/DequantizeLinear pairs instead",
    "MatMulInteger": "write QuantizeLinear/DequantizeLinear pairs instead",
    "DynamicQuantizeLinear": "calibrate a constant scale",
    "Det": "write the determinant out",
    "Unique": "it has no static shape; do without",
    "NonZero": "it has no static shape; do without",
    "Compress": "it has no static shape; use Gather",
    "Loop": "unroll it at export",
    "Scan": "unroll it at export",
    "If": "decide at export",
    "ScatterND": "slice assignment exports so; use Pad, Slice and Concat",
}
WEIGHT_AXES = {"Conv": 0, "ConvTranspose": 0}
"""Axis of a weight along which its scales may vary: output channels, for a transposed convolution input channels."""
HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Alignment:
    """An INT8 convolution whose channels do not fill the tensor cores; used: share of the padded products that counts."""

    node: str
    inputs: int
    outputs: int
    used: float


@dataclass(frozen=True)
class Report:
    """violations: what TensorRT would refuse or run in another precision than the file says, a sentence each;
    alignment: what would waste time; int8, heavy: convolutions and matrix products in INT8, and in all."""

    violations: list[str]
    alignment: list[Alignment]
    int8: int
    heavy: int


def check(model: str | Path | onnx.ModelProto, variable_batch: bool = False) -> Report:
    """Read a graph and hold it against the rules. variable_batch: a leading dimension named `batch` may vary.

    Raises ModelError naming a file that cannot be read.
    """
    proto = model if isinstance(model, onnx.ModelProto) else _read(Path(model))
    graph = Graph(proto)
    rules = (_form, _operators, _shapes, _types, _quantizers, _weights)
    violations = [sentence for rule in rules for sentence in rule(graph)]
    if variable_batch:
        violations = [v for v in violations if "'batch'" not in v]
    heavy = graph.of(*HEAVY)
    int8 = [n for n in heavy if _is_dequantized(graph, n.input[0]) and _is_dequantized(graph, n.input[1])]
    return Report(violations, list(_alignment(graph, int8)), len(int8), len(heavy))


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except FileNotFoundError as error:
        raise ModelError(f"model {path}: no such file; expected an .onnx file") from error
    except Exception as error:  # protobuf's own types differ between its versions
        raise ModelError(f"model {path}: is no ONNX file ({type(error).__name__}); export it again") from error


def _form(graph: Graph) -> Iterator[str]:
    opset = next((o.version for o in graph.model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < LOWEST_OPSET:
        yield f"the graph has opset {opset}, expected {LOWEST_OPSET} or newer: export it again"
    try:
        onnx.checker.check_model(graph.model)
    except onnx.checker.ValidationError as error:
        yield f"the graph is not valid ONNX: {str(error).strip().splitlines()[0]}"


def _operators(graph: Graph) -> Iterator[str]:
    ranks = _ranks(graph.model)
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            yield f"{node.name}: {node.op_type} is of domain {node.domain}, expected ONNX's own operators"
        elif node.op_type in REFUSED:
            yield f"{node.name}: TensorRT has no {node.op_type} for this network: {REFUSED[node.op_type]}"
        elif node.op_type == "Resize" and _attribute(node, "antialias", 0):
            yield f"{node.name}: Resize with antialias, expected one without"
        elif node.op_type == "GridSample" and ranks.get(node.input[0], 4) != 4:
            yield f"{node.name}: GridSample of {ranks[node.input[0]]} dimensions, expected 4"


def _shapes(graph: Graph) -> Iterator[str]:
    for value in [*graph.model.graph.input, *graph.model.graph.output]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_value <= 0:
                name = dimension.dim_param or "?"
                yield f"{value.name}: dimension '{name}' varies, expected static shapes: export with fixed sizes"


def _types(graph: Graph) -> Iterator[str]:
    for name, tensor in graph.constants.items():
        if tensor.data_type == TensorProto.DOUBLE:
            yield f"constant {name}: is float64, expected float32 or narrower"
    for node in graph.of("Cast"):
        if _attribute(node, "to", 0) == TensorProto.DOUBLE:
            yield f"{node.name}: casts to float64, expected float32 or narrower"


def _quantizers(graph: Graph) -> Iterator[str]:
    for node in graph.of("QuantizeLinear", "DequantizeLinear"):
        scale = graph.constant(node.input[1])
        if scale is None:
            yield f"{node.name}: its scale is computed, expected a constant"
            continue
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            yield f"{node.name}: its scale is not positive everywhere, expected steps above 0"
        yield from _zero_point(graph, node)
        if scale.size > 1:
            yield from _axis(graph, node, scale.size)


def _zero_point(graph: Graph, node: onnx.NodeProto) -> Iterator[str]:
    if len(node.input) < 3 or not node.input[2]:
        if node.op_type == "QuantizeLinear" and _attribute(node, "output_dtype", 0) != TensorProto.INT8:
            yield f"{node.name}: quantizes to uint8 (no zero point given), expected int8"
        return
    zero = graph.constant(node.input[2])
    if zero is None:
        yield f"{node.name}: its zero point is computed, expected a constant 0"
    elif zero.dtype == np.int32:
        yield f"{node.name}: an INT32 bias stands behind DequantizeLinear, expected biases in float"
    elif zero.dtype != np.int8:
        yield f"{node.name}: is {zero.dtype}, expected int8: quantize symmetrically (--target jetson)"
    elif zero.any():
        yield f"{node.name}: its zero point is {int(zero.flat[np.argmax(zero != 0)])}, expected 0: quantize symmetrically"


def _axis(graph: Graph, node: onnx.NodeProto, scales: int) -> Iterator[str]:
    weight = _weight_behind(graph, node)
    if weight is None:
        yield f"{node.name}: has {scales} scales for activations, expected one: channels may differ in weights only"
        return
    axis = _attribute(node, "axis", 1) % max(weight.ndim, 1)
    for reader in _readers(graph, node):
        if reader.op_type == "Gemm":
            expected = 0 if _attribute(reader, "transB", 0) else 1
        else:
            expected = WEIGHT_AXES.get(reader.op_type, weight.ndim - 1)
        if axis != expected:
            yield f"{node.name}: scales along axis {axis} of {reader.name}'s weight, expected axis {expected}"
        elif weight.shape[axis] != scales:
            yield f"{node.name}: {scales} scales for {weight.shape[axis]} channels, expected one each"


def _weights(graph: Graph) -> Iterator[str]:
    for node in graph.of(*HEAVY):
        activation, weight = (_is_dequantized(graph, name) for name in node.input[:2])
        if weight and not activation:
            yield f"{node.name}: its weight is INT8 and its input is not, expected both or neither"
        elif activation and not weight and graph.constant(node.input[1]) is not None:
            yield f"{node.name}: its input is INT8 and its weight is not, expected both or neither"


def _alignment(graph: Graph, int8: list[onnx.NodeProto]) -> Iterator[Alignment]:
    for node in int8:
        weight = _weight_behind(graph, graph.producer[node.input[1]])
        if node.op_type != "Conv" or weight is None or _attribute(node, "group", 1) != 1:
            continue
        outputs, inputs = weight.shape[:2]
        used = inputs / _padded(inputs) * outputs / _padded(outputs)
        if used < 1:
            yield Alignment(node.name, inputs, outputs, used)


def _padded(channels: int) -> int:
    return -(-channels // ALIGNMENT) * ALIGNMENT


def _is_dequantized(graph: Graph, name: str) -> bool:
    return name in graph.producer and graph.producer[name].op_type == "DequantizeLinear"


def _weight_behind(graph: Graph, node: onnx.NodeProto) -> np.ndarray | None:
    """The constant that Q, DQ or a pair of them stands behind."""
    value = graph.constant(node.input[0])
    before = graph.producer.get(node.input[0])
    if value is None and node.op_type == "DequantizeLinear" and before is not None:
        return graph.constant(before.input[0]) if before.op_type == "QuantizeLinear" else None
    return value


def _readers(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Who reads a weight behind its Q/DQ pair."""
    readers = graph.consumers.get(node.output[0], [])
    return [n for r in readers for n in (_readers(graph, r) if r.op_type == "DequantizeLinear" else [r])]


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((a.i for a in node.attribute if a.name == name), default)


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # an invalid graph is reported by _form
        return {}
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {v.name: len(v.type.tensor_type.shape.dim) for v in values}
