"""Attention mask (paper, section III-B): where joints may be; keeps the background out of the stereo volume."""

from __future__ import annotations

from torch import Tensor, nn

from rsb_pose_ros.skeleton import JOINT_COUNT


class JointHeatmaps(nn.Module):
    """Features (N, C, H, W) → joint heatmap logits (N, 17, H, W): three parallel convolutions, summed, then 1×1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(channels, channels, 1)
        self.near = nn.Conv2d(channels, channels, 3, padding=2, dilation=2)
        self.wide = nn.Conv2d(channels, channels, 3, padding=3, dilation=3)
        self.head = nn.Conv2d(channels, JOINT_COUNT, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(nn.functional.relu(self.point(features) + self.near(features) + self.wide(features)))


def attention_mask(heatmaps: Tensor, normalise: bool = False) -> Tensor:
    """Mask (N, 1, H, W) from logits (N, 17, H, W): spatial softmax per joint, summed over the joints.

    normalise: scale to a peak of 1 (the sum of probabilities is small wherever heatmaps are broad).
    """
    probabilities = heatmaps.flatten(2).softmax(-1)
    mask = probabilities.sum(1, keepdim=True)
    if normalise:
        mask = mask / mask.amax(-1, keepdim=True)
    return mask.unflatten(2, heatmaps.shape[2:])
