"""What a graph costs on a GPU that is not at hand: products, bytes and kernels counted, and the least time for them.

A roofline (Williams et al., 2009) over kernels as TensorRT would fuse them, by rules of thumb. No measurement: what a board
really needs is longer, and only the board says by how much.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from rsb_pose_ros.inference.card import ModelError
from rsb_pose_ros.quantization.graph import Graph, volume_softmax
from rsb_pose_ros.quantization.tensorrt_rules import ALIGNMENT

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
FREE = frozenset(
    {
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Constant",
        "Shape",
        "QuantizeLinear",
        "DequantizeLinear",
    }
)
"""Views, and what becomes part of its neighbours: neither kernel nor bytes."""
POINTWISE = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Neg", "Abs", "Sqrt", "Exp", "Log", "Erf", "Tanh", "Sigmoid"),
        *("Relu", "Clip", "Cast", "Where", "Greater", "Less", "Equal", "Not", "And", "Or", "Min", "Max"),
    }
)
"""Fused into the kernel whose result they alone read."""
WIDTH = {"int8": 1, "fp16": 2, "fp32": 4}


@dataclass(frozen=True)
class Board:
    """A Jetson's GPU: streaming multiprocessors, their clock in GHz, memory bandwidth in GB/s.

    Per multiprocessor and clock an Ampere of this family multiplies 4 × 512 pairs of INT8 (dense) and 4 × 256 of FP16 in
    its tensor cores, 128 of float32 and 256 of FP16 in the others.
    """

    name: str
    multiprocessors: int
    gigahertz: float
    bandwidth: float

    def peak(self, unit: str) -> float:
        """Multiply-accumulates per second of "int8", "fp16" (tensor cores), "fp16 plain" or "fp32"."""
        per_clock = {"int8": 2048, "fp16": 1024, "fp16 plain": 256, "fp32": 128}[unit]
        return per_clock * self.multiprocessors * self.gigahertz * 1e9


BOARDS = (
    Board("Orin Nano 8 GB", 8, 0.625, 68),
    Board("Orin Nano 8 GB Super", 8, 1.020, 102),
    Board("Orin NX 16 GB", 8, 0.918, 102),
    Board("Orin NX 16 GB Super", 8, 1.173, 102),
    Board("AGX Orin 64 GB", 16, 1.301, 205),
)
LAUNCH_S = 5e-6
"""What the smallest kernel takes, from one launch to the next. An assumption."""


@dataclass
class Kernel:
    """Operators that run as one. unit: what multiplies (see Board.peak); padded: products including those with padding."""

    nodes: list[str]
    unit: str = "fp32"
    macs: float = 0.0
    padded: float = 0.0
    bytes: Counter[str] = field(default_factory=Counter)

    def seconds(self, board: Board) -> tuple[float, str]:
        """The least time on a board, and what sets it: arithmetic, memory or launch."""
        times = {
            "arithmetic": self.padded / board.peak(self.unit),
            "memory": sum(self.bytes.values()) / (board.bandwidth * 1e9),
            "launch": LAUNCH_S,
        }
        limit = max(times, key=lambda name: times[name])
        return times[limit], limit


class Shapes:
    """Sizes of a graph's tensors. Raises ModelError for one that is not static."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self._shapes = {t.name: tuple(t.dims) for t in graph.initializer}
        self.types = {t.name: t.data_type for t in graph.initializer}
        for value in [*graph.value_info, *graph.input, *graph.output]:
            tensor = value.type.tensor_type
            self.types[value.name] = tensor.elem_type
            if all(d.dim_value > 0 for d in tensor.shape.dim):
                self._shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)

    def __getitem__(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            raise ModelError(
                f"tensor {name}: its shape is not known; expected a graph with static shapes: export it so"
            )
        return self._shapes[name]

    def elements(self, name: str) -> int:
        """How many values a tensor has."""
        return int(np.prod(self[name], dtype=np.int64))


class _Precisions:
    """In what operators compute and tensors are stored, as TensorRT is told: INT8 between Q/DQ nodes, FP16 elsewhere.

    The softmax over the volume and what follows is taken for float32, as docs/jetson.md wants it, where it is not FP16 in
    the graph itself.
    """

    def __init__(self, graph: Graph, shapes: Shapes, half: bool) -> None:
        self._graph, self._shapes, self._other = graph, shapes, "fp16" if half else "fp32"
        try:
            softmax = volume_softmax(graph)
        except ModelError:  # a network without a volume
            self._tail: set[str] = set()
        else:
            self._tail = graph.behind([softmax]) | {softmax.name}

    def of(self, node: onnx.NodeProto) -> str:
        """What a convolution or matrix product computes in."""
        makers = [self._graph.producer.get(name) for name in node.input[:2]]
        if all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers):
            return "int8"
        return self._floating(node.output[0], node)

    def read(self, name: str) -> str:
        """What a tensor is read in: INT8 behind DequantizeLinear, pictures in uint8."""
        maker = self._graph.producer.get(name)
        if maker is not None and maker.op_type == "DequantizeLinear":
            return "int8"
        return self._floating(name, maker)

    def written(self, name: str) -> str:
        """What a result is written in: INT8 where it is read behind QuantizeLinear alone."""
        readers = self._graph.consumers.get(name, [])
        if readers and all(node.op_type == "QuantizeLinear" for node in readers):
            return "int8"
        return self._floating(name, self._graph.producer.get(name))

    def _floating(self, name: str, maker: onnx.NodeProto | None) -> str:
        kind = self._shapes.types.get(name)
        if kind in (TensorProto.UINT8, TensorProto.INT8, TensorProto.BOOL):
            return "int8"
        if kind == TensorProto.FLOAT16:
            return "fp16"
        return "fp32" if maker is not None and maker.name in self._tail else self._other


def kernels(model: onnx.ModelProto, half: bool = True) -> list[Kernel]:
    """A graph's kernels. half: TensorRT may compute in FP16. Raises ModelError for shapes that vary."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, shapes = Graph(copy), Shapes(copy)
    precisions = _Precisions(graph, shapes, half)
    members: dict[int, list[str]] = {}
    for name, number in _fuse(graph).items():
        members.setdefault(number, []).append(name)
    made = []
    for names in members.values():
        kernel = Kernel(names)
        for name in names:
            if graph.named[name].op_type in PRODUCTS:
                _count_products(kernel, graph.named[name], shapes, precisions)
        _count_bytes(kernel, graph, shapes, precisions)
        made.append(kernel)
    return made


def _fuse(graph: Graph) -> dict[str, int]:
    """Number of the kernel by node; nodes that are free, or computed when the engine is built, have none."""
    constant = _constant(graph)
    groups: dict[str, int] = {}
    for number, node in enumerate(graph.nodes):
        if node.op_type in FREE or node.name in constant:
            continue
        groups[node.name] = number
        makers = [m for name in node.input if (m := _maker(graph, name)) is not None and m.name in groups]
        hosts = [m for m in makers if len(_readers(graph, m.output[0])) == 1]
        if node.op_type in POINTWISE and hosts:
            groups[node.name] = groups[hosts[-1].name]
    return groups


def _constant(graph: Graph) -> set[str]:
    """Nodes that depend on no input of the graph."""
    fed = {i.name for i in graph.model.graph.input}
    fed_nodes = [n for n in graph.nodes if fed & set(n.input)]
    return set(graph.named) - graph.behind(fed_nodes) - {n.name for n in fed_nodes}


def _maker(graph: Graph, name: str) -> onnx.NodeProto | None:
    """Who computes a tensor, views looked through; None for constants and inputs."""
    node = graph.producer.get(name)
    while node is not None and node.op_type in FREE:
        node = graph.producer.get(node.input[0]) if node.input else None
    return node


def _readers(graph: Graph, name: str) -> list[onnx.NodeProto]:
    """Who reads a tensor, views looked through."""
    found: list[onnx.NodeProto] = []
    for node in graph.consumers.get(name, []):
        found += _readers(graph, node.output[0]) if node.op_type in FREE else [node]
    return found


def _count_products(kernel: Kernel, node: onnx.NodeProto, shapes: Shapes, precisions: _Precisions) -> None:
    weight = shapes[node.input[1]]
    attributes = {a.name: a.i for a in node.attribute}
    macs = shapes.elements(node.output[0]) * int(np.prod(weight[1:]))
    inputs, outputs = weight[1], weight[0]
    if node.op_type == "ConvTranspose":
        macs = shapes.elements(node.input[0]) * int(np.prod(weight[1:]))
        inputs, outputs = weight[0], weight[1]
    elif node.op_type != "Conv":
        inputs, outputs = (weight[-1], weight[-2]) if attributes.get("transB") else (weight[-2], weight[-1])
        macs = shapes.elements(node.output[0]) * inputs
    kernel.unit, share = precisions.of(node), 1.0
    if attributes.get("group", 1) > 1:  # no tensor cores for those
        kernel.unit = "fp32" if kernel.unit == "fp32" else "fp16 plain"
    elif kernel.unit in ALIGNMENT:
        step = ALIGNMENT[kernel.unit]
        share = float(np.prod([c / (-(-c // step) * step) for c in (inputs, outputs)]))
    kernel.macs += macs
    kernel.padded += macs / share


def _count_bytes(kernel: Kernel, graph: Graph, shapes: Shapes, precisions: _Precisions) -> None:
    members = set(kernel.nodes)
    inside = {output for name in members for output in graph.named[name].output if output}
    outputs = {value.name for value in graph.model.graph.output}
    read = {name for member in members for name in graph.named[member].input if name}
    for source, name in {_source(graph, name): name for name in sorted(read)}.items():
        if source not in inside:
            width = precisions.read(name)
            kernel.bytes[width] += shapes.elements(source) * WIDTH[width]
    for name in inside:
        readers = _readers(graph, name)
        if name in outputs or any(reader.name not in members for reader in readers):
            width = precisions.written(name)
            kernel.bytes[width] += shapes.elements(name) * WIDTH[width]


def _source(graph: Graph, name: str) -> str:
    """The tensor in memory behind views and Q/DQ."""
    while name in graph.producer and graph.producer[name].op_type in FREE and graph.producer[name].input:
        name = graph.producer[name].input[0]
    return name


def summary(found: list[Kernel]) -> dict[str, Any]:
    """The figures of a graph: GMAC by unit, MB by width, kernels, milliseconds by board and by what sets them."""
    macs: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    for kernel in found:
        macs[kernel.unit] += int(kernel.macs)
        moved.update(kernel.bytes)
    times: dict[str, dict[str, float]] = {}
    for board in BOARDS:
        by_limit = {"arithmetic": 0.0, "memory": 0.0, "launch": 0.0}
        for kernel in found:
            seconds, limit = kernel.seconds(board)
            by_limit[limit] += 1e3 * seconds
        times[board.name] = {
            name: round(value, 3) for name, value in {"sum": sum(by_limit.values()), **by_limit}.items()
        }
    return {
        "gmac": {unit: round(count / 1e9, 4) for unit, count in macs.most_common() if count},
        "megabytes": {width: round(count / 1e6, 2) for width, count in moved.most_common() if count},
        "kernels": len(found),
        "milliseconds": times,
    }
