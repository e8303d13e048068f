"""A second look at each co-keypoint, with features of twice the resolution: what a fraction of a pixel decides.

The volume's cells are four crop pixels wide; at 3 m and a baseline of 0.12 m one crop pixel of disparity is a quarter of
a metre. Around every first estimate a small patch of the left view is compared with the right view at disparities in
steps of one pixel, as RAFT-Stereo (Lipson et al., 3DV 2021) looks up its correlations, but only where joints are. The
paper has no such stage.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
PROFILE_GAIN = 20.0
"""Of a softmax over similarities (cosines): where two steps differ by 0.1, one weighs seven times the other."""

MIDDLE_STD_PX = 4.0
"""Of the Gaussian in which a fresh network looks, crop pixels around the first estimate."""

FINE_STRIDE = 2


class SecondLook(nn.Module):
    """Corrects (u, v, d) and says how far off the result may be.

    Fresh, it already measures the disparity of what lies in a patch's middle, by the cosine of both views' features;
    training teaches it where in the patch the body is, how deep beneath its surface the joint lies, and when to doubt.
    """

    def __init__(self, fine_channels: int, context_channels: int, channels: int = 16) -> None:
        super().__init__()
        steps = 2 * REACH + 1
        self.matching = nn.Linear(fine_channels, channels, bias=False)
        self.inner = nn.Conv2d(channels + steps, HIDDEN, 1)
        self.context = nn.Linear(context_channels + 3, HIDDEN)
        self.joint = nn.Parameter(torch.zeros(1, JOINT_COUNT, HIDDEN))
        self.attention = nn.Conv2d(HIDDEN, 1, 1)
        self.outer = nn.Conv2d(HIDDEN, HIDDEN, 3, stride=2)
        cells = (PATCH - 1) // 2
        self.mix = nn.Linear(HIDDEN * cells * cells + steps, 2 * HIDDEN)
        self.gain = nn.Parameter(torch.tensor(PROFILE_GAIN))
        self.profile = nn.Linear(2 * HIDDEN, steps)
        self.offsets = nn.Linear(2 * HIDDEN, 3)
        self.log_variance = nn.Linear(2 * HIDDEN, 3)
        nn.init.eye_(self.matching.weight)
        for fresh in (self.attention, self.profile, self.offsets, self.log_variance):
            nn.init.zeros_(fresh.weight)
            nn.init.zeros_(fresh.bias)
        columns = 2 * (PATCH - 1) + 2 * REACH + 1
        column = SPACING * torch.arange(PATCH)[:, None] + 2 * REACH - torch.arange(steps)[None]
        patch = SPACING * (torch.arange(PATCH) - PATCH // 2).float()
        strip = torch.arange(columns).float() - columns // 2
        self.constant("band", (torch.arange(PATCH)[:, None] * columns + column).flatten())
        self.constant("disparities", torch.arange(-REACH, REACH + 1.0))
        self.constant("left_grid", torch.stack(torch.meshgrid(patch, patch, indexing="xy"), -1))
        self.constant("right_grid", torch.stack(torch.meshgrid(strip, patch, indexing="xy"), -1))
        self.constant("middle", -0.5 * (self.left_grid.square().sum(-1) / MIDDLE_STD_PX**2)[None, None])

    def constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def forward(self, fine: Tensor, context: Tensor, uvd: Tensor, projections: Tensor) -> tuple[Tensor, Tensor]:
        """fine: (2B, F, S/2, S/2) both views' features; context: (B, K, S/4, S/4) of the left view; uvd: (B, 17, 3) crop
        pixels. Returns the corrected uvd and its variance (B, 17, 3), crop pixels²."""
        left, right = high_pass(fine).unflatten(0, (-1, 2)).unbind(1)
        u, v, d = uvd.detach().unbind(-1)  # where to look is no matter of gradients
        left_patches = unit_length(self.matching(look_up(left, torch.stack([u, v], -1), self.left_grid)))
        right_strips = unit_length(self.matching(look_up(right, torch.stack([u - d, v], -1), self.right_grid)))
        similarity = self.compare(left_patches, right_strips)
        scale = pixels_per_metre(d, projections)
        known = torch.cat([sample(context, torch.stack([u, v], -1), 4), scale.log(), d[..., None] * 0.1], -1)
        evidence = torch.cat([left_patches.movedim(4, 2), similarity], 2)
        x = self.inner(evidence.flatten(0, 1)).unflatten(0, (-1, JOINT_COUNT))
        x = nn.functional.relu6(x + (self.context(known) + self.joint)[..., None, None]).flatten(0, 1)
        where = self.attention(x).unflatten(0, (-1, JOINT_COUNT)).squeeze(2) + self.middle
        profile = (similarity * where.flatten(2).softmax(-1).unflatten(-1, (PATCH, PATCH)).unsqueeze(2)).sum((3, 4))
        x = nn.functional.relu6(self.outer(x)).flatten(1).unflatten(0, (-1, JOINT_COUNT))
        x = nn.functional.relu6(self.mix(torch.cat([x, profile], -1)))
        surface = ((self.gain * profile + self.profile(x)).softmax(-1) * self.disparities).sum(-1)
        # Joints lie beneath the surface that is compared: their offsets are metres, not pixels.
        offsets = DEEPEST_M * self.offsets(x).tanh() * torch.cat([scale[..., :1], scale], -1)
        still = torch.zeros_like(surface)
        return uvd + offsets + torch.stack([still, still, surface], -1), self.log_variance(x).clamp(-6, 10).exp()

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """Cosines (B, 17, 2·REACH + 1, P, P) of left patches (B, 17, P, P, C) with right strips (B, 17, P, W, C)."""
        all_pairs = left @ right.transpose(-1, -2)
        band = all_pairs.flatten(-2).index_select(-1, self.band).unflatten(-1, (PATCH, -1))
        return band.permute(0, 1, 4, 2, 3)


def high_pass(fine: Tensor) -> Tensor:
    """Features less their mean around: flat parts and exposure vanish, so that cosines tell places apart."""
    return fine - nn.functional.avg_pool2d(fine, SURROUND, 1, SURROUND // 2, count_include_pad=False)


def unit_length(x: Tensor) -> Tensor:
    """x (…, C) scaled to length 1."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def look_up(features: Tensor, centres: Tensor, offsets: Tensor) -> Tensor:
    """Patches (B, 17, h, w, C) of stride-2 features (B, C, H, W) around centres (B, 17, 2); offsets (h, w, 2), crop px."""
    points = centres[:, :, None, None] + offsets
    return sample(features, points.flatten(1, 3), FINE_STRIDE).unflatten(1, points.shape[1:4])


def sample(features: Tensor, points: Tensor, stride: int) -> Tensor:
    """Features (B, C, H, W) at crop pixels (B, …, 2), bilinearly; border values outside. Returns (B, …, C)."""
    size = torch.tensor([features.shape[3], features.shape[2]], device=points.device, dtype=points.dtype) * stride
    grid = (points + 0.5) * (2 / size) - 1
    flat = grid.flatten(1, -2).unsqueeze(2)
    values = nn.functional.grid_sample(features, flat, padding_mode="border", align_corners=False)
    return values.squeeze(3).transpose(1, 2).unflatten(1, points.shape[1:-1])


def pixels_per_metre(d: Tensor, projections: Tensor) -> Tensor:
    """(B, 17, 2): crop pixels per metre across, and of disparity per metre of depth, at disparities d (B, 17)."""
    left, right = projections[:, 0], projections[:, 1]
    disparity = (d - (left[:, 0, 2] - right[:, 0, 2])[:, None]).clamp(min=1.0)
    baseline_px = -right[:, 0, 3][:, None]
    across = disparity * left[:, 0, 0][:, None] / baseline_px
    return torch.stack([across, disparity * disparity / baseline_px], -1)
