"""Confidence per joint: the probability that its co-keypoint lies within half a head of the truth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.softargmax import CoKeypoints
from rsb_pose_ros.skeleton import JOINT_COUNT


class Confidence(nn.Module):
    """Reads how sharp the co-heatmap is, how strong both views' joint heatmaps are, and what the regressor saw.

    The paper has none; a robot must know when nobody is there.
    """

    def __init__(self, pooled_channels: int, hidden: int = 32) -> None:
        super().__init__()
        self.context = nn.Linear(pooled_channels, hidden)
        self.evidence = nn.Linear(6, hidden)
        self.joint = nn.Parameter(torch.zeros(1, JOINT_COUNT, hidden))
        self.out = nn.Linear(hidden, 1)

    def forward(self, keypoints: CoKeypoints, heatmap_peaks: Tensor, pooled: Tensor) -> Tensor:
        """Logits (B, 17); heatmap_peaks: (B, 2, 17) maxima of the joint heatmaps; pooled: (B, channels)."""
        spread = torch.log(keypoints.variance + 1.0)
        sharpness = torch.log(keypoints.peak + 1e-6)[..., None]
        evidence = torch.cat([spread, sharpness, heatmap_peaks.transpose(1, 2) * 0.1], dim=-1)
        hidden = self.evidence(evidence) + self.context(pooled)[:, None] + self.joint
        return self.out(nn.functional.relu(hidden)).squeeze(-1)
