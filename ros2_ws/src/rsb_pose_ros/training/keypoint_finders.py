"""Checkpoints as something that finds keypoints in a pair of crops: the network's own, and BlazePose's landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rsb_pose_ros.benchmark.heatmaps import peaks
from rsb_pose_ros.evaluation.photographs import Find
from rsb_pose_ros.landmarks import LANDMARK_COUNT, joints_of_landmarks
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.blazepose import BlazePoseBackbone, LandmarkHeatmaps
from rsb_pose_ros.model.config import build
from rsb_pose_ros.model.softargmax import views_of
from rsb_pose_ros.training import checkpoint


def of_checkpoint(path: Path, blazepose: Path | None) -> list[tuple[str, Find]]:
    """Name and finder of a checkpoint's network and of the published landmarks on its backbone, where there are some.

    path: a training's checkpoint, or what tools/import_blazepose.py wrote, which has landmarks alone.
    """
    content = checkpoint.load(path)
    if "landmarks" in content:
        backbone = BlazePoseBackbone()
        backbone.load_state_dict(content["backbone"])
        return [(f"{path.stem}: landmarks", _Landmarks(backbone, content["landmarks"]))]
    if "average" not in content or "config" not in content:
        raise ValueError(f"{path}: has {', '.join(content)}; expected a checkpoint of tools/train.py sce or finish")
    name = f"{path.parent.name}/{path.stem}"
    network = RSBPose(build(ModelConfig, content["config"], str(path)))
    network.load_state_dict(content["average"])
    found: list[tuple[str, Find]] = [(name, _Network(network))]
    if blazepose and isinstance(network.backbone, BlazePoseBackbone):
        landmarks = checkpoint.load(blazepose)["landmarks"]
        found.append((f"{name}: landmarks", _Landmarks(network.backbone, landmarks)))
    return found


class _Network:
    def __init__(self, network: RSBPose) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def __call__(self, crops: np.ndarray, projections: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        estimate = self._network(torch.from_numpy(crops)[None], torch.from_numpy(projections).float()[None])
        return views_of(estimate.uvd)[0, 0].numpy(), estimate.confidence_logits[0].sigmoid().numpy()


class _Landmarks:
    def __init__(self, backbone: nn.Module, weights: dict[str, Tensor]) -> None:
        self._backbone, self._heatmaps = backbone.eval(), LandmarkHeatmaps().eval()
        self._heatmaps.load_state_dict(weights)

    @torch.no_grad()
    def __call__(self, crops: np.ndarray, projections: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        del projections
        image = torch.from_numpy(crops[:1]).permute(0, 3, 1, 2).float() / 255
        heatmaps = self._heatmaps(self._backbone(image))[0, :LANDMARK_COUNT].numpy()
        return joints_of_landmarks(peaks(heatmaps)[0]), None
