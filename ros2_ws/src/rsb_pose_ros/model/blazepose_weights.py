"""Reads BlazePose GHUM's published weights (Google, Apache-2.0) from a mediapipe wheel or installation."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import torch

from rsb_pose_ros.model.blazepose import BlazePoseBackbone, LandmarkHeatmaps

MEMBER = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
HEATMAP_TENSOR_CHANNELS = 39


def read_tflite(source: str | Path | None = None) -> bytes:
    """The model file's bytes from a .whl, a .tflite, or (None) the installed mediapipe package.

    Raises FileNotFoundError with the way to get it (pip download mediapipe==0.10.14 --no-deps).
    """
    advice = "expected mediapipe==0.10.14: pip download --no-deps mediapipe==0.10.14, then give the .whl"
    if source is None:
        spec = importlib.util.find_spec("mediapipe")
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"package mediapipe is not installed; {advice}")
        return (Path(spec.origin).parent.parent / MEMBER).read_bytes()
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: not found; {advice}")
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            if MEMBER not in wheel.namelist():
                raise FileNotFoundError(f"{source}: has no {MEMBER}; {advice}")
            return wheel.read(MEMBER)
    return source.read_bytes()


def convolution_weights(content: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight, bias) of every convolution in graph order, float32, weights as PyTorch's (out, in / groups, h, w)."""
    import tflite

    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    stored_as = {}  # float16 constants stand behind DEQUANTIZE operators
    weights = []
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == tflite.BuiltinOperator.DEQUANTIZE:
            stored_as[operator.Outputs(0)] = operator.Inputs(0)
        elif builtin in (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D):
            depthwise = builtin == tflite.BuiltinOperator.DEPTHWISE_CONV_2D
            kernel, bias = (_constant(model, graph, stored_as[operator.Inputs(k)]) for k in (1, 2))
            # TFLite: (out, h, w, in), depthwise (1, h, w, channels).
            weights.append((kernel.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2)), bias))
    return weights


def load_blazepose(content: bytes) -> tuple[BlazePoseBackbone, LandmarkHeatmaps]:
    """Backbone and landmark head with the published weights. The stem is turned to BGR, the order of our crops."""
    backbone, head = BlazePoseBackbone(), LandmarkHeatmaps()
    weights = convolution_weights(content)
    # The high-resolution lateral feeds the segmentation branch alone, which is left out.
    needed = backbone.convolutions_in_graph_order()
    published = [w for i, w in enumerate(weights) if i not in _SEGMENTATION_LATERAL]
    for convolution, (kernel, bias) in zip(needed, published, strict=False):
        _assign(convolution, kernel, bias)
    with torch.no_grad():
        backbone.stem.weight.copy_(backbone.stem.weight.flip(1))
    heatmaps = next(w for w in weights if w[0].shape[0] == HEATMAP_TENSOR_CHANNELS and w[0].shape[2:] == (1, 1))
    _assign(head.conv, *heatmaps)
    return backbone.eval(), head.eval()


# Positions among the graph's convolutions: the depthwise and pointwise layer beside the expansion of stage 4.
_SEGMENTATION_LATERAL = (4, 5)


def _assign(convolution: torch.nn.Conv2d, kernel: np.ndarray, bias: np.ndarray) -> None:
    if tuple(convolution.weight.shape) != kernel.shape:
        raise ValueError(
            f"the published graph has a convolution of shape {kernel.shape}, expected "
            f"{tuple(convolution.weight.shape)}: this is not pose_landmark_full.tflite of mediapipe 0.10.14"
        )
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
        assert convolution.bias is not None
        convolution.bias.copy_(torch.from_numpy(bias))


def _constant(model, graph, index: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    tensor = graph.Tensors(index)
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    return np.frombuffer(data.tobytes(), np.float16).astype(np.float32).reshape(tensor.ShapeAsNumpy())
