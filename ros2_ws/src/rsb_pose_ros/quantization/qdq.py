"""Putting Q/DQ nodes into a float graph, as a target wants them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from rsb_pose_ros.quantization.graph import CONVOLUTIONS, Graph


@dataclass(frozen=True)
class Recipe:
    """How a target wants its Q/DQ nodes.

    symmetric: zero points 0, signed activations (TensorRT); else unsigned with zero points (VNNI, Arm dot products).
    outputs: Q/DQ behind operators too (a CPU kernel needs both ends; an activation then vanishes in the zero point and
    range of its convolution); TensorRT places its own and fuses better without. half: the transformer computes in float16.
    logits: the co-heatmap is summed in 8 bits, too; it is the largest tensor of all, and on a CPU its sum takes as long
    as a tenth of the convolutions (docs/performance.md). operators: TensorRT wants the scales of a transposed convolution
    per input channel, which ONNX Runtime's quantizer does not write, and in 3D runs it in float anyway.
    """

    scheme: str
    symmetric: bool
    outputs: bool
    half: bool
    logits: bool
    operators: tuple[str, ...]
    products: tuple[str, ...] = ()
    """Products with weights behind the volume that become INT8 as well: regular expressions of names."""
    exact: tuple[str, ...] = (r"^/network/stem/", r"^/network/stem_separable/")
    """Stays float where it exists: the second look compares these features, and they cost little (docs/performance.md)."""


RECIPES = {
    "jetson": Recipe(
        "S8S8 symmetric",
        True,
        False,
        True,
        False,
        ("Conv", "Add", "Gemm", "MatMul"),
        (r"/transformer/blocks\.\d+/(mlp|attention/out)/",),
    ),
    "cpu": Recipe(
        "U8S8 asymmetric",
        False,
        True,
        False,
        True,
        ("Conv", "ConvTranspose", "Add", "Concat", "Resize", "Clip", "Relu", "Pad", "Slice", "MaxPool"),
    ),
}


def insert(
    model: onnx.ModelProto, ranges: TensorsData, chosen: Sequence[str], recipe: Recipe, float_weights: bool = False
) -> onnx.ModelProto:
    """A copy of the float graph in which the chosen nodes stand between Q/DQ nodes, weights int8 per channel.

    float_weights: weights float32 behind Q/DQ pairs (TensorRT before 10 reads no int8 weights).
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    logging.disable(logging.WARNING)  # it advises preprocessing, which the export has done
    try:
        quantizer = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if recipe.symmetric else QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=list(chosen),
            nodes_to_exclude=[],
            op_types_to_quantize=list(recipe.operators),
            extra_options={
                "ActivationSymmetric": recipe.symmetric,
                "WeightSymmetric": True,
                # TensorRT refuses INT32 biases; a CPU kernel wants them.
                "QuantizeBias": not recipe.symmetric,
                "AddQDQPairToWeight": float_weights,
                "OpTypesToExcludeOutputQuantization": [] if recipe.outputs else list(recipe.operators),
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()  # it appends; ONNX asks for nodes in order
    finally:
        logging.disable(logging.NOTSET)
    quantized = quantizer.model.model
    _only_onnx_domain(quantized, model)
    return quantized


def pictures(model: onnx.ModelProto) -> list[str]:
    """Float tensors that hold a uint8 picture and are read by convolutions alone: their range is 0 … 255."""
    graph = Graph(model)
    bytes_in = {i.name for i in model.graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    found = []
    for node in graph.of("Cast", "Reshape", "Transpose"):
        readers = graph.consumers.get(node.output[0], [])
        path = [node, *(graph.named[name] for name in graph.before([node]))]
        only_moved = all(n.op_type in ("Cast", "Reshape", "Transpose") for n in path)
        if only_moved and bytes_in & {n.input[0] for n in path} and readers:
            found += [node.output[0]] if all(n.op_type in CONVOLUTIONS for n in readers) else []
    return found


def _only_onnx_domain(quantized: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """Other runtimes stumble over listed domains that no node uses."""
    used = {node.domain for node in quantized.graph.node}
    if used <= {"", "ai.onnx"}:
        del quantized.opset_import[:]
        quantized.opset_import.extend(model.opset_import)
