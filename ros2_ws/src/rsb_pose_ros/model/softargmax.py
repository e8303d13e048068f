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


def cells_to_pixels(cells: Tensor, stride: int = STRIDE) -> Tensor:
    """Positions in cells `stride` crop pixels wide → crop pixels, centres at integers in both."""
    return (cells + 0.5) * stride - 0.5


@dataclass
class Marginals:
    """What is read of softmaxes over volumes (B, 17, D, H, W): sums over the other two axes (B, 17, W), (B, 17, H) and
    (B, 17, D), the largest probability (B, 17), and, where it costs nothing, the logits' log-sum-exp (B, 17)."""

    along_u: Tensor
    along_v: Tensor
    along_d: Tensor
    peak: Tensor
    log_sum: Tensor | None = None


def read_volume(logits: Tensor) -> Marginals:
    """Softmax over the whole volume of logits (B, 17, D, H, W), read by its marginals. Float32 throughout."""
    probability = logits.float().flatten(2).softmax(-1)
    volume = probability.unflatten(2, logits.shape[2:])
    rows = volume.sum(2)
    return Marginals(rows.sum(2), rows.sum(3), volume.sum((3, 4)), probability.amax(-1))


def soft_argmax(marginals: Marginals, disparities: range, stride: int = STRIDE) -> CoKeypoints:
    """Co-keypoints: expectation and spread over (u, v, d) (paper, section III-C).

    stride: crop pixels per cell of the volume along u and v; disparities are in feature cells always.
    """
    along = (marginals.along_u, marginals.along_v, marginals.along_d)
    device = marginals.along_u.device
    axis = (
        cells_to_pixels(torch.arange(along[0].shape[-1], device=device, dtype=torch.float32), stride),
        cells_to_pixels(torch.arange(along[1].shape[-1], device=device, dtype=torch.float32), stride),
        STRIDE * torch.arange(disparities.start, disparities.stop, device=device, dtype=torch.float32),
    )
    mean = [(m * a).sum(-1, keepdim=True) for m, a in zip(along, axis, strict=True)]
    variance = [(m * (a - e) ** 2).sum(-1) for m, a, e in zip(along, axis, mean, strict=True)]
    return CoKeypoints(torch.cat(mean, -1), torch.stack(variance, -1), marginals.peak)
