"""Stereo volume feature (paper, section III-C): left(u, v) beside right(u − d, v) for every disparity d."""

from __future__ import annotations

import torch
from torch import Tensor


def shifts_right(x: Tensor, disparities: range, step: int = 1) -> list[Tensor]:
    """x(u − d) along the last axis for every disparity d at every step-th u, zero where that lies outside.

    Padded once, then sliced; slice assignment would export as a chain of ScatterND. Every step-th column is taken before
    the slices, which so stay whole runs of memory.
    """
    before = (max(disparities[-1], 0) + step - 1) // step * step
    after = max(-disparities[0], 0)
    wide = torch.nn.functional.pad(x, (before, after))
    phases = [wide[..., first::step] for first in range(step)]
    count = (x.shape[-1] + step - 1) // step
    starts = [divmod(before - d, step) for d in disparities]
    return [phases[phase][..., start : start + count] for start, phase in starts]


def stereo_volume(left: Tensor, right: Tensor, disparities: range) -> Tensor:
    """Volume (B, 2C, D, H, W) from features (B, C, H, W) of both views; disparities in feature cells.

    Cells whose partner lies outside the right view are zero in both halves.
    """
    visible = torch.ones_like(right[:, :1])
    partners = zip(shifts_right(visible, disparities), shifts_right(right, disparities), strict=True)
    slices = [torch.cat([left * seen, shifted], dim=1) for seen, shifted in partners]
    return torch.stack(slices, dim=2)
