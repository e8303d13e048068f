"""The stereo pose graph as quantization sees it: who makes what, what may become INT8, what must not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from rsb_pose_ros.inference.card import ModelError

CONVOLUTIONS = ("Conv", "ConvTranspose")
PRODUCTS = ("Gemm", "MatMul")
ACTIVATIONS = ("Clip", "Relu")
QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear"})


def load(path: Path) -> onnx.ModelProto:
    """Read an ONNX file. Raises ModelError naming a file that is missing or is none."""
    try:
        return onnx.load(path)
    except FileNotFoundError as error:
        raise ModelError(f"model {path}: no such file; expected an .onnx file") from error
    except Exception as error:  # protobuf's own types differ between its versions
        raise ModelError(f"model {path}: is no ONNX file ({type(error).__name__}); export it again") from error


class Graph:
    """An ONNX model with its nodes named and indexed. Build it anew after changing nodes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        for index, node in enumerate(self.nodes):
            node.name = node.name or f"{node.op_type}_{index}"
        self.named = {node.name: node for node in self.nodes}
        self.producer = {output: node for node in self.nodes for output in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def constant(self, name: str) -> np.ndarray | None:
        """An initializer's value, or None for what is computed or fed."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def behind(self, start: Iterable[onnx.NodeProto]) -> set[str]:
        """Names of all nodes that depend on these, without them."""
        return self._closure(start, lambda node: (c for o in node.output for c in self.consumers.get(o, [])))

    def before(self, start: Iterable[onnx.NodeProto]) -> set[str]:
        """Names of all nodes that these depend on, without them."""
        return self._closure(start, lambda node: (self.producer[i] for i in node.input if i in self.producer))

    @staticmethod
    def _closure(start: Iterable[onnx.NodeProto], neighbours) -> set[str]:  # type: ignore[no-untyped-def]
        found: set[str] = set()
        waiting = list(start)
        while waiting:
            fresh = [n for n in neighbours(waiting.pop()) if n.name not in found]
            found.update(n.name for n in fresh)
            waiting += fresh
        return found

    def of(self, *operators: str) -> list[onnx.NodeProto]:
        """Nodes of these kinds, in order."""
        return [node for node in self.nodes if node.op_type in operators]


def check_float(graph: Graph, source: str) -> None:
    """Raise ModelError for a graph that is quantized already, or that is no stereo_pose network."""
    if {node.op_type for node in graph.nodes} & QUANTIZED:
        raise ModelError(f"{source}: is quantized already; expected the float32 model that it was made from")
    volume_softmax(graph, source)


def volume_softmax(graph: Graph, source: str = "model") -> onnx.NodeProto:
    """The softmax over the co-heatmap: of those behind convolutions the one over the most values.

    What it depends on may become INT8; it and the rest (expectation, second look, triangulation, transformer) stay
    float: a disparity is a difference of a few pixels, and 8 bits of a probability over 65 536 cells are none.
    Raises ModelError where there is none.
    """
    after = graph.behind(graph.of(*CONVOLUTIONS))
    found = [n for n in graph.of("Softmax") if n.name in after]
    if not found:
        raise ModelError(
            f"{source}: has no softmax behind its convolutions; expected a stereo_pose graph with a co-heatmap"
        )
    sizes = _tensor_sizes(graph.model)
    return max(found, key=lambda n: sizes.get(n.output[0], 0))


def _tensor_sizes(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    return {
        v.name: int(np.prod([d.dim_value for d in v.type.tensor_type.shape.dim]))
        for v in [*inferred.value_info, *inferred.output]
    }


def candidates(
    graph: Graph,
    operators: Sequence[str],
    keep: Sequence[str] = (),
    source: str = "model",
    exact: Sequence[str] = (),
    logits: bool = False,
    products: Sequence[str] = (),
) -> list[str]:
    """Names of the nodes that may become INT8: convolutions, and other `operators` that lie between convolutions.

    logits: what only leads to the softmax (the sums of logits, and what they are made of) may, too; products: so may these
    products with weights behind it (regular expressions of names).
    keep: regular expressions of names that stay float; exact: likewise, where there are such.
    Raises ModelError: one that is no regular expression or matches nothing, nothing left.
    """
    head = graph.before([volume_softmax(graph, source)])
    convolutions = [n for n in graph.of(*CONVOLUTIONS) if n.name in head and graph.constant(n.input[1]) is not None]
    between = graph.behind(convolutions) & (head if logits else graph.before(convolutions))
    # An activation belongs to its convolution, also behind the last one.
    closing = {n.name for c in convolutions if (n := activation_of(graph, c)) is not None}
    possible = [
        n
        for n in graph.nodes
        if n.op_type in operators
        and n.name in head
        and (n in convolutions or n.name in closing or (n.name in between and _carries_floats(graph, n)))
    ]
    possible += [
        n
        for n in graph.of(*PRODUCTS)
        if any(re.search(pattern, n.name) for pattern in products) and graph.constant(n.input[1]) is not None
    ]
    possible = [n for n in possible if not any(re.search(pattern, n.name) for pattern in exact)]
    patterns = [_compiled(pattern, source) for pattern in keep]
    idle = [p.pattern for p in patterns if not any(p.search(n.name) for n in possible)]
    if idle:
        raise ModelError(
            f"{source}: no operator that would become INT8 matches {', '.join(idle)}; expected a regular expression "
            f"that fits names such as {', '.join(n.name for n in possible[:3])}"
        )
    chosen = [n for n in possible if not any(p.search(n.name) for p in patterns)]
    if not any(n.op_type in CONVOLUTIONS for n in chosen):
        raise ModelError(f"{source}: no convolution is left to quantize; expected some outside {list(keep)}")
    return [n.name for n in chosen]


def _compiled(pattern: str, source: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ModelError(
            f"{source}: pattern {pattern!r} is no regular expression ({error}); expected one such as stage4, with a "
            "backslash before each bracket that is meant literally"
        ) from error


def _carries_floats(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a node computes on activations alone: one with a float constant (a scale, an offset) is no such node."""
    values = [graph.constant(name) for name in node.input[:2] if name]
    if node.op_type == "Add":
        return all(value is None for value in values)
    return not values or values[0] is None


def activation_of(graph: Graph, convolution: onnx.NodeProto) -> onnx.NodeProto | None:
    """The Clip or Relu right behind a convolution that nothing else reads."""
    readers = graph.consumers.get(convolution.output[0], [])
    return readers[0] if len(readers) == 1 and readers[0].op_type in ACTIVATIONS else None


def layers(graph: Graph, chosen: Sequence[str], depth: int = 3) -> dict[str, list[str]]:
    """Chosen nodes by layer: module scope of a convolution, `depth` names deep, with what follows it up to the next one.

    In a graph without scopes every convolution is a layer.
    """
    wanted = set(chosen)
    of_node: dict[str, str] = {}
    for node in graph.nodes:  # in topological order
        if node.name not in wanted:
            continue
        sources = [of_node[p.name] for i in node.input if (p := graph.producer.get(i)) and p.name in of_node]
        own = _scope(node.name, depth) if node.op_type in CONVOLUTIONS else None
        of_node[node.name] = own or (sources[-1] if sources else _scope(node.name, depth) or node.name)
    groups: dict[str, list[str]] = {}
    for name in chosen:
        groups.setdefault(of_node[name], []).append(name)
    return groups


def _scope(name: str, depth: int) -> str:
    parts = [part for part in name.split("/") if part]
    parts = parts[1:] if parts and parts[0] == "network" else parts
    return "/".join(parts[: min(depth, max(len(parts) - 1, 1))])


def fold_normalisation(model: onnx.ModelProto) -> None:
    """Move (x − 0) · scale in front of a convolution into its weights, in place: the convolution then reads 0 … 255.

    A mean that is not 0 stays: at the picture's edge, zero padding means something else before and after it.
    """
    graph = Graph(model)
    for convolution in graph.of("Conv"):
        chain = []
        node = graph.producer.get(convolution.input[0])
        while node is not None and node.op_type in ("Mul", "Sub") and len(graph.consumers[node.output[0]]) == 1:
            chain.append(node)
            node = graph.producer.get(node.input[0])
        if node is None or not chain or not _is_picture(graph, node):
            continue
        values = [graph.constant(n.input[1]) for n in chain]
        if any(v is None or (n.op_type == "Sub" and v.any()) for n, v in zip(chain, values)):
            continue
        weight = graph.constant(convolution.input[1])
        assert weight is not None, "a convolution's weight is a constant in an exported graph"
        factors = [v.reshape(-1) for n, v in zip(chain, values) if n.op_type == "Mul" and v is not None]
        scale = np.prod([np.broadcast_to(f, weight.shape[1]) for f in factors], axis=0)
        name = f"{convolution.input[1]}_scaled"
        model.graph.initializer.append(
            numpy_helper.from_array((weight * np.reshape(scale, (1, -1, 1, 1))).astype(np.float32), name)
        )
        convolution.input[0], convolution.input[1] = node.output[0], name
        for n in chain:
            model.graph.node.remove(n)
    drop_unused(model)


def _is_picture(graph: Graph, node: onnx.NodeProto | None) -> bool:
    """Does the node hand on a picture's bytes as floats: a cast, or a cast's output in another order?"""
    while node is not None and node.op_type in ("Reshape", "Transpose"):
        node = graph.producer.get(node.input[0])
    return node is not None and node.op_type == "Cast"


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove initializers that no node reads, in place."""
    used = {name for node in model.graph.node for name in node.input} | {o.name for o in model.graph.output}
    for tensor in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(tensor)


def precisions(model: Path) -> dict[str, int]:
    """How many convolutions and matrix products compute in int8, float16 and float32; elements stored by type."""
    inferred = onnx.shape_inference.infer_shapes(onnx.load(model))
    graph = Graph(inferred)
    values = [*inferred.graph.value_info, *inferred.graph.output]
    half = {v.name for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    count: Counter[str] = Counter()
    for node in graph.of(*CONVOLUTIONS, "Gemm", "MatMul"):
        makers = [graph.producer.get(i) for i in node.input[:2]]
        if all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers):
            count["int8 operators"] += 1
        else:
            count["float16 operators" if node.output[0] in half else "float32 operators"] += 1
    for tensor in graph.constants.values():
        kind = {1: "float32", 10: "float16", 3: "int8", 2: "uint8", 6: "int32"}.get(tensor.data_type)
        if kind:
            count[f"{kind} parameters"] += int(np.prod(tensor.dims))
    return dict(count)
