"""From co-heatmap to co-keypoints: softmax over the whole volume, expectation and spread over (u, v, d)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

STRIDE = 4
"""Crop pixels per feature cell."""


@dataclass
class CoKeypoints:
    """uvd: (B, 17, 3) expectation of (u_left, v, disparity), crop pixels; variance: the same shape, crop pixels².

    peak: (B, 17) probability at the mode of the volume, a measure of how sharp the co-heatmap is.
    """

    uvd: Tensor
    variance: Tensor
    peak: Tensor


def views_of(uvd: Tensor) -> Tensor:
    """Keypoints (B, 2, 17, 2) of both views from (B, 17, 3) u_left, v, disparity: left (u, v), right (u − d, v)."""
    u, v, d = uvd.unbind(-1)
    return torch.stack([torch.stack([u, v], -1), torch.stack([u - d, v], -1)], 1)


def cells_to_pixels(cells: Tensor) -> Tensor:
    """Positions in feature cells → crop pixels, centres at integers in both."""
    return (cells + 0.5) * STRIDE - 0.5


def soft_argmax(logits: Tensor, disparities: range) -> CoKeypoints:
    """Co-keypoints of logits (B, 17, D, H, W) (paper, section III-C). Float32 throughout."""
    depth, height, width = logits.shape[2:]
    probability = logits.float().flatten(2).softmax(-1)
    volume = probability.unflatten(2, (depth, height, width))
    rows = volume.sum(2)
    marginals = (rows.sum(2), rows.sum(3), volume.sum((3, 4)))
    axis = (
        cells_to_pixels(torch.arange(width, device=logits.device, dtype=torch.float32)),
        cells_to_pixels(torch.arange(height, device=logits.device, dtype=torch.float32)),
        STRIDE * torch.arange(disparities.start, disparities.stop, device=logits.device, dtype=torch.float32),
    )
    mean = [(m * a).sum(-1, keepdim=True) for m, a in zip(marginals, axis, strict=True)]
    variance = [(m * (a - e) ** 2).sum(-1) for m, a, e in zip(marginals, axis, mean, strict=True)]
    return CoKeypoints(torch.cat(mean, -1), torch.stack(variance, -1), probability.amax(-1))
