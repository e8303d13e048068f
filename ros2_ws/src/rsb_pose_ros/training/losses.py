"""Losses on stereo pairs (paper, section III-E), each a mean over the joints that both crops show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from rsb_pose_ros.model.rsb_pose import HEATMAP_STD_CELLS, Estimate
from rsb_pose_ros.model.softargmax import STRIDE
from rsb_pose_ros.training.on_cpu.volume import separable_sum

CORRECT_SHARE = 0.05
"""A joint counts as right within half a head size (image side / 10) in both views, as the paper's JDR does."""

HARD_WEIGHT = 0.5
"""Weight of joints that are hidden in a view: their place is a guess, but the guess should be good."""

SATURATION_CELLS = 2.0
"""Errors far beyond this no longer pull: the cross-entropy brings joints home, this term makes them precise."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: `metric` and `joints` (the refined ones; 0 leaves the transformer alone) are per metre, `pixel`
    per feature cell, `second` per crop pixel, the others per nat."""

    disparity: float = 5.0
    """Within `pixel`, of a cell of disparity over one in the picture: metres hang on one, centimetres on the other."""
    volume: float = 0.5
    heatmap: float = 0.1
    pixel: float = 1.0
    second: float = 0.5
    spread: float = 0.1
    metric: float = 2.0
    joints: float = 0.0
    confidence: float = 0.3

    def changed(self, settings: Sequence[str]) -> LossWeights:
        """With "name=weight" for each that is to change. Raises ValueError for what is no weight from 0 on."""
        known = {f.name for f in fields(self)}
        changes = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            try:
                changes[name] = float(value)
            except ValueError:
                changes[name] = math.nan
            if name not in known or not 0 <= changes[name] < math.inf:
                raise ValueError(
                    f"loss weight {setting!r}; expected name=number from 0 on, of {', '.join(sorted(known))}"
                )
        return replace(self, **changes)


@dataclass
class Targets:
    """Labels of a batch, on the device: see data.synthetic.StereoSample for shapes and units."""

    joints: Tensor
    keypoints: Tensor
    visibility: Tensor
    present: Tensor

    @property
    def uvd(self) -> Tensor:
        """(B, 17, 3) u_left, v, disparity in crop pixels; NaN where nobody is."""
        left, right = self.keypoints.unbind(1)
        return torch.stack([left[..., 0], left[..., 1], left[..., 0] - right[..., 0]], -1)


LARGEST_PX = 16.0


def gaussian(centre: Tensor, cells: Tensor, std: float) -> Tensor:
    """Normalised weights (..., n) over cells (n,) around centres (...)."""
    return torch.softmax(-0.5 * ((cells - centre[..., None]) / std) ** 2, -1)


def axes(logits: Tensor, first_disparity: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cell coordinates along u, v, d of a co-heatmap (B, 17, D, H, W)."""
    depth, height, width = logits.shape[2:]
    u, v, d = (torch.arange(n, device=logits.device, dtype=torch.float32) for n in (width, height, depth))
    return u, v, d + first_disparity


def labelled(targets: Targets, size: int, disparities: range) -> Tensor:
    """(B, 17) bool: joints whose co-keypoint lies inside the volume."""
    uvd = targets.uvd
    inside = ((uvd[..., :2] >= 0) & (uvd[..., :2] <= size - 1)).all(-1)
    cells = uvd[..., 2] / STRIDE
    return inside & (cells >= disparities.start) & (cells <= disparities.stop - 1) & targets.present[:, None]


def volume_cross_entropy(
    logits: Tensor, uvd: Tensor, disparities: range, stride: int = STRIDE, log_sum: Tensor | None = None
) -> Tensor:
    """(B, 17) cross-entropy of co-heatmap logits against a separable Gaussian at uvd (crop pixels).

    stride: crop pixels per cell across the picture; the Gaussian is as many pixels wide whatever it is.
    log_sum: (B, 17) log-sum-exp of the logits, where it is known: on a CPU (training/on_cpu/volume.py)."""
    cells = torch.cat([(uvd[..., :2] + 0.5) / stride - 0.5, uvd[..., 2:] / STRIDE], -1)
    weights = [
        gaussian(cells[..., k], axis, HEATMAP_STD_CELLS * STRIDE / stride if k < 2 else HEATMAP_STD_CELLS / 2)
        for k, axis in enumerate(axes(logits, disparities.start))
    ]
    if log_sum is not None:
        return log_sum - separable_sum(logits, *weights)
    expected = torch.einsum("bjdvu,bju,bjv,bjd->bj", logits.float(), *weights)
    return torch.logsumexp(logits.float().flatten(2), -1) - expected


def heatmap_cross_entropy(logits: Tensor, keypoints: Tensor) -> Tensor:
    """(B, 2, 17) cross-entropy of both views' joint heatmaps (B, 2, 17, H, W) against Gaussians at keypoints (px)."""
    cells = (keypoints + 0.5) / STRIDE - 0.5
    height, width = logits.shape[-2:]
    rows, columns = (torch.arange(n, device=logits.device, dtype=torch.float32) for n in (height, width))
    wu = gaussian(cells[..., 0], columns, HEATMAP_STD_CELLS)
    wv = gaussian(cells[..., 1], rows, HEATMAP_STD_CELLS)
    expected = torch.einsum("bwjvu,bwju,bwjv->bwj", logits.float(), wu, wv)
    return torch.logsumexp(logits.float().flatten(3), -1) - expected


def is_correct(uvd: Tensor, truth: Tensor, size: int) -> Tensor:
    """(B, 17) bool: both views' keypoints within half a head size of the truth."""
    error = (uvd - truth).detach()
    left = error[..., :2].norm(dim=-1)
    right = torch.stack([error[..., 0] - error[..., 2], error[..., 1]], -1).norm(dim=-1)
    return (left < CORRECT_SHARE * size) & (right < CORRECT_SHARE * size)


def saturated(error: Tensor) -> Tensor:
    """|error| up to about SATURATION_CELLS, then constant, so that a few lost joints do not set the step's direction."""
    return SATURATION_CELLS * torch.tanh(error.abs() / SATURATION_CELLS)


def second_look_error(uvd: Tensor, truth: Tensor) -> Tensor:
    """(B, 17) errors in crop pixels, disparity three times as important; constant beyond the second look's reach."""
    error = saturated((uvd - truth) / STRIDE) * STRIDE
    return (error * uvd.new_tensor([1 / 3, 1 / 3, 1])).sum(-1)


def normal_likelihood(error: Tensor, variance: Tensor) -> Tensor:
    """(B, 17) negative log-likelihood, without its constant, of errors (B, 17, 3) under a normal distribution.

    That a joint is lost is the confidence's to say: errors count up to LARGEST_PX, lest a few set every step's direction.
    """
    error = error.clamp(-LARGEST_PX, LARGEST_PX)
    return 0.5 * (error**2 / variance + variance.log()).sum(-1)


def co_keypoint_loss(
    estimate: Estimate, targets: Targets, size: int, disparities: range, weights: LossWeights
) -> tuple[Tensor, dict[str, float]]:
    """Total loss and its terms, {name: float} (0 where no joint of the batch is labelled)."""
    seen = labelled(targets, size, disparities)
    truth = torch.where(seen[..., None], targets.uvd, torch.zeros_like(targets.uvd))
    importance = torch.where((targets.visibility >= 2).all(1), 1.0, HARD_WEIGHT) * seen
    total = importance.sum().clamp(min=1)

    def mean(per_joint: Tensor) -> Tensor:
        return (torch.where(seen, per_joint, torch.zeros_like(per_joint)) * importance).sum() / total

    first, uvd = estimate.co_keypoints.uvd, estimate.uvd
    joints = torch.where(seen[..., None], targets.joints, estimate.joints_initial.detach())
    keypoints = torch.where(seen[:, None, :, None], targets.keypoints, torch.zeros_like(targets.keypoints))
    # Far joints of a bad disparity would swamp the rest: the metric error saturates at half a metre.
    metric = 0.5 * torch.tanh((estimate.joints_initial - joints).norm(dim=-1) / 0.5)
    refined = 0.5 * torch.tanh((estimate.joints - joints).norm(dim=-1) / 0.5)
    correct = is_correct(uvd, truth, size) & seen
    confidence = torch.nn.functional.binary_cross_entropy_with_logits(
        estimate.confidence_logits.float(), correct.float(), reduction="none"
    )
    # Of a joint that nobody annotated (MHAD's nose) nobody knows whether it is right.
    known = torch.isfinite(targets.joints).all(-1) | ~targets.present[:, None]
    terms = {
        "volume": mean(
            volume_cross_entropy(
                estimate.co_heatmap,
                truth,
                disparities,
                size // estimate.co_heatmap.shape[-1],
                estimate.marginals.log_sum,
            )
        ),
        "heatmap": mean(heatmap_cross_entropy(estimate.heatmaps, keypoints).mean(1)),
        "pixel": mean((saturated((first - truth) / STRIDE) * uvd.new_tensor([1, 1, weights.disparity])).sum(-1)),
        "second": mean(second_look_error(uvd, truth)),
        "spread": mean(normal_likelihood(uvd.detach() - truth, estimate.variance)),
        "metric": mean(metric),
        "joints": mean(refined),
        "confidence": confidence[known].mean() if known.any() else confidence.sum() * 0,
    }
    if weights.joints == 0:
        del terms["joints"]
    if uvd is first:  # no second look: the volume's own spread is no parameter
        del terms["second"], terms["spread"]
    loss = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros(()))
    figures = {name: float(value.detach()) for name, value in terms.items()}
    return loss, figures | {"correct": float(mean(correct.float()))}
