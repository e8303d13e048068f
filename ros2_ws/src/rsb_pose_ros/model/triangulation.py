"""Closed-form triangulation on a rectified pair, differentiable (paper, section III-C); NumPy twin in stereo/."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_DISPARITY_PX = 0.25
"""True disparities are kept above this many crop pixels: beyond lies more than twenty times the working range."""


def triangulate(uvd: Tensor, projections: Tensor) -> Tensor:
    """Joints (B, 17, 3) metres, left rectified optical frame, from (u_left, v, disparity) (B, 17, 3) in crop pixels.

    projections: (B, 2, 3, 4) crop cameras. Z = f·B / (disparity − (cx_left − cx_right)).
    """
    left, right = projections[:, 0, :, :, None], projections[:, 1, :, :, None]
    u, v, d = uvd.unbind(-1)
    disparity = (d - (left[:, 0, 2] - right[:, 0, 2])).clamp(min=MIN_DISPARITY_PX)
    z = -right[:, 0, 3] / disparity
    x = (u - left[:, 0, 2]) * z / left[:, 0, 0]
    y = (v - left[:, 1, 2]) * z / left[:, 1, 1]
    return torch.stack([x, y, z], -1)


def covariance(joints: Tensor, variance: Tensor, projections: Tensor) -> Tensor:
    """Covariance (B, 17, 3, 3) in m² of joints (B, 17, 3) from variances (B, 17, 3) of (u, v, d) in crop px²."""
    left, right = projections[:, 0, :, :, None], projections[:, 1, :, :, None]
    x, y, z = joints.unbind(-1)
    dz = -z * z / -right[:, 0, 3]
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [
            torch.stack([z / left[:, 0, 0], zero, dz * x / z], -1),
            torch.stack([zero, z / left[:, 1, 1], dz * y / z], -1),
            torch.stack([zero, zero, dz], -1),
        ],
        -2,
    )
    return (jacobian * variance.unsqueeze(-2)) @ jacobian.transpose(-1, -2)
