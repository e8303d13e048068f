"""A stand-in for the trained network: a tiny ONNX graph with the same contract that finds 17 coloured discs.

It answers as the real one does (finds, follows, loses; knows nothing outside its disparity range), so that everything
around the network can be tested without it. Scopes carry the real graph's names, so that it can be quantized as well.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsb_pose_ros.inference.card import (
    POSE_REFINEMENT,
    STEREO_POSE,
    ModelCard,
    expected_contract,
    sha256_of,
    write_card,
)
from rsb_pose_ros.skeleton import JOINT_COUNT

SIZE = 128
DISPARITY_RANGE = (-28.0, 32.0)
COLOURS_BGR = np.array(
    [[round(255 * c) for c in reversed(colorsys.hsv_to_rgb(j / JOINT_COUNT, 1, 1))] for j in range(JOINT_COUNT)],
    np.uint8,
)
"""(17, 3): joint j is a disc of this colour."""

_RADIUS = 0.22
"""Colour distance (channels in 0…1) at which a pixel no longer belongs to a joint."""
_SHARPNESS = 24.0
_LOWEST_MASS = 0.8
"""Matching pixels that a joint needs in both views."""


class _Graph:
    """Collects nodes and constants; each method adds one node and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def _score_maps(g: _Graph, size: int) -> str:
    """crops → (2, 17, S·S) in 0…1: how well each pixel's colour is that of each joint."""
    colours = COLOURS_BGR.astype(np.float32) / 255
    g.add("Cast", ["crops"], "/preprocess/Cast", to=TensorProto.FLOAT)
    g.constant("views_shape", np.array([2, size, size, 3], np.int64))
    g.add("Reshape", ["/preprocess/Cast", "views_shape"], "/preprocess/Reshape")
    g.add("Transpose", ["/preprocess/Reshape"], "/preprocess/Transpose", perm=[0, 3, 1, 2])
    g.constant("backbone.weight", (np.eye(3, dtype=np.float32) / 255)[:, :, None, None])
    g.constant("backbone.bias", np.zeros(3, np.float32))
    g.add("Conv", ["/preprocess/Transpose", "backbone.weight", "backbone.bias"], "/backbone/conv/Conv")
    g.constant("zero", np.float32(0))
    g.constant("six", np.float32(6))
    g.add("Clip", ["/backbone/conv/Conv", "zero", "six"], "/backbone/act/Clip")
    g.add("Mul", ["/backbone/act/Clip", "/backbone/act/Clip"], "/regressor/Mul")
    g.add("Concat", ["/backbone/act/Clip", "/regressor/Mul"], "/regressor/Concat", axis=1)
    # 1 − |p − c|² / r² as a 1×1 convolution over [p, p²].
    weight = np.concatenate([2 * colours, -np.ones_like(colours)], axis=1) / _RADIUS**2
    g.constant("regressor.weight", weight[:, :, None, None].astype(np.float32))
    g.constant("regressor.bias", (1 - (colours**2).sum(1) / _RADIUS**2).astype(np.float32))
    g.add("Conv", ["/regressor/Concat", "regressor.weight", "regressor.bias"], "/regressor/head/Conv")
    g.add("Relu", ["/regressor/head/Conv"], "/regressor/head/Relu")
    g.constant("flat_shape", np.array([2, JOINT_COUNT, size * size], np.int64))
    return g.add("Reshape", ["/regressor/head/Relu", "flat_shape"], "/regressor/Reshape")


def _keypoints(g: _Graph, maps: str, size: int) -> str:
    """(2, 17, S·S) → keypoints (1, 2, 17, 2): the expectation of the pixel, rows averaged over the views."""
    g.constant("sharpness", np.float32(_SHARPNESS))
    g.add("Mul", [maps, "sharpness"], "/softargmax/Mul")
    g.add("Softmax", ["/softargmax/Mul"], "/softargmax/Softmax", axis=-1)
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    g.constant("grid", np.stack([columns.ravel(), rows.ravel()], -1).astype(np.float32))
    g.add("MatMul", ["/softargmax/Softmax", "grid"], "/softargmax/MatMul")
    g.constant("keypoints_shape", np.array([1, 2, JOINT_COUNT, 2], np.int64))
    return g.add("Reshape", ["/softargmax/MatMul", "keypoints_shape"], "keypoints")


def _pick(g: _Graph, source: str, name: str, index: list[int]) -> str:
    """One element of a tensor as a tensor of shape (1,)."""
    g.constant(f"{name}_index", np.array([index], np.int64))
    return g.add("GatherND", [source, f"{name}_index"], f"/triangulation/{name}")


def _triangulation(g: _Graph, keypoints: str) -> tuple[str, str]:
    """keypoints and projections → joints (1, 17, 3), and the crop disparity (1, 17)."""
    picked = {
        name: _pick(g, "projections", name, [0, *index])
        for name, index in {
            "fx": [0, 0, 0],
            "fy": [0, 1, 1],
            "cx": [0, 0, 2],
            "cy": [0, 1, 2],
            "cx_right": [1, 0, 2],
            "tx": [1, 0, 3],
        }.items()
    }
    for name, (view, axis) in {"u": (0, 0), "u_right": (1, 0), "v": (0, 1)}.items():
        g.constant(f"{name}_view", np.array(view, np.int64))
        g.constant(f"{name}_axis", np.array(axis, np.int64))
        g.add("Gather", [keypoints, f"{name}_view"], f"/triangulation/{name}_of_view", axis=1)
        g.add("Gather", [f"/triangulation/{name}_of_view", f"{name}_axis"], f"/triangulation/{name}", axis=2)
    t = "/triangulation/"
    g.add("Sub", [t + "u", t + "u_right"], t + "crop_disparity")
    g.add("Sub", [picked["cx"], picked["cx_right"]], t + "offset")
    g.add("Sub", [t + "crop_disparity", t + "offset"], t + "disparity")
    g.constant("tiny", np.float32(1e-3))
    g.add("Max", [t + "disparity", "tiny"], t + "positive")
    g.add("Neg", [picked["tx"]], t + "baseline_px")
    z = g.add("Div", [t + "baseline_px", t + "positive"], t + "z")
    for axis, pixel, centre, focal in (("x", "u", "cx", "fx"), ("y", "v", "cy", "fy")):
        g.add("Sub", [t + pixel, picked[centre]], f"{t}{axis}_px")
        g.add("Mul", [f"{t}{axis}_px", z], f"{t}{axis}_scaled")
        g.add("Div", [f"{t}{axis}_scaled", picked[focal]], t + axis)
    g.constant("last", np.array([-1], np.int64))
    columns = [g.add("Unsqueeze", [t + axis, "last"], f"{t}{axis}_column") for axis in "xyz"]
    return g.add("Concat", columns, "joints_initial", axis=-1), t + "crop_disparity"


def _confidence(g: _Graph, maps: str, disparity: str) -> str:
    """How many pixels match in the poorer view; 0 where the disparity is outside the volume."""
    g.add("ReduceSum", [maps, "last"], "/uncertainty/mass", keepdims=0)
    g.constant("views", np.array([0], np.int64))
    g.add("ReduceMin", ["/uncertainty/mass", "views"], "/uncertainty/poorer", keepdims=1)
    g.constant("per_mass", np.float32(1 / _LOWEST_MASS))
    g.add("Mul", ["/uncertainty/poorer", "per_mass"], "/uncertainty/scaled")
    g.constant("one", np.float32(1))
    g.add("Clip", ["/uncertainty/scaled", "zero", "one"], "/uncertainty/clipped")
    g.constant("lowest", np.float32(DISPARITY_RANGE[0]))
    g.constant("highest", np.float32(DISPARITY_RANGE[1]))
    g.add("Clip", [disparity, "lowest", "highest"], "/uncertainty/in_range")
    g.add("Equal", ["/uncertainty/in_range", disparity], "/uncertainty/inside")
    g.add("Cast", ["/uncertainty/inside"], "/uncertainty/inside_float", to=TensorProto.FLOAT)
    return g.add("Mul", ["/uncertainty/clipped", "/uncertainty/inside_float"], "confidence")


def _covariance(g: _Graph) -> str:
    """A sphere of 1 cm around each joint."""
    g.constant("sphere", np.tile(np.eye(3, dtype=np.float32) * 1e-4, (1, JOINT_COUNT, 1, 1)))
    g.constant("ones", np.ones((1, JOINT_COUNT, 1, 1), np.float32))
    return g.add("Mul", ["sphere", "ones"], "covariance")


def _model(g: _Graph, task: str, size: int, name: str) -> onnx.ModelProto:
    kinds = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
    values = {
        kind: [helper.make_tensor_value_info(n, kinds[t["dtype"]], t["shape"]) for n, t in tensors.items()]
        for kind, tensors in expected_contract(task, size).items()
    }
    graph = helper.make_graph(g.nodes, name, values["inputs"], values["outputs"], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def write_blob_model(folder: Path, name: str = "blob", size: int = SIZE) -> Path:
    """Write the stand-in stereo_pose model and its card; returns the .onnx path."""
    g = _Graph()
    maps = _score_maps(g, size)
    initial, disparity = _triangulation(g, _keypoints(g, maps, size))
    _confidence(g, maps, disparity)
    _covariance(g)
    g.add("Identity", [initial], "joints")
    return _save(_model(g, STEREO_POSE, size, name), folder, name, STEREO_POSE, size)


def write_blob_refiner(folder: Path, name: str = "blob_ppt") -> Path:
    """Write a stand-in pose_refinement model (moves every joint 1 cm along x) and its card."""
    g = _Graph()
    g.constant("step", np.array([0.01, 0, 0], np.float32))
    g.add("Add", ["joints", "step"], "refined")
    return _save(_model(g, POSE_REFINEMENT, 0, name), folder, name, POSE_REFINEMENT, None)


def _save(model: onnx.ModelProto, folder: Path, name: str, task: str, size: int | None) -> Path:
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    stereo = task == STEREO_POSE
    card = ModelCard(
        name=name,
        task=task,
        sha256=sha256_of(path),
        contract=expected_contract(task, size or 0),
        image_size=size,
        disparity_range_px=DISPARITY_RANGE if stereo else None,
        licence="Apache-2.0",
    )
    write_card(card, path)
    return path
