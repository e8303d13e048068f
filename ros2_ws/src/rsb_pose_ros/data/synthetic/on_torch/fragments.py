"""Rectangles of pixels as lists of single pixels, and the nearest of what competes for each."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS_PER_M = 1 << 20
"""A candidate is one integer, depth in micrometres before its index: the least is the nearest, of equals the first."""
INDEX_BITS = 32
NOBODY = 2**62


def expand(rects: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(item, column, row), each (P,), of all pixels of rects (N, 4): first and last column, first and last row."""
    width, height = rects[:, 1] - rects[:, 0] + 1, rects[:, 3] - rects[:, 2] + 1
    counts = width.clamp(min=0) * height.clamp(min=0)
    item = torch.repeat_interleave(torch.arange(len(rects), device=rects.device), counts)
    local = torch.arange(len(item), device=rects.device) - (counts.cumsum(0) - counts)[item]
    across = width[item]
    return item, rects[item, 0] + local % across, rects[item, 2] + local // across


def nearest(pixels: int, where: Tensor, depth: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """(index (pixels,) of the nearest candidate or −1, its depth to a micrometre); where, depth, index: (P,)."""
    key = ((depth.double() * STEPS_PER_M).long() << INDEX_BITS) | index
    best = torch.full((pixels,), NOBODY, dtype=torch.int64, device=where.device)
    best.scatter_reduce_(0, where, key, "amin")
    found = torch.where(best < NOBODY, best & ((1 << INDEX_BITS) - 1), -1)
    return found, (best >> INDEX_BITS).double().div(STEPS_PER_M).float()


def first_of_nearest(pixels: int, where: Tensor, depth: Tensor, index: Tensor, within: float) -> Tensor:
    """(pixels,) the least index of the candidates that are no more than `within` metres behind the nearest, or −1."""
    best = torch.full((pixels,), torch.inf, device=where.device).scatter_reduce_(0, where, depth, "amin")
    near = depth <= best[where] + within
    first = torch.full((pixels,), NOBODY, dtype=torch.int64, device=where.device)
    first.scatter_reduce_(0, where[near], index[near], "amin")
    return torch.where(first < NOBODY, first, -1)
