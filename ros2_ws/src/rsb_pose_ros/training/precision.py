"""Mixed precision: bfloat16 for the convolutions, float32 for what compares or sums small differences."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from rsb_pose_ros.model import RSBPose

EXACT = (
    *("backbone.stem", "heatmaps", "co_keypoints.agreement", "co_keypoints.regressor.head"),
    *("second_look", "confidence", "transformer"),
)
"""Parts of the network that stay in float32. Heatmap logits reach 80, where bfloat16 knows steps of a quarter; the second
look compares cosines that differ by hundredths."""


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16: GPUs do, CPUs with AVX-512 BF16 or AMX, too; others only pretend."""
    return device.type == "cuda" or bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def keep_exact(model: RSBPose) -> None:
    """Let the parts named EXACT compute in float32 under autocast."""
    for name, part in model.named_modules():
        if name in EXACT:
            _in_float32(part)


def _in_float32(part: nn.Module) -> None:
    part.forward = MethodType(_exact, part)  # a method, so that a copy of the network runs its own parts


def _exact(part: nn.Module, *inputs: Any) -> Any:
    first = next(value for value in inputs if isinstance(value, Tensor))
    with torch.autocast(first.device.type, enabled=False):
        return type(part).forward(part, *(_widened(value) for value in inputs))


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.float()
    return value
