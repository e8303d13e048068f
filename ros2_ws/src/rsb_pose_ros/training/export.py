"""PyTorch → ONNX: one static graph from uint8 crops to joints in metres, and the pose transformer alone."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from rsb_pose_ros.inference.card import (
    POSE_REFINEMENT,
    STEREO_POSE,
    ModelCard,
    expected_contract,
    sha256_of,
    write_card,
)
from rsb_pose_ros.inference.refiner import UNKNOWN_METRES
from rsb_pose_ros.model import PoseTransformer, RSBPose
from rsb_pose_ros.model.softargmax import STRIDE, views_of
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.training.half_weights import rounded_to_half, store_in_half

OPSET = 17
"""The lowest with LayerNormalization; what TensorRT 8.6 (JetPack 5) to 10 read."""

NOT_IN_TENSORRT = frozenset(
    """
    Det Loop Scan If NonZero ScatterND Unique Attention QLinearConv QLinearMatMul MatMulInteger ConvInteger
    DynamicQuantizeLinear RandomUniformLike RandomNormalLike Bernoulli
    """.split()  # noqa: SIM905 - a list of forty quotes reads worse
)
"""Operators that have no place in a graph for TensorRT: missing there, or a sign of a bad export."""


PARITY_DISTANCE_M = 5.0
"""As far as the node's people usually stand: farther joints are compared as if they stood there."""


class StereoPoseGraph(nn.Module):
    """The outputs of the contract, in its order."""

    def __init__(self, network: RSBPose) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor, projections: Tensor) -> tuple[Tensor, ...]:
        estimate = self.network(crops, projections)
        keypoints = views_of(estimate.uvd)
        confidence = estimate.confidence_logits.sigmoid()
        return estimate.joints, estimate.joints_initial, keypoints, confidence, estimate.covariance


class PoseRefinementGraph(nn.Module):
    """The transformer alone; joints at UNKNOWN_METRES are masked."""

    def __init__(self, transformer: PoseTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, joints: Tensor) -> Tensor:
        masked = joints.abs().amax(-1) > UNKNOWN_METRES / 2
        return self.transformer.refine(joints, masked)


def example_pair(size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random crops (1, 2, S, S, 3) uint8 and cameras (1, 2, 3, 4) of a plausible rig, for tracing and parity."""
    generator = torch.Generator().manual_seed(seed)
    crops = torch.randint(0, 256, (1, 2, size, size, 3), generator=generator, dtype=torch.uint8)
    projections = torch.zeros(1, 2, 3, 4)
    projections[:, :, 0, 0] = projections[:, :, 1, 1] = 1.3 * size
    projections[:, :, :2, 2] = size / 2 - 0.5
    # The right window is shifted by the disparity at 3 m, so that the volume's middle lies there.
    projections[:, 1, 0, 3] = -1.3 * size * 0.12
    projections[:, 1, 0, 2] += 1.3 * size * 0.12 / 3
    projections[:, :, 2, 2] = 1
    return crops, projections


def parity_error(found: np.ndarray, expected: np.ndarray, triangulated: np.ndarray) -> float:
    """Largest difference of joints (B, 17, 3), metres, between two runtimes of one network.

    Where the farthest triangulated joint (B, 17, 3) of a pose lies beyond PARITY_DISTANCE_M, what the difference would be
    there: random pictures put joints at any distance, with the square of which the same rounding of a disparity grows.
    """
    farthest = np.linalg.norm(triangulated, axis=-1).max(-1)
    scale = np.minimum(1, (PARITY_DISTANCE_M / farthest) ** 2)
    return float((np.abs(found - expected).max((1, 2)) * scale).max())


def export_stereo_pose(model: RSBPose, path: Path, record: dict[str, Any]) -> ModelCard:
    """Write the network's graph and card. record: card fields training, measured, licence, attribution."""
    size, disparities = model.config.image_size, model.config.disparities
    contract = expected_contract(STEREO_POSE, size)
    _export(StereoPoseGraph(model).eval(), example_pair(size), path, contract, dynamic=None)
    card = ModelCard(
        name=path.stem,
        task=STEREO_POSE,
        sha256=sha256_of(path),
        contract=contract,
        image_size=size,
        disparity_range_px=(STRIDE * disparities.start, STRIDE * (disparities.stop - 1)),
        configuration=model.config.to_dict(),
        **record,
    )
    write_card(card, path)
    return card


def export_pose_prior(
    model: PoseTransformer, path: Path, configuration: dict[str, Any], record: dict[str, Any]
) -> ModelCard:
    """Write the pose transformer's graph (dynamic batch: it serves recorded poses too; weights in FP16) and card."""
    contract = expected_contract(POSE_REFINEMENT, 0)
    joints = torch.randn(2, JOINT_COUNT, 3) * 0.3 + torch.tensor([0, 0, 3.0])
    _export(
        PoseRefinementGraph(rounded_to_half(model)).eval(),
        (joints,),
        path,
        contract,
        dynamic={"joints": {0: "batch"}, "refined": {0: "batch"}},
        half=True,
    )
    card = ModelCard(
        name=path.stem,
        task=POSE_REFINEMENT,
        sha256=sha256_of(path),
        contract=contract,
        configuration={**configuration, "completes": True},
        **record,
    )
    write_card(card, path)
    return card


def check_graph(model: onnx.ModelProto, static: bool) -> None:
    """Raise ValueError naming operators or shapes that TensorRT does not take."""
    operators = {node.op_type for node in model.graph.node}
    forbidden = sorted(operators & NOT_IN_TENSORRT)
    if forbidden:
        raise ValueError(f"the graph has {', '.join(forbidden)}; expected operators that TensorRT knows")
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise ValueError(f"the graph has operators of {', '.join(foreign)}; expected ONNX's own only")
    if static and "Shape" in operators:
        raise ValueError("the graph computes shapes at run time; expected static ones")


def _export(
    model: nn.Module, inputs: tuple, path: Path, contract: dict, dynamic: dict | None, half: bool = False
) -> None:
    """Trace, fold what is constant, check, write. Module scopes stay in the node names (`/network/backbone/…`).

    half: weights that FP16 holds exactly are stored so.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about every constant it bakes in, which is what is wanted
        traced = Path(folder) / "traced.onnx"
        torch.onnx.export(
            model,
            inputs,
            str(traced),
            input_names=list(contract["inputs"]),
            output_names=list(contract["outputs"]),
            opset_version=OPSET,
            dynamic_axes=dynamic,
            dynamo=False,  # keeps the module scopes in the names, by which tools/quantize.py and engineers find parts
        )
        folded = Path(folder) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(traced), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(folded)
    # onnxruntime lists its own domains although no node uses them; other runtimes stumble over that.
    del graph.opset_import[:]
    graph.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    graph.producer_name = "rsb_pose_ros"
    if half:
        store_in_half(graph)
    check_graph(graph, static=dynamic is None)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)
