"""Would TensorRT take this file, and take it as INT8? What can be told without a TensorRT.

Sources: NVIDIA's developer guide, "Working with Quantized Types" (explicit quantization, Q/DQ placement), and the operator
list of its ONNX parser (onnx-tensorrt, docs/operators.md).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from rsb_pose_ros.inference.card import card_path
from rsb_pose_ros.quantization.graph import Graph, load
from rsb_pose_ros.quantization.tail import narrow_tail

LOWEST_OPSET, HIGHEST_OPSET = 17, 20
"""LayerNormalization came with 17; the parsers of TensorRT 10.0 to 10.3 (JetPack 6) read up to 20."""
ALIGNMENT = {"int8": 32, "fp16": 8}
"""Channels in one vector of TensorRT's tensor formats, by precision; others are padded up to a multiple."""

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
# fmt: off
UNKNOWN = frozenset({
    "AffineGrid", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "BlackmanWindow",
    "CenterCropPad", "Col2Im", "ConcatFromSequence", "DFT", "HammingWindow", "HannWindow", "ImageDecoder",
    "MaxRoiPool", "MaxUnpool", "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss", "Optional",
    "OptionalGetElement", "OptionalHasElement", "RegexFullMatch", "STFT", "SequenceAt", "SequenceConstruct",
    "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss",
    "SplitToSequence", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer",
})
# fmt: on
"""Operators of ONNX that the parser does not know."""
RESIZE = {
    "mode": ("nearest", "linear"),
    "coordinate_transformation_mode": (
        "half_pixel",
        "pytorch_half_pixel",
        "tf_half_pixel_for_nn",
        "asymmetric",
        "align_corners",
    ),
}
"""What Resize may be, by attribute; the first is ONNX's default."""
AXES_INPUT = {"Slice": 3, "Pad": 3, "Squeeze": 1, "Unsqueeze": 1, "CumSum": 1}
"""Which input holds the axes: it has to be a constant. That of every Reduce… is the second."""
WEIGHT_AXES = {"Conv": 0, "ConvTranspose": 0}
"""Axis of a weight along which its scales may vary: output channels, for a transposed convolution input channels."""
SHAPE_INPUTS = {
    "CenterCropPad": (1,),
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (2, 3),
    "Slice": (1, 2, 4),
    "Split": (1,),
    "Tile": (1,),
    "TopK": (1,),
}
"""Which inputs say how large the output is."""
FOUND_SHAPES = ("NonMaxSuppression",)
"""What finds as many as there are; others of the kind are in REFUSED."""
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Alignment:
    """A convolution or matrix product whose channels do not fill the tensor cores.

    precision: "int8", or "fp16" for what TensorRT may compute so; used: share of the padded products that counts.
    """

    node: str
    inputs: int
    outputs: int
    used: float
    precision: str = "int8"


@dataclass(frozen=True)
class Report:
    """violations: what TensorRT would refuse or run in another precision than the file says, a sentence each;
    alignment: what would waste time; int8, heavy: convolutions and matrix products in INT8, and in all; notes: what is
    within the rules and still worth knowing."""

    violations: list[str]
    alignment: list[Alignment]
    int8: int
    heavy: int
    notes: list[str] = field(default_factory=list)


def check(model: str | Path | onnx.ModelProto, variable_batch: bool = False) -> Report:
    """Read a graph and hold it against the rules.

    Shapes must be static, except for a leading dimension that the contract of the card beside the file leaves open
    (PoseRefiner's `batch`), and no shape may hang on the values of what is fed. Where there is a co-heatmap, what comes
    after it must compute in float32 (tail.py). variable_batch: a dimension named `batch` may vary, whatever the card says.
    Raises ModelError naming a file that cannot be read.
    """
    proto = model if isinstance(model, onnx.ModelProto) else load(Path(model))
    open_names = set() if isinstance(model, onnx.ModelProto) else _open_dimensions(Path(model))
    if variable_batch:
        open_names.add("batch")
    graph = Graph(_with_constants_stored(proto))
    rules = (_form, _operators, _axes, _types, _quantizers, _weights, _found_shapes, _tail)
    violations = [sentence for rule in rules for sentence in rule(graph)] + list(_shapes(graph, open_names))
    heavy = graph.of(*HEAVY)
    int8 = [n for n in heavy if _is_dequantized(graph, n.input[0]) and _is_dequantized(graph, n.input[1])]
    notes = [*_varying(graph, open_names), *_fall_backs(graph, int8), *_unknown_shapes(graph)]
    return Report(violations, list(_alignment(graph, heavy, int8)), len(int8), len(heavy), notes)


def _with_constants_stored(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which the values of Constant nodes are initializers: exporters write scales and axes either way."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in [n for n in copy.graph.node if n.op_type == "Constant"]:
        value = _constant_of(node)
        if value is None:
            continue
        copy.graph.initializer.add().CopyFrom(value)
        copy.graph.initializer[-1].name = node.output[0]
        copy.graph.node.remove(node)
    return copy


def _constant_of(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """A Constant node's value in whichever way it is written; None for texts and sparse tensors."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return attribute.t
        if attribute.name in ("value_float", "value_floats"):
            value = attribute.f if attribute.name == "value_float" else attribute.floats
            return numpy_helper.from_array(np.array(value, np.float32))
        if attribute.name in ("value_int", "value_ints"):
            value = attribute.i if attribute.name == "value_int" else attribute.ints
            return numpy_helper.from_array(np.array(value, np.int64))
    return None


def _open_dimensions(model: Path) -> set[str]:
    """Names of leading dimensions that the card's contract leaves open; none where there is no card that can be read."""
    try:
        contract = json.loads(card_path(model).read_text(encoding="utf-8"))["contract"]
        shapes = [t["shape"] for kind in ("inputs", "outputs") for t in contract[kind].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()  # whoever runs the model says what is wrong with its card
    return {shape[0] for shape in shapes if shape and isinstance(shape[0], str)}


def _form(graph: Graph) -> Iterator[str]:
    opset = next((o.version for o in graph.model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < LOWEST_OPSET:
        yield f"the graph has opset {opset}, expected {LOWEST_OPSET} or newer: export it again"
    elif opset > HIGHEST_OPSET:
        yield f"the graph has opset {opset}, expected {HIGHEST_OPSET} or older, for JetPack 6: export it again"
    try:
        onnx.checker.check_model(graph.model, full_check=True)  # the types of operators' inputs as well
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).replace("[ShapeInferenceError] ", "").strip().splitlines()[0]
        yield f"the graph is not valid ONNX: {reason}"


def _operators(graph: Graph) -> Iterator[str]:
    ranks = _ranks(graph.model)
    for node in graph.nodes:
        if node.domain not in ("", "ai.onnx"):
            yield (
                f"{node.name}: {node.op_type} is of domain {node.domain}, expected ONNX's own operators: export or quantize "
                "without a runtime's fusions"
            )
        elif node.op_type in REFUSED:
            yield f"{node.name}: TensorRT has no {node.op_type} for this network: {REFUSED[node.op_type]}"
        elif node.op_type in UNKNOWN:
            yield f"{node.name}: TensorRT has no {node.op_type}, expected operators that it has: write it out"
        elif node.op_type == "Resize":
            yield from _resize(node)
        elif node.op_type == "GridSample" and ranks.get(node.input[0], 4) != 4:
            yield f"{node.name}: GridSample of {ranks[node.input[0]]} dimensions, expected 4: sample each plane"
        elif node.op_type in ("MaxPool", "AveragePool") and ranks.get(node.input[0], 4) not in (4, 5):
            yield f"{node.name}: {node.op_type} of {ranks[node.input[0]]} dimensions, expected 4 or 5: add one"
        elif node.op_type in ("MaxPool", "LayerNormalization") and any(node.output[1:]):
            yield f"{node.name}: {node.op_type} with {len(node.output)} outputs, expected the first alone: do without"


def _resize(node: onnx.NodeProto) -> Iterator[str]:
    if _attribute(node, "antialias", 0):
        yield f"{node.name}: Resize with antialias, expected one without: export it so"
    for name, allowed in RESIZE.items():
        found = next((a.s.decode() for a in node.attribute if a.name == name), allowed[0])
        if found not in allowed:
            yield f"{node.name}: Resize with {name} {found}, expected {' or '.join(allowed)}: export it so"


def _axes(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        index = 1 if node.op_type.startswith("Reduce") else AXES_INPUT.get(node.op_type)
        if index is None or len(node.input) <= index or not node.input[index]:
            continue
        if graph.constant(node.input[index]) is None:
            yield f"{node.name}: {node.op_type}'s axes are computed, expected a constant: fix them at export"


def _shapes(graph: Graph, open_names: Collection[str]) -> Iterator[str]:
    for value in [*graph.model.graph.input, *graph.model.graph.output]:
        for place, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_value > 0 or (place == 0 and dimension.dim_param in open_names):
                continue
            name = dimension.dim_param or "?"
            yield f"{value.name}: dimension '{name}' varies, expected static shapes: export with fixed sizes"


def _found_shapes(graph: Graph) -> Iterator[str]:
    """Shapes that hang on what is fed. A shape computed from other shapes is known when the engine is built."""
    valued = _values_fed(graph)
    for node in graph.nodes:
        if node.op_type in FOUND_SHAPES:
            yield f"{node.name}: {node.op_type}'s output has as many rows as are found, expected a static shape: do without"
            continue
        given = [node.input[i] for i in SHAPE_INPUTS.get(node.op_type, ()) if i < len(node.input)]
        found = next((name for name in given if name in valued), None)
        if found is not None:
            by = graph.producer[found].name if found in graph.producer else found
            yield (
                f"{node.name}: {node.op_type}'s shape hangs on the values that are fed (through {by}), expected a static "
                "shape: fix it at export"
            )


def _values_fed(graph: Graph) -> set[str]:
    """Tensors whose values hang on those of the graph's inputs; their shapes are another matter."""
    fed = {value.name for value in graph.model.graph.input} - set(graph.constants)
    for node in graph.nodes:  # in topological order
        if node.op_type not in ("Shape", "Size") and fed & set(node.input):
            fed.update(node.output)
    return fed


def _tail(graph: Graph) -> Iterator[str]:
    if _inferred(graph.model):  # else it is not valid, which _form says
        yield from narrow_tail(graph)


def _unknown_shapes(graph: Graph) -> Iterator[str]:
    """In a graph of static inputs: where shapes stop being known without running it."""
    inputs = graph.model.graph.input
    if not all(d.dim_value > 0 for value in inputs for d in value.type.tensor_type.shape.dim):
        return
    known = _inferred(graph.model)
    if not known:
        return  # it is not valid, which _form says
    static = {v.name for v in known if _is_static(v)} | set(graph.constants)
    unknown = [n for n in graph.nodes if not {o for o in n.output if o} <= static]
    first = [n for n in unknown if {i for i in n.input if i} <= static]
    if first:
        yield (
            f"{first[0].name}: the first of {len(unknown)} operators whose output's shape the file does not tell; ONNX "
            "Runtime hands TensorRT known shapes alone: export with fixed sizes"
        )


def _is_static(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.tensor_type
    return kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim)


def _varying(graph: Graph, open_names: Collection[str]) -> Iterator[str]:
    for value in graph.model.graph.input:
        leading = [d.dim_param for d in value.type.tensor_type.shape.dim[:1] if d.dim_param in open_names]
        if leading:
            yield f"{value.name}: '{leading[0]}' varies; TensorRT builds its engine anew where it leaves the sizes seen"


def _fall_backs(graph: Graph, int8: list[onnx.NodeProto]) -> Iterator[str]:
    pictures = {v.name for v in _inferred(graph.model) if v.type.tensor_type.elem_type == TensorProto.UINT8}
    for node in graph.nodes:
        if node.op_type not in ("Cast", *QUANTIZERS) and pictures & set(node.input):
            yield (
                f"{node.name}: {node.op_type} reads uint8, which TensorRT takes at an engine's border alone: ONNX Runtime "
                "runs it elsewhere; casting first avoids that"
            )
    for node in int8:
        weight = _weight_behind(graph, graph.producer[node.input[1]])
        if node.op_type == "ConvTranspose" and weight is not None and weight.ndim == 5:
            yield f"{node.name}: TensorRT has no INT8 for transposed 3D convolutions and computes it wider; keep it out"


def _types(graph: Graph) -> Iterator[str]:
    for name, tensor in graph.constants.items():
        if tensor.data_type == TensorProto.DOUBLE:
            yield f"constant {name}: is float64, expected float32 or narrower"
    for node in graph.of("Cast"):
        if _attribute(node, "to", 0) == TensorProto.DOUBLE:
            yield f"{node.name}: casts to float64, expected float32 or narrower"


def _quantizers(graph: Graph) -> Iterator[str]:
    for node in graph.of(*QUANTIZERS):
        scale = graph.constant(node.input[1])
        if scale is None:
            yield f"{node.name}: its scale is computed, expected a constant: calibrate"
            continue
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            yield f"{node.name}: its scale is not positive everywhere, expected steps above 0: calibrate again"
        yield from _zero_point(graph, node)
        if scale.size > 1:
            yield from _axis(graph, node, scale.size)


def _zero_point(graph: Graph, node: onnx.NodeProto) -> Iterator[str]:
    if len(node.input) < 3 or not node.input[2]:
        if node.op_type == "QuantizeLinear" and _attribute(node, "output_dtype", 0) != TensorProto.INT8:
            yield f"{node.name}: quantizes to uint8 (no zero point given), expected int8: give one of that type"
        stored = graph.constant(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if stored is not None:
            yield from _stored_type(node, stored)
        return
    zero = graph.constant(node.input[2])
    if zero is None:
        yield f"{node.name}: its zero point is computed, expected a constant 0: calibrate"
    elif zero.dtype != np.int8:
        yield from _stored_type(node, zero)
    elif zero.any():
        yield f"{node.name}: its zero point is {int(zero.flat[np.argmax(zero != 0)])}, expected 0: quantize symmetrically"


def _stored_type(node: onnx.NodeProto, value: np.ndarray) -> Iterator[str]:
    if value.dtype == np.int32:
        yield f"{node.name}: an INT32 bias stands behind DequantizeLinear, expected biases in float: do not quantize them"
    elif value.dtype != np.int8:
        yield f"{node.name}: is {value.dtype}, expected int8: quantize symmetrically (--target jetson)"


def _axis(graph: Graph, node: onnx.NodeProto, scales: int) -> Iterator[str]:
    weight = _weight_behind(graph, node)
    if weight is None:
        yield f"{node.name}: has {scales} scales for activations, expected one: only weights may differ by channel"
        return
    axis = _attribute(node, "axis", 1) % max(weight.ndim, 1)
    for reader in _readers(graph, node):
        if reader.op_type == "Gemm":
            expected = 0 if _attribute(reader, "transB", 0) else 1
        else:
            expected = WEIGHT_AXES.get(reader.op_type, weight.ndim - 1)
        if axis != expected:
            yield (
                f"{node.name}: scales along axis {axis} of {reader.name}'s weight, expected axis {expected}: quantize along "
                "that one"
            )
        elif weight.shape[axis] != scales:
            yield f"{node.name}: {scales} scales for {weight.shape[axis]} channels, expected one each: quantize again"


def _weights(graph: Graph) -> Iterator[str]:
    for node in graph.of(*HEAVY):
        activation, weight = (_is_dequantized(graph, name) for name in node.input[:2])
        if weight and not activation:
            yield f"{node.name}: its weight is INT8 and its input is not, expected both or neither: quantize both"
        elif activation and not weight and graph.constant(node.input[1]) is not None:
            yield f"{node.name}: its input is INT8 and its weight is not, expected both or neither: quantize both"


def _alignment(graph: Graph, heavy: list[onnx.NodeProto], int8: list[onnx.NodeProto]) -> Iterator[Alignment]:
    quantized = {node.name for node in int8}
    for node in heavy:
        channels = _channels(graph, node)
        if channels is None:
            continue
        precision = "int8" if node.name in quantized else "fp16"
        used = float(np.prod([c / (-(-c // ALIGNMENT[precision]) * ALIGNMENT[precision]) for c in channels]))
        if used < 1:
            yield Alignment(node.name, *channels, used, precision)


def _channels(graph: Graph, node: onnx.NodeProto) -> tuple[int, int] | None:
    """Input and output channels of a product with constant weights; None for grouped ones, which use no tensor cores."""
    name = node.input[1]
    weight = _weight_behind(graph, graph.producer[name]) if name in graph.producer else graph.constant(name)
    if weight is None or weight.ndim < 2 or _attribute(node, "group", 1) != 1:
        return None
    if node.op_type == "Conv" or (node.op_type == "Gemm" and _attribute(node, "transB", 0)):
        return weight.shape[1], weight.shape[0]
    if node.op_type == "ConvTranspose":
        return weight.shape[0], weight.shape[1]
    return weight.shape[-2], weight.shape[-1]


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


def alignment_lines(report: Report, shown: int = 5) -> list[str]:
    """What does not fill the tensor cores, as text: how many operators of each precision, and the `shown` worst of them."""
    lines = []
    for precision, multiple in ALIGNMENT.items():
        found = sorted((a for a in report.alignment if a.precision == precision), key=lambda a: a.used)
        if not found:
            continue
        lines.append(
            f"{len(found)} operators in {precision.upper()} do not fill the tensor cores (multiples of {multiple} "
            "channels), the worst:"
        )
        lines += [
            f"  {a.node}: {a.inputs} → {a.outputs} channels, {100 * a.used:.0f} % of the products count"
            for a in found[:shown]
        ]
    return lines


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((a.i for a in node.attribute if a.name == name), default)


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    return {v.name: len(v.type.tensor_type.shape.dim) for v in _inferred(model)}


def _inferred(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What is known of the graph's tensors; nothing of an invalid graph, which _form reports."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:
        return []
    return [*graph.value_info, *graph.input, *graph.output]
