"""The end of the network, from the softmax over the volume on: it computes in float32, whatever the target."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from rsb_pose_ros.inference.card import ModelError
from rsb_pose_ros.quantization.graph import CONVOLUTIONS, PRODUCTS, Graph, volume_softmax

SECOND_LOOK, TRANSFORMER = "/second_look/", "/transformer/"
"""Module scopes. The second look starts from features of the stem, so what depends on the softmax is not all of it."""
CONVERTERS = ("Cast", "QuantizeLinear", "DequantizeLinear")
NARROW = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}


def float_tail(graph: Graph) -> list[onnx.NodeProto]:
    """Nodes that compute in float32: the volume's softmax, what depends on it (second look, triangulation, outputs), and
    what of the second look does not. None of a graph without a co-heatmap.

    The pose transformer between its first and its last product is no part of it, its root's subtraction before and its
    addition after are: float16 has steps of 2 mm at 3 m.
    """
    try:
        softmax = volume_softmax(graph)
    except ModelError:
        return []
    products = [n for n in graph.of(*PRODUCTS) if TRANSFORMER in n.name]
    inside = (graph.behind(products) & graph.before(products)) | {n.name for n in products}
    tail = graph.behind([softmax]) | {softmax.name} | {n.name for n in graph.nodes if SECOND_LOOK in n.name}
    return [n for n in graph.nodes if n.name in tail - inside and n.op_type not in CONVERTERS]


def narrow_tail(graph: Graph) -> Iterator[str]:
    """A sentence for each node of the end of the network that computes in half precision or INT8.

    It may read features that were rounded to 8 bits for the convolutions, too, and weights that are stored so: what it
    computes of them must not be rounded.
    """
    tail = float_tail(graph)
    inferred = onnx.shape_inference.infer_shapes(graph.model).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.input, *inferred.output]}
    kinds |= {name: tensor.data_type for name, tensor in graph.constants.items()}
    for node in tail:
        narrow = next((NARROW[k] for t in [*node.output, *node.input] if (k := kinds.get(t, 0)) in NARROW), None)
        if narrow:
            yield f"{node.name}: {node.op_type} at the network's end computes in {narrow}, expected float32: keep it out"
        for reader in (r for output in node.output for r in graph.consumers.get(output, [])):
            if reader.op_type == "QuantizeLinear":
                yield (
                    f"{node.name}: {node.op_type} at the network's end is rounded to 8 bits by {reader.name}, expected "
                    "float32: keep it out"
                )
        if node.op_type in (*CONVOLUTIONS, *PRODUCTS) and all(_dequantized(graph, i) for i in node.input[:2]):
            yield f"{node.name}: {node.op_type} at the network's end computes in INT8, expected float32: keep it out"


def _dequantized(graph: Graph, name: str) -> bool:
    return name in graph.producer and graph.producer[name].op_type == "DequantizeLinear"
