"""Softmax over the co-heatmap and what is read of it, in one pass forwards and one backwards.

A batch of sixteen volumes is 54 MB, and each of PyTorch's dozen operations on it a walk through memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsb_pose_ros.model.softargmax import Marginals
from rsb_pose_ros.training.on_cpu import compiled


def read_volume(logits: Tensor) -> Marginals:
    """As model.softargmax.read_volume, for logits (B, 17, D, H, W) on a CPU; knows the logarithm of the sum as well."""
    read = SoftmaxReading.apply(logits.float().flatten(0, 1).contiguous())
    return Marginals(*(part.unflatten(0, logits.shape[:2]) for part in read))


class SoftmaxReading(torch.autograd.Function):
    """Logits (N, D, H, W) → marginals (N, W), (N, H), (N, D), peak (N,) and log-sum-exp (N,) of their softmax."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, ...]:
        count, *shape = logits.shape
        probability = torch.empty_like(logits)
        marginals = [torch.empty(count, length) for length in reversed(shape)]
        log_sum, mode = torch.empty(count), np.empty((count, 3), np.int64)
        arrays = [part.numpy() for part in (logits.detach(), probability, *marginals, log_sum)]
        compiled.softmax_with_marginals(*arrays, mode)  # type: ignore[call-arg]
        place = torch.from_numpy(np.ravel_multi_index(tuple(mode.T), tuple(shape)))
        peak = probability.flatten(1).gather(1, place[:, None]).squeeze(1)
        ctx.save_for_backward(probability, peak, *marginals)
        ctx.mode = mode
        return *marginals, peak, log_sum

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        probability, peak, *marginals = ctx.saved_tensors
        *of_marginals, of_peak, of_sum = (g.float().contiguous() for g in gradients)
        pull = sum((g * m).sum(1) for g, m in zip(of_marginals, marginals, strict=True))
        constant = of_sum - of_peak * peak - pull
        result = torch.empty_like(probability)
        arrays = [part.numpy() for part in (probability, *of_marginals, constant)]
        compiled.marginals_gradient(*arrays, ctx.mode, (of_peak * peak).numpy(), result.numpy())  # type: ignore[call-arg]
        return result


def separable_sum(logits: Tensor, along_u: Tensor, along_v: Tensor, along_d: Tensor) -> Tensor:
    """Σ logits·along_u·along_v·along_d: logits (B, 17, D, H, W), weights (B, 17, W), (B, 17, H), (B, 17, D) → (B, 17)."""
    flat = [part.float().flatten(0, 1).contiguous() for part in (logits, along_u, along_v, along_d)]
    return SeparableSum.apply(*flat).unflatten(0, logits.shape[:2])


class SeparableSum(torch.autograd.Function):
    """The same of N volumes; the weights are labels and get no gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, *weights: Tensor) -> Tensor:
        ctx.save_for_backward(*weights)
        result = torch.empty(len(logits))
        compiled.separable_sum(*(part.detach().numpy() for part in (logits, *weights, result)))
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        along_u, along_v, along_d = ctx.saved_tensors
        rows = (gradients[0][:, None] * along_d)[:, :, None] * along_v[:, None]
        return rows[..., None] * along_u[:, None, None], None, None, None
