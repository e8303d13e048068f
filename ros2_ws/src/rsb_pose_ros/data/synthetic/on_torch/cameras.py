"""What cameras add to many pictures at once: the arithmetic of camera_effects.expose on tensors."""

from __future__ import annotations

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from rsb_pose_ros.data.synthetic.camera_effects import (
    BRIGHTEST,
    DARKEST,
    GRAIN,
    METERED_EVERY,
    METERED_PERCENT,
    SHARPENED_OVER,
)
from rsb_pose_ros.data.synthetic.on_torch.jpeg import through_jpeg
from rsb_pose_ros.data.synthetic.on_torch.packing import MOTION, Packed

FLOAT_RADIUS, BYTE_RADIUS = 4, 3
"""Deviations after which cv2.GaussianBlur cuts its kernel off, for float and for uint8 pictures."""


# TensorFloat-32, cuDNN's default, keeps eleven bits: pictures would be off by a grey level.
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def expose(packed: Packed, images: Tensor) -> Tensor:
    """Float BGR views (B, 2, S, S, 3) in 0…255 → uint8 as pairs of similar but not equal cameras give them."""
    size = images.shape[2]
    gain = packed["gain"] / 2 / (_metered(images[:, 0], packed["edges"][:, 0]) / 128) ** 0.85
    factors = (gain[:, None] * packed["gains"])[..., None] * packed["tints"]
    pictures = images.permute(0, 1, 4, 2, 3).flatten(0, 1)
    pictures = blurred(pictures, packed["sigmas"].flatten())
    moved = packed["moved"].repeat_interleave(2).nonzero()[:, 0]
    pictures[moved] = _filtered(pictures[moved], packed["motion"].repeat_interleave(2, 0)[moved])
    developed = _develop(packed, pictures.unflatten(0, (-1, 2)), factors)
    sharpened = packed["sharpened"].repeat_interleave(2)
    some = (sharpened > 0).nonzero()[:, 0]
    soft = _softened(developed[some])
    strength = sharpened[some][:, None, None, None]
    developed[some] = (developed[some] * (1 + strength) - soft * strength).round().clamp(0, 255)
    developed = torch.where(packed["grey"].repeat_interleave(2)[:, None, None, None], _grey(developed), developed)
    qualities = packed["qualities"].flatten()
    coded = (qualities > 0).nonzero()[:, 0]
    developed[coded] = through_jpeg(developed[coded], qualities[coded])
    return developed.to(torch.uint8).unflatten(0, (-1, 2)).permute(0, 1, 3, 4, 2).reshape(-1, 2, size, size, 3)


def blurred(pictures: Tensor, sigmas: Tensor) -> Tensor:
    """Pictures (N, C, S, S), each under its own Gaussian of sigmas (N,); borders mirrored, as cv2.GaussianBlur."""
    if len(pictures) == 0:
        return pictures
    halves = ((sigmas * FLOAT_RADIUS * 2 + 1).round().long() | 1) // 2
    reach = int(halves.max())
    place = torch.arange(-reach, reach + 1, device=pictures.device)
    kernels = torch.exp(-0.5 * (place / sigmas[:, None]) ** 2) * (place.abs() <= halves[:, None])
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(pictures.shape[1], 0)[:, None]
    flat, groups = pictures.reshape(1, -1, *pictures.shape[2:]), len(kernels)
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), "reflect"), kernels[:, :, None], groups=groups)
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), "reflect"), kernels[..., None], groups=groups)
    return flat.reshape(pictures.shape)


def _softened(pictures: Tensor) -> Tensor:
    """Pictures (N, C, S, S) of whole numbers under the Gaussian of sharpening, in cv2.GaussianBlur's fixed-point numbers."""
    if len(pictures) == 0:
        return pictures
    kernel = torch.tensor(_fixed_point_kernel(SHARPENED_OVER), dtype=torch.float32, device=pictures.device)
    reach = len(kernel) // 2
    flat = pictures.flatten(0, 1)[:, None]
    # Products of bytes and a kernel of 8 bits stay below 2^24: exact in float32.
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), "reflect"), kernel[None, None, None])
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), "reflect"), kernel[None, None, :, None])
    return ((flat + (1 << 15)) / (1 << 16)).floor().reshape(pictures.shape)


def _fixed_point_kernel(sigma: float) -> list[int]:
    """A Gaussian in 256ths, each entry's rounding carried on to the next (OpenCV's getGaussianKernelFixedPoint_ED)."""
    side = round(sigma * BYTE_RADIUS * 2 + 1) | 1
    exact = cv2.getGaussianKernel(side, sigma)[: side // 2, 0] * 256
    half, carried = [], 0.0
    for value in exact:
        half.append(round(value + carried))
        carried += value - half[-1]
    return [*half, 256 - 2 * sum(half), *half[::-1]]


def _filtered(pictures: Tensor, kernels: Tensor) -> Tensor:
    """Pictures (N, C, S, S) under kernels (N, K, K), as cv2.filter2D."""
    if len(pictures) == 0:
        return pictures
    flat = F.pad(pictures.reshape(1, -1, *pictures.shape[2:]), (MOTION // 2,) * 4, "reflect")
    kernels = kernels.repeat_interleave(pictures.shape[1], 0)[:, None]
    return F.conv2d(flat, kernels, groups=len(kernels)).reshape(pictures.shape)


def _metered(images: Tensor, edges: Tensor) -> Tensor:
    """(B,) brightness of images (B, S, S, 3) by which they are exposed; edges: (B, 4), see camera_effects.metered."""
    size = images.shape[1]
    x0, y0, x1, y1 = edges.clamp(0, size).long().unbind(1)
    step = torch.arange(0, size, METERED_EVERY, device=images.device)
    columns, rows = x0[:, None] + step, y0[:, None] + step
    valid = (rows < y1[:, None])[:, :, None] & (columns < x1[:, None])[:, None]
    pair = torch.arange(len(images), device=images.device)[:, None, None]
    part = images[pair, rows.clamp(max=size - 1)[:, :, None], columns.clamp(max=size - 1)[:, None]]
    part = torch.where(valid[..., None], part, torch.inf).flatten(1).sort(1).values
    count = valid.sum((1, 2)) * 3
    place = (count - 1).clamp(min=0) * (METERED_PERCENT / 100)
    low = place.long()
    below = part.gather(1, low[:, None])[:, 0]
    above = part.gather(1, (low + 1).clamp(max=part.shape[1] - 1)[:, None])[:, 0]
    above = torch.where(low + 1 < count, above, below)
    return torch.where(count > 0, (below + (above - below) * (place - low)).clamp(min=DARKEST), 128.0)


def _develop(packed: Packed, pictures: Tensor, factors: Tensor) -> Tensor:
    """Grey levels (2 B, 3, S, S) in whole numbers of light (B, 2, 3, S, S): see camera_effects._develop."""
    size = pictures.shape[-1]
    place = torch.arange(size, device=pictures.device) * (2.0 / size) - 1
    corner = 1 - packed["vignette"][:, None, None] * (place[:, None] ** 2 + place**2) * 0.5
    light = pictures * (1 / 127.5) * factors[..., None, None] * corner[:, None, None]
    curve = packed["curve"]
    entries = curve.shape[1]
    at = (light.clamp(min=0) * ((entries - 1) / BRIGHTEST)).clamp(max=entries - 1.001)
    k = at.long()
    first = torch.arange(len(curve), device=curve.device)[:, None, None, None, None] * entries
    tone = torch.lerp(curve.flatten()[first + k], curve.flatten()[first + k + 1], at - k)
    noise = _grain(packed, size) * packed["noise"][:, None, None, None, None]
    return (tone + noise * (0.7 + tone * (0.3 / 128))).clamp(0, 255).floor().flatten(0, 1)


def _grain(packed: Packed, size: int) -> Tensor:
    """(B, 2, 3, S, S) sensor noise: stretches of GRAIN, enlarged as cv2.resize does."""
    table = torch.from_numpy(GRAIN).to(packed["gain"].device)
    sizes, first = packed["grain_sizes"][..., None], packed["grain_starts"][..., None, None, None]
    at = ((torch.arange(size, device=table.device) + 0.5) * (sizes / size) - 0.5).clamp(min=0)
    at = torch.minimum(at, sizes - 1.0)
    low = at.long()
    high, share = torch.minimum(low + 1, sizes - 1), at - low
    channel = torch.arange(3, device=table.device)[:, None, None]
    across = sizes[..., None, None]

    def taken(rows: Tensor, columns: Tensor) -> Tensor:
        return table[first + (rows[..., None, :, None] * across + columns[..., None, None, :]) * 3 + channel]

    fx, fy = share[..., None, None, :], share[..., None, :, None]
    top = taken(low, low) * (1 - fx) + taken(low, high) * fx
    bottom = taken(high, low) * (1 - fx) + taken(high, high) * fx
    return top * (1 - fy) + bottom * fy


def _grey(pictures: Tensor) -> Tensor:
    """BGR (N, 3, S, S) → grey in all channels, in OpenCV's fixed-point numbers."""
    b, g, r = pictures.long().unbind(1)
    grey = (b * 3735 + g * 19235 + r * 9798 + (1 << 14)) >> 15
    return grey[:, None].expand(-1, 3, -1, -1).to(pictures.dtype)
