"""What JPEG leaves of pictures, without the bytes between: 4:2:0, the quantisation of libjpeg, its smooth upsampling.

ITU-T T.81 annex K (tables), JFIF 1.02 (colours), and libjpeg's conventions for what these leave open: the scale of
quality (jpeg_set_quality), alternating rounding when chroma is averaged, triangle-filtered chroma when it is enlarged.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
_CHROMA = """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"""
BLOCK, MACROBLOCK = 8, 16


def through_jpeg(pictures: Tensor, qualities: Tensor) -> Tensor:
    """BGR pictures (N, 3, H, W) in whole numbers 0…255, coded and decoded at qualities (N,) of 1…100."""
    if len(pictures) == 0:
        return pictures
    height, width = pictures.shape[2:]
    # Beyond the right edge the last pixels are repeated, below the picture the last samples.
    padded = F.pad(pictures.float(), (0, -width % MACROBLOCK, 0, height % 2), "replicate")
    y, cb, cr = _to_ycc(padded)
    scale = torch.where(qualities < 50, 5000 // qualities.clamp(min=1), 200 - 2 * qualities)
    luma = _quantised(_lengthened(y, MACROBLOCK), _table(_LUMA, scale))
    chroma = [_quantised(_lengthened(_halved(c), BLOCK), _table(_CHROMA, scale)) for c in (cb, cr)]
    # A decoder knows where the picture ends, and repeats its last sample, not what the blocks hold beyond.
    chroma = [_enlarged(c[:, : (height + 1) // 2, : (width + 1) // 2])[:, :height, :width] for c in chroma]
    return _to_bgr(luma[:, :height, :width], *chroma).to(pictures.dtype)


def _table(values: str, scale: Tensor) -> Tensor:
    """(N, 8, 8) quantisation steps."""
    base = torch.tensor([int(v) for v in values.split()], device=scale.device).reshape(BLOCK, BLOCK)
    return ((base * scale[:, None, None] + 50) // 100).clamp(1, 255)


def _quantised(plane: Tensor, table: Tensor) -> Tensor:
    """A plane (N, H, W) of samples 0…255 after DCT, quantisation by table (N, 8, 8) and back."""
    count, height, width = plane.shape
    blocks = plane.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(2, 3) - 128
    steps = table[:, None, None]
    # The transform's values are eight times those of the standard; halves are rounded away from zero.
    spectrum = _forward(_forward(blocks, -1, last=False), -2, last=True)
    spectrum = (spectrum.abs() + 4 * steps) // (8 * steps) * spectrum.sign() * steps
    restored = _backward(_backward(spectrum, -2, last=False), -1, last=True)
    return (restored + 128).clamp(0, 255).transpose(2, 3).reshape(plane.shape)


CONSTANT_BITS, EXTRA_BITS = 13, 2
"""Fraction of the constants below, and of values between the two passes."""


def _rounded(value: Tensor, bits: int) -> Tensor:
    return (value + (1 << (bits - 1))) >> bits


def _odd(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rotations of the transform's odd half, the same forth and back."""
    z1, z2, z3, z4 = -7373 * (a + d), -20995 * (b + c), a + c, b + d
    z5 = 9633 * (z3 + z4)
    z3, z4 = z5 - 16069 * z3, z5 - 3196 * z4
    return 2446 * a + z1 + z3, 16819 * b + z2 + z4, 25172 * c + z2 + z3, 12299 * d + z1 + z4


def _forward(samples: Tensor, axis: int, last: bool) -> Tensor:
    """One pass of the DCT in whole numbers (Loeffler, Ligtenberg and Moschytz 1989) as libjpeg rounds it."""
    x = samples.unbind(axis)
    sums, gaps = [x[i] + x[7 - i] for i in range(4)], [x[i] - x[7 - i] for i in range(4)]
    outer, inner, across, along = sums[0] + sums[3], sums[1] + sums[2], sums[0] - sums[3], sums[1] - sums[2]
    bits = CONSTANT_BITS + (EXTRA_BITS if last else -EXTRA_BITS)
    turned = 4433 * (across + along)
    even = [turned + 6270 * across, turned - 15137 * along]
    ends = [outer + inner, outer - inner]
    ends = [_rounded(v, EXTRA_BITS) if last else v << EXTRA_BITS for v in ends]
    seventh, fifth, third, first = (_rounded(v, bits) for v in _odd(*gaps[::-1]))
    second, sixth = (_rounded(v, bits) for v in even)
    return torch.stack([ends[0], first, second, third, ends[1], fifth, sixth, seventh], axis)


def _backward(spectrum: Tensor, axis: int, last: bool) -> Tensor:
    """One pass of the inverse transform."""
    c = spectrum.unbind(axis)
    turned = 4433 * (c[2] + c[6])
    low, high = turned - 15137 * c[6], turned + 6270 * c[2]
    plus, minus = (c[0] + c[4]) << CONSTANT_BITS, (c[0] - c[4]) << CONSTANT_BITS
    even = [plus + high, minus + low, minus - low, plus - high]
    odd = _odd(c[7], c[5], c[3], c[1])[::-1]
    bits = CONSTANT_BITS + (EXTRA_BITS + 3 if last else -EXTRA_BITS)
    halves = [e + o for e, o in zip(even, odd, strict=True)], [e - o for e, o in zip(even, odd, strict=True)][::-1]
    return torch.stack([_rounded(v, bits) for half in halves for v in half], axis)


def _lengthened(plane: Tensor, step: int) -> Tensor:
    """A plane (N, H, W) with its last row repeated to a multiple of `step`."""
    return torch.cat([plane, plane[:, -1:].expand(-1, -plane.shape[1] % step, -1)], 1)


def _halved(plane: Tensor) -> Tensor:
    """A plane (N, H, W) averaged over 2 × 2 samples, rounded down and up in turn."""
    total = plane[:, ::2, ::2] + plane[:, 1::2, ::2] + plane[:, ::2, 1::2] + plane[:, 1::2, 1::2]
    bias = 1 + torch.arange(total.shape[2], device=plane.device) % 2
    return (total + bias) >> 2


def _enlarged(plane: Tensor) -> Tensor:
    """A plane (N, H, W) at twice the size: each sample three parts the nearest and one the next, along both axes."""
    rows = torch.cat([plane[:, :1], plane, plane[:, -1:]], 1)
    tall = torch.stack([3 * plane + rows[:, :-2], 3 * plane + rows[:, 2:]], 2).flatten(1, 2)
    sides = torch.cat([tall[..., :1], tall, tall[..., -1:]], 2)
    before, after = (3 * tall + sides[..., :-2] + 8) >> 4, (3 * tall + sides[..., 2:] + 7) >> 4
    return torch.stack([before, after], 3).flatten(2)


def _fixed(value: float) -> int:
    return int(value * 65536 + 0.5)


def _to_ycc(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    b, g, r = pictures.long().unbind(1)
    half, centre = 1 << 15, (128 << 16) + (1 << 15) - 1
    y = (_fixed(0.299) * r + _fixed(0.587) * g + _fixed(0.114) * b + half) >> 16
    cb = (-_fixed(0.168735892) * r - _fixed(0.331264108) * g + _fixed(0.5) * b + centre) >> 16
    cr = (_fixed(0.5) * r - _fixed(0.418687589) * g - _fixed(0.081312411) * b + centre) >> 16
    return y, cb, cr


def _to_bgr(y: Tensor, cb: Tensor, cr: Tensor) -> Tensor:
    cb, cr = cb - 128, cr - 128
    half = 1 << 15
    r = y + ((_fixed(1.402) * cr + half) >> 16)
    g = y + ((-_fixed(0.344136286) * cb - _fixed(0.714136286) * cr + half) >> 16)
    b = y + ((_fixed(1.772) * cb + half) >> 16)
    return torch.stack([b, g, r], 1).clamp(0, 255)
