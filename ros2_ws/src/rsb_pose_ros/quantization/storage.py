"""What is not computed in INT8: its weights stored as int8, or computed in float16."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsb_pose_ros.quantization.graph import PRODUCTS, Graph, drop_unused

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
SMALLEST = 2048
"""Weights with fewer elements are not worth a node."""
SMALLEST_IN_HALF = 512


def store_weights_as_int8(model: onnx.ModelProto, nodes: Iterable[str]) -> int:
    """Keep the float32 weights of these nodes as int8 and a scale per output channel, in place; returns the bytes saved.

    A DequantizeLinear restores them when the model is loaded: they are computed with as before, rounded to 1/127 of
    their channel's largest.
    """
    graph = Graph(model)
    saved = 0
    for name in nodes:
        node = graph.named[name]
        weight = graph.constant(node.input[1]) if node.op_type in WEIGHTED else None
        if weight is None or weight.dtype != np.float32 or weight.size < SMALLEST or weight.ndim < 2:
            continue
        axis = _output_axis(node, weight)
        others = tuple(i for i in range(weight.ndim) if i != axis)
        scale = np.maximum(np.abs(weight).max(others) / 127, 1e-12).astype(np.float32)
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        levels = np.rint(weight / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
        stored = node.input[1]
        model.graph.initializer.extend(
            [
                numpy_helper.from_array(levels, f"{stored}_int8"),
                numpy_helper.from_array(scale, f"{stored}_int8_scale"),
                numpy_helper.from_array(np.zeros(len(scale), np.int8), f"{stored}_int8_zero_point"),
            ]
        )
        inputs = [f"{stored}_int8", f"{stored}_int8_scale", f"{stored}_int8_zero_point"]
        restored = f"{stored}_restored"
        restore = helper.make_node("DequantizeLinear", inputs, [restored], name=f"{restored}_dq", axis=axis)
        model.graph.node.insert(0, restore)
        node.input[1] = restored
        saved += weight.nbytes - levels.nbytes - scale.nbytes
    drop_unused(model)
    return saved


def _output_axis(node: onnx.NodeProto, weight: np.ndarray) -> int:
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return weight.ndim - 2 if node.op_type == "Gemm" and transposed else weight.ndim - 1


def transformer(graph: Graph) -> list[str]:
    """Names of the pose transformer's nodes between its first and its last product with weights (module scope
    `transformer`).

    The root's subtraction before and its addition after stay float32: float16 has steps of 2 mm at 3 m.
    """
    products = [
        n for n in graph.of("Gemm", "MatMul") if "/transformer/" in n.name and graph.constant(n.input[1]) is not None
    ]
    if not products:
        return []
    inside = (graph.behind(products) & graph.before(products)) | {n.name for n in products}
    return [n.name for n in graph.nodes if n.name in inside and not _in_int8(graph, n)]


def _in_int8(graph: Graph, node: onnx.NodeProto) -> bool:
    """Is it a Q/DQ node, or a product between such? ONNX has them for float16 from opset 19 on only."""
    if node.op_type in PRODUCTS:
        return all((maker := graph.producer.get(i)) and maker.op_type == "DequantizeLinear" for i in node.input[:2])
    return node.op_type in ("QuantizeLinear", "DequantizeLinear")


def store_weights_in_half(model: onnx.ModelProto) -> None:
    """Keep the float32 weights of matrix products as float16, in place; a cast restores them when the model is loaded.

    Convolutions keep theirs: TensorRT reads a kernel from a constant, not from a cast.
    """
    graph = Graph(model)
    for node in graph.of(*PRODUCTS):
        weight = graph.constant(node.input[1])
        if weight is None or weight.dtype != np.float32 or weight.size < SMALLEST_IN_HALF:
            continue
        stored = node.input[1]
        if f"{stored}_restored" not in graph.producer:
            half = numpy_helper.from_array(weight.astype(np.float16), f"{stored}_half")
            model.graph.initializer.append(half)
            cast = helper.make_node(
                "Cast", [half.name], [f"{stored}_restored"], name=f"{stored}_restored_cast", to=TensorProto.FLOAT
            )
            model.graph.node.insert(0, cast)
            graph.producer[cast.output[0]] = cast
        node.input[1] = f"{stored}_restored"
    drop_unused(model)


def compute_in_half(model: onnx.ModelProto, nodes: Iterable[str]) -> None:
    """Let these nodes compute in float16, in place: their constants are stored so, casts stand at the borders."""
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {v.name: v.type.tensor_type.elem_type for v in [*inferred.graph.value_info, *inferred.graph.output]}
    graph = Graph(model)
    inside = set(nodes)
    narrowed: dict[str, str] = {}
    changed: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.name not in inside:
            changed.append(node)
            continue
        for i, name in enumerate(node.input):
            maker = graph.producer.get(name)
            if maker is not None and maker.name in inside:
                continue
            if name not in narrowed:
                narrowed[name] = _narrow(model, graph, name, kinds, changed)
            node.input[i] = narrowed[name]
        changed.append(node)
        for i, name in enumerate(node.output):
            if kinds.get(name) != TensorProto.FLOAT:
                continue
            outside = [n for n in graph.consumers.get(name, []) if n.name not in inside]
            if outside or any(o.name == name for o in model.graph.output):
                half = f"{name}_half"
                node.output[i] = half
                for reader in graph.consumers.get(name, []):
                    if reader.name in inside:
                        _rename(reader, name, half)
                changed.append(
                    helper.make_node("Cast", [half], [name], name=f"{name}_to_float32", to=TensorProto.FLOAT)
                )
    del model.graph.node[:]
    model.graph.node.extend(changed)
    del model.graph.value_info[:]
    drop_unused(model)


def _narrow(model: onnx.ModelProto, graph: Graph, name: str, kinds: dict, changed: list[onnx.NodeProto]) -> str:
    value = graph.constant(name)
    if value is not None:
        if value.dtype != np.float32:
            return name
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
        return f"{name}_half"
    if kinds.get(name) != TensorProto.FLOAT:
        return name
    changed.append(helper.make_node("Cast", [name], [f"{name}_narrow"], name=f"{name}_narrow", to=TensorProto.FLOAT16))
    return f"{name}_narrow"


def _rename(node: onnx.NodeProto, old: str, new: str) -> None:
    for i, name in enumerate(node.input):
        if name == old:
            node.input[i] = new


def number_tensors(model: onnx.ModelProto) -> None:
    """Name tensors by number, in place, and forget their inferred shapes: in a file of 4 MB, names are a tenth of it.

    Inputs, outputs and nodes keep their names; these tell what is what.
    """
    graph = model.graph
    kept = {v.name for v in [*graph.input, *graph.output]} | {""}
    named = [t.name for t in graph.initializer] + [name for node in graph.node for name in node.output]
    short = {name: f"t{i:x}" for i, name in enumerate(dict.fromkeys(named)) if name not in kept}
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = short.get(name, name)
        for i, name in enumerate(node.output):
            node.output[i] = short.get(name, name)
    del graph.value_info[:]
