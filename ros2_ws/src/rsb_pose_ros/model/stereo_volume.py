"""Stereo volume feature (paper, section III-C): left(u, v) beside right(u − d, v) for every disparity d."""

from __future__ import annotations

import torch
from torch import Tensor


def shift_right(x: Tensor, disparity: int) -> Tensor:
    """x(u − disparity) along the last axis, zero where that lies outside.

    Padding and slicing, not slice assignment, which would export as a chain of ScatterND.
    """
    if disparity == 0:
        return x
    width = x.shape[-1]
    if disparity > 0:
        return torch.nn.functional.pad(x, (disparity, 0))[..., :width]
    return torch.nn.functional.pad(x, (0, -disparity))[..., -disparity:]


def stereo_volume(left: Tensor, right: Tensor, disparities: range) -> Tensor:
    """Volume (B, 2C, D, H, W) from features (B, C, H, W) of both views; disparities in feature cells.

    Cells whose partner lies outside the right view are zero in both halves.
    """
    visible = torch.ones_like(right[:, :1])
    slices = [torch.cat([left * shift_right(visible, d), shift_right(right, d)], dim=1) for d in disparities]
    return torch.stack(slices, dim=2)
