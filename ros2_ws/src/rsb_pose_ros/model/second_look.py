"""A second look at each co-keypoint, with features of twice the resolution: what a fraction of a pixel decides.

The volume's cells are four crop pixels wide; at 3 m and a baseline of 0.12 m one crop pixel of disparity is a quarter of
a metre. Around every first estimate a small patch of the left view is compared with the right view at disparities in
steps of one pixel, as RAFT-Stereo (Lipson et al., 3DV 2021) looks up its correlations, but only where joints are. The
paper has no such stage.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.softargmax import STRIDE
from rsb_pose_ros.skeleton import JOINT_COUNT

PATCH = 9
"""Side of a patch, in samples SPACING crop pixels apart."""

SPACING = 2
REACH = 6
"""Disparities up to this many crop pixels from the first estimate are compared, in steps of one."""

DEEPEST_M = 0.2
"""No joint is farther than this, metres, from the surface that the first estimate points at."""

SURROUND = 7
"""Side of the box whose mean the high pass subtracts, feature cells."""

HIDDEN = 32
MIXED = 128
PROFILE_GAIN = 20.0
"""Of a softmax over similarities (cosines): where two steps differ by 0.1, one weighs seven times the other."""

MIDDLE_STD_PX = 4.0
"""Of the Gaussian in which a fresh network looks, crop pixels around the first estimate."""

FRESH_STD_PX = 4.0
"""Of the errors that a fresh network states."""

FINE_STRIDE = 2


class SecondLook(nn.Module):
    """Corrects (u, v, d) and says how far off the result may be.

    Fresh, it already measures the disparity of what lies in a patch's middle, by the cosine of both views' features;
    training teaches it where in the patch the body is, how deep beneath its surface the joint lies, and when to doubt.

    What comes in is normalised and activations have no upper end: behind ReLU6 every unit grew until it said 0 or 6, and
    learned no more.
    """

    def __init__(self, fine_channels: int, context_channels: int, channels: int = 16) -> None:
        super().__init__()
        steps = 2 * REACH + 1
        self.matching = nn.Linear(fine_channels, channels, bias=False)
        self.inner = nn.Conv2d(channels + steps, HIDDEN, 1)
        self.surrounding = nn.LayerNorm(context_channels)
        self.context = nn.Linear(context_channels + 3, HIDDEN)
        self.joint = nn.Parameter(torch.zeros(1, JOINT_COUNT, HIDDEN))
        self.attention = nn.Conv2d(HIDDEN, 1, 1)
        self.outer = nn.Conv2d(HIDDEN, HIDDEN, 3, stride=2)
        cells = (PATCH - 1) // 2
        self.normalise = nn.LayerNorm(HIDDEN * cells * cells)
        self.mix = nn.Linear(HIDDEN * cells * cells + steps, MIXED)
        self.gain = nn.Parameter(torch.tensor(PROFILE_GAIN))
        self.profile = nn.Linear(MIXED, steps)
        self.offsets = nn.Linear(MIXED, 3)
        self.log_variance = nn.Linear(MIXED, 3)
        nn.init.eye_(self.matching.weight)
        for fresh in (self.attention, self.profile, self.offsets, self.log_variance):
            nn.init.zeros_(fresh.weight)
            nn.init.zeros_(fresh.bias)
        nn.init.constant_(self.log_variance.bias, 2 * math.log(FRESH_STD_PX))
        columns = 2 * (PATCH - 1) + 2 * REACH + 1
        column = SPACING * torch.arange(PATCH)[:, None] + 2 * REACH - torch.arange(steps)[None]
        patch = SPACING * (torch.arange(PATCH) - PATCH // 2)
        self.constant("band", (torch.arange(PATCH)[:, None] * columns + column).flatten())
        self.constant("disparities", torch.arange(-REACH, REACH + 1.0))
        self.constant("patch", patch)
        self.constant("strip", torch.arange(columns) - columns // 2)
        self.constant("here", torch.zeros(1, dtype=torch.long))
        squares = patch.float().square()
        self.constant("middle", -0.5 / MIDDLE_STD_PX**2 * (squares[:, None] + squares)[None, None])

    def constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def forward(self, fine: Tensor, context: Tensor, uvd: Tensor, projections: Tensor) -> tuple[Tensor, Tensor]:
        """fine: (2B, F, S/2, S/2) both views' features; context: (B, K, S/4, S/4) of the left view; uvd: (B, 17, 3) crop
        pixels. Returns the corrected uvd and its variance (B, 17, 3), crop pixels²."""
        left, right = torch.arange(len(fine), device=fine.device).unflatten(0, (-1, 2)).unbind(1)
        fine = fine.movedim(1, -1)
        u, v, d = uvd.detach().unbind(-1)  # where to look is no matter of gradients
        left_patches = sample(fine, left, u, v, self.patch, self.patch, FINE_STRIDE, SURROUND)
        right_strips = sample(fine, right, u - d, v, self.strip, self.patch, FINE_STRIDE, SURROUND)
        left_patches, right_strips = (unit_length(self.matching(x)) for x in (left_patches, right_strips))
        similarity = self.compare(left_patches, right_strips)
        scale = pixels_per_metre(d, projections)
        everywhere = torch.arange(len(context), device=context.device)
        here = sample(context.movedim(1, -1), everywhere, u, v, self.here, self.here, STRIDE).flatten(2)
        known = torch.cat([self.surrounding(here), scale.log(), d[..., None] * 0.1], -1)
        evidence = torch.cat([left_patches.movedim(4, 2), similarity], 2)
        x = self.inner(evidence.flatten(0, 1)).unflatten(0, (-1, JOINT_COUNT))
        x = nn.functional.relu(x + (self.context(known) + self.joint)[..., None, None]).flatten(0, 1)
        where = self.attention(x).unflatten(0, (-1, JOINT_COUNT)).squeeze(2) + self.middle
        profile = (similarity * where.flatten(2).softmax(-1).unflatten(-1, (PATCH, PATCH)).unsqueeze(2)).sum((3, 4))
        x = self.normalise(nn.functional.relu(self.outer(x)).flatten(1)).unflatten(0, (-1, JOINT_COUNT))
        x = nn.functional.relu(self.mix(torch.cat([x, profile], -1)))
        surface = ((self.gain * profile + self.profile(x)).softmax(-1) * self.disparities).sum(-1)
        # Joints lie beneath the surface that is compared: their offsets are metres, not pixels.
        offsets = DEEPEST_M * self.offsets(x).tanh() * torch.cat([scale[..., :1], scale], -1)
        still = torch.zeros_like(surface)
        # How uncertain it is may be read off what was seen, but is nothing to see by.
        variance = self.log_variance(x.detach()).clamp(-6, 10).exp()
        return uvd + offsets + torch.stack([still, still, surface], -1), variance

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """Cosines (B, 17, 2·REACH + 1, P, P) of left patches (B, 17, P, P, C) with right strips (B, 17, P, W, C)."""
        all_pairs = left @ right.transpose(-1, -2)
        band = all_pairs.flatten(-2).index_select(-1, self.band).unflatten(-1, (PATCH, -1))
        return band.permute(0, 1, 4, 2, 3)


def unit_length(x: Tensor) -> Tensor:
    """x (…, C) scaled to length 1."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def sample(
    features: Tensor, image: Tensor, u: Tensor, v: Tensor, columns: Tensor, rows: Tensor, stride: int, surround: int = 0
) -> Tensor:
    """Patches (B, 17, h, w, C) around crop pixels u, v (B, 17), bilinearly, borders repeated.

    image (B,): which of the features (N, H, W, C) each is of; taking all left ones first would copy them. columns (w,),
    rows (h,): crop pixels from there, ascending. surround: odd side in cells of the box whose mean is subtracted
    everywhere, 0 for none: flat parts and exposure vanish, so that cosines tell places apart.

    Whole cells are gathered and both interpolations are products with hat functions: all points of a patch share their
    cells, which grid_sample fetches for each anew. A mean over a box is such a product, too, and so is only taken where
    joints are.
    """
    height, width = features.shape[1:3]
    x, across = cells_around(u, columns, width, stride, surround // 2)
    y, down = cells_around(v, rows, height, stride, surround // 2)
    index = (image[:, None, None, None] * height + y[:, :, :, None]) * width + x[:, :, None, :]
    cells = features.flatten(0, 2).index_select(0, index.flatten()).unflatten(0, index.shape)
    if surround:  # rows alternate between what is there and its surrounding's mean, columns lie one after the other
        to_rows = torch.stack([hat(down), box(down, surround)], 3).flatten(2, 3)
        to_columns = torch.cat([hat(across), -box(across, surround)], 3)
    else:
        to_rows, to_columns = hat(down), hat(across)
    lines = (to_rows @ cells.flatten(3)).unflatten(2, (len(rows), -1)).flatten(3).unflatten(3, (-1, cells.shape[-1]))
    return to_columns.unsqueeze(2) @ lines


def cells_around(centres: Tensor, offsets: Tensor, size: int, stride: int, margin: int) -> tuple[Tensor, Tensor]:
    """Cells (B, 17, n) of an axis that crop pixels centres (B, 17) + offsets (m,) lie between, and `margin` more at each
    end; distances (B, 17, m, n) from them, in cells."""
    extent = int(offsets[-1] - offsets[0])
    position = (centres + 0.5) / stride - 0.5
    position = position.clamp(-extent - 1, size + extent)[:, :, None] + offsets / stride  # farther off is border, too
    first = position[..., :1].floor()
    near = torch.arange(-margin, math.ceil(extent / stride) + 2 + margin, device=centres.device)
    distances = (position - first)[..., None].sub(near).abs()
    return (first.long() + near).clamp(0, size - 1), distances


def hat(distance: Tensor) -> Tensor:
    """Weights of linear interpolation."""
    return (1 - distance).clamp(min=0)


def box(distance: Tensor, side: int) -> Tensor:
    """Weights of the mean over `side` cells around a place between cells: that many hat functions side by side."""
    return ((side + 1) / 2 - distance).clamp(0, 1) / side


def pixels_per_metre(d: Tensor, projections: Tensor) -> Tensor:
    """(B, 17, 2): crop pixels per metre across, and of disparity per metre of depth, at disparities d (B, 17)."""
    left, right = projections[:, 0], projections[:, 1]
    disparity = (d - (left[:, 0, 2] - right[:, 0, 2])[:, None]).clamp(min=1.0)
    baseline_px = -right[:, 0, 3][:, None]
    across = disparity * left[:, 0, 0][:, None] / baseline_px
    return torch.stack([across, disparity * disparity / baseline_px], -1)
