"""A backbone that rounds as its INT8 file will, so that what is trained on its features learns to bear it.

BlazePose's backbone saturates almost everywhere (ReLU6), and amplifies what eight bits lose: rounded after training
alone, joints moved by some centimetres. Quantization-aware training of the heads costs nothing extra where the backbone
itself is frozen; where it is trained, gradients pass the rounding as if it were not there (straight-through estimator,
Bengio et al., arXiv 1308.3432).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.blazepose import BlazePoseBackbone, Inverted

LEVELS = 127
"""Of a symmetric signed byte; TensorRT wants activations so, too, half of whose range ReLU6 leaves unused."""

CALIBRATION_BATCHES = 8
EXACT = ("stem", "stem_separable")
"""Parts that stay in floating point: the second look compares their features, and they are cheap to keep."""


class Int8Rounding:
    """Rounds the backbone's weights, and the outputs of its convolutions and sums, while `on`.

    The first CALIBRATION_BATCHES batches are only watched: the largest value of every output sets its step.
    """

    def __init__(self, backbone: BlazePoseBackbone) -> None:
        self.on = False
        self._highest: dict[str, Tensor] = {}
        self._batches = 0
        activated = _followed_by_relu6(backbone)
        for name, module in backbone.named_modules():
            if name.split(".")[0] in EXACT:
                continue
            if isinstance(module, nn.Conv2d):
                self._round_weight(module)
                module.register_forward_hook(self._clipped if name in activated else self._hook(name))
            elif isinstance(module, Inverted) and module.residual:
                module.register_forward_hook(self._hook(name))

    def __enter__(self) -> Int8Rounding:
        """Inside, the backbone rounds (after calibration)."""
        self.on = True
        return self

    def __exit__(self, *_: object) -> None:
        self.on = False
        self._batches += 1

    def _round_weight(self, module: nn.Conv2d) -> None:
        exact = module._conv_forward

        def rounding(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return exact(images, straight_through(weight, rounded_weight(weight)) if self.on else weight, bias)

        module._conv_forward = rounding  # type: ignore[method-assign]

    def _clipped(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        del module, inputs
        if not self.on:
            return output
        return RoundedReLU6.apply(output)

    def _hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
            del module, inputs
            if not self.on:
                return output
            if self._batches < CALIBRATION_BATCHES:
                seen = output.detach().abs().amax()
                self._highest[name] = torch.maximum(self._highest.get(name, seen), seen)
                return output
            return Rounded.apply(output, float(self._highest[name]) / LEVELS)

        return hook


class RoundedReLU6(torch.autograd.Function):
    """ReLU6 in LEVELS steps, with the gradient of one without steps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x * (LEVELS / 6)).clamp_(0, LEVELS).round_().mul_(6 / LEVELS)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradients[0], x, 0.0, 6.0)


class Rounded(torch.autograd.Function):
    """Multiples of `step` up to LEVELS of them, with the gradient of the exact values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: float) -> Tensor:
        return (x / step).round_().clamp_(-LEVELS, LEVELS).mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(exact: Tensor, rounded: Tensor) -> Tensor:
    """The rounded values with the exact ones' gradient."""
    return rounded if not exact.requires_grad else exact + (rounded - exact).detach()


def rounded_weight(weight: Tensor) -> Tensor:
    """A convolution's weight (O, …) in 127 steps of each output channel's largest value."""
    step = weight.abs().flatten(1).amax(1).clamp(min=1e-12).view(-1, *[1] * (weight.dim() - 1)) / LEVELS
    return (weight / step).round() * step


def _followed_by_relu6(backbone: BlazePoseBackbone) -> set[str]:
    """Names of the convolutions whose output goes into a ReLU6: all but the linear projections."""
    linear = {f"{name}.project" for name, module in backbone.named_modules() if getattr(module, "linear", False)}
    return {name for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)} - linear
