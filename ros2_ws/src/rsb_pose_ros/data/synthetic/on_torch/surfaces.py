"""Textures, photographs, folds, light and shadow at many points at once: the arithmetic of kernels.py on tensors.

Leading dimensions are free: parameters of a pair may be given for each point or broadcast over a pair's points.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rsb_pose_ros.data.synthetic.on_torch.packing import Packed
from rsb_pose_ros.data.synthetic.textures import FOLDS, FOLDS_METRES, LEVELS, TILE


class Light(NamedTuple):
    """Light of the pairs that points belong to: pair (…) their index, the others as in packing.Packed, gathered."""

    pair: Tensor
    ambient: Tensor
    lights: Tensor
    lamp: Tensor
    bases: Tensor
    maps: Tensor

    @classmethod
    def of(cls, packed: Packed, pair: Tensor) -> Light:
        """pair: any shape of indices."""
        ambient, lights, lamp, bases = (packed[name][pair] for name in ("ambient", "lights", "lamp", "bases"))
        return cls(pair, ambient, lights, lamp, bases, packed["maps"])


def _bilinear(table: Tensor, base: Tensor, stride: Tensor | int, x0: Tensor, x1: Tensor, y0: Tensor, y1: Tensor,
              fx: Tensor, fy: Tensor) -> Tensor:  # fmt: skip
    """Values (…, C) of table (N, C) at base + y · stride + x, weighted by the fractions."""
    w11 = fx * fy
    w01, w10 = fx - w11, fy - w11
    w00 = 1 - fx - w10
    corners = ((w00, y0, x0), (w01, y0, x1), (w10, y1, x0), (w11, y1, x1))
    return sum((w[..., None] * table[base + y * stride + x] for w, y, x in corners), torch.zeros((), device=fx.device))


def pyramid(tiles: Tensor) -> Tensor:
    """Mip levels (T, 4, 128, 128, 3) uint8 of tiles (T, 128, 128, 3); a smaller level fills the first rows and columns."""
    levels = torch.zeros((len(tiles), LEVELS, *tiles.shape[1:]), dtype=torch.uint8, device=tiles.device)
    levels[:, 0] = tiles
    for level in range(1, LEVELS):
        side = TILE >> level
        total = tiles.long().reshape(len(tiles), side, 1 << level, side, 1 << level, 3).sum((2, 4))
        # cv2.resize rounds halves up where it halves, and to even numbers where it shrinks by more.
        mean = (total + 2) >> 2 if level == 1 else (total / (1 << 2 * level)).round()
        levels[:, level, :side, :side] = mean.to(torch.uint8)
    return levels


def sample_tile(tiles: Tensor, k: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
    """(…, 3) BGR of tiles k (T, 4, 128, 128, 3) at (u, v) in repeats; footprint: texels of level 0 per pixel."""
    level = (footprint > 1.5).long() + (footprint > 3) + (footprint > 6)
    size = TILE >> level
    x, y = (u - u.floor()) * size, (v - v.floor()) * size
    x0, y0 = x.long(), y.long()
    fx, fy = x - x0, y - y0
    last = size - 1
    base = (k * LEVELS + level) * (TILE * TILE)
    table = tiles.reshape(-1, 3)
    return _bilinear(table, base, TILE, x0 & last, (x0 + 1) & last, y0 & last, (y0 + 1) & last, fx, fy)


def sample_photo(photos: Tensor, k: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """(…, 3) BGR of photographs k of (P, H, W, 3) at (u, v) in 0…1, mirrored outside."""
    height, width = photos.shape[1:3]
    u, v = u * 0.5, v * 0.5
    u, v = 1 - (2 * (u - u.floor()) - 1).abs(), 1 - (2 * (v - v.floor()) - 1).abs()
    x, y = u * (width - 1), v * (height - 1)
    x0, y0 = x.long().clamp(max=width - 2), y.long().clamp(max=height - 2)
    table = photos.reshape(-1, 3)
    return _bilinear(table, k * (height * width), width, x0, x0 + 1, y0, y0 + 1, x - x0, y - y0)


def sample_folds(u: Tensor, v: Tensor) -> Tensor:
    """(…) of FOLDS at cloth coordinates in metres."""
    folds = torch.from_numpy(FOLDS).to(u.device)
    x, y = u * (len(folds) / FOLDS_METRES), v * (len(folds) / FOLDS_METRES)
    x0, y0 = x.floor(), y.floor()
    fx, fy = x - x0, y - y0
    x0, y0, last = x0.long(), y0.long(), len(folds) - 1
    table = folds.reshape(-1, 1)
    return _bilinear(table, x0 * 0, len(folds), x0 & last, (x0 + 1) & last, y0 & last, (y0 + 1) & last, fx, fy)[..., 0]


def shadow(light: Light, k: int, points: Tensor) -> Tensor:
    """(…) how much of light k is kept from points (…, 3), 0…1; nothing beyond the map's edge."""
    base, n = light.bases[..., k, :, :], light.maps.shape[2]
    u, v, height = (_affine(base[..., row, :], points) for row in range(3))
    u, v = u - 0.5, v - 0.5
    inside = (u >= 0) & (u < n - 1) & (v >= 0) & (v < n - 1)
    u, v = u.clamp(0, n - 1.001), v.clamp(0, n - 1.001)
    c, r = u.long(), v.long()
    first = (light.pair * light.maps.shape[1] + k) * (n * n)
    both = _bilinear(light.maps.reshape(-1, 2), first, n, c, c + 1, r, r + 1, u - c, v - r)
    cover, mean = both[..., 0], both[..., 1]
    above = ((mean - height - 0.05) * 10).clamp(0, 1)
    edge = (torch.minimum(torch.minimum(u, v), torch.minimum(n - 2 - u, n - 2 - v)) * 0.15).clamp(max=1)
    return torch.where(inside & (cover >= 1e-3), cover.clamp(max=1) * above * edge, 0)


def light_at(light: Light, points: Tensor, normals: Tensor, least: float) -> Tensor:
    """(…, 3) BGR of the light on surfaces at points (…, 3) with unit normals; least: lowest cosine counted."""
    sky = (0.68 - 0.32 * normals[..., 1]) * (1 - 0.6 * shadow(light, 0, points))
    total = light.ambient * sky[..., None]
    for q in range(light.lights.shape[-2]):
        one = light.lights[..., q, :]
        cosine = (normals * one[..., :3]).sum(-1).clamp(min=max(least, 0))
        if q + 1 < light.maps.shape[1]:
            cosine = cosine * (1 - shadow(light, q + 1, points))
        total = total + cosine[..., None] * one[..., 3:]
    lamp = light.lamp
    away = ((points - lamp[..., :3]) ** 2).sum(-1) / (lamp[..., 3] * lamp[..., 3])
    near = 1 - lamp[..., 4] + 2 * lamp[..., 4] / (1 + away)
    return total * near[..., None]


def _affine(row: Tensor, points: Tensor) -> Tensor:
    """(…) of rows (…, 4) applied to points (…, 3)."""
    return row[..., 0] * points[..., 0] + row[..., 1] * points[..., 1] + row[..., 2] * points[..., 2] + row[..., 3]
