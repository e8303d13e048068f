"""A frozen backbone that rounds as its INT8 file will, so that what is trained on its features learns to bear it.

BlazePose's backbone saturates almost everywhere (ReLU6), and amplifies what eight bits lose: rounded after training
alone, joints moved by some centimetres. Quantization-aware training of the heads costs nothing extra here, as the
backbone itself is not trained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.blazepose import BlazePoseBackbone, Inverted

LEVELS = 127
"""Of a symmetric signed byte; TensorRT wants activations so, too, half of whose range ReLU6 leaves unused."""

CALIBRATION_BATCHES = 8
EXACT = ("stem", "stem_separable")
"""Parts that stay in floating point: the second look compares their features, and they are cheap to keep."""


class Int8Rounding:
    """Rounds the backbone's weights once, and the outputs of its convolutions and sums while `on`.

    The first CALIBRATION_BATCHES batches are only watched: the largest value of every output sets its step.
    """

    def __init__(self, backbone: BlazePoseBackbone) -> None:
        self.on = False
        self._highest: dict[str, Tensor] = {}
        self._batches = 0
        self._exact: dict[str, Tensor] = {}
        self._backbone = backbone
        activated = _followed_by_relu6(backbone)
        for name, module in backbone.named_modules():
            if name.split(".")[0] in EXACT:
                continue
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(self._clipped if name in activated else self._hook(name))
            elif isinstance(module, Inverted) and module.residual:
                module.register_forward_hook(self._hook(name))

    def __enter__(self) -> Int8Rounding:
        """Inside, the backbone rounds (after calibration)."""
        self.on = True
        self._exact = {name: parameter.detach().clone() for name, parameter in self._backbone.named_parameters()}
        with torch.no_grad():
            for name, module in self._backbone.named_modules():
                if isinstance(module, nn.Conv2d) and name.split(".")[0] not in EXACT:
                    module.weight.copy_(rounded_weight(module.weight))
        return self

    def __exit__(self, *_: object) -> None:
        self.on = False
        self._batches += 1
        with torch.no_grad():
            for name, parameter in self._backbone.named_parameters():
                parameter.copy_(self._exact[name])

    def _clipped(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        del module, inputs
        step = 6 / LEVELS
        return (output.clamp(0, 6) / step).round() * step if self.on else output

    def _hook(self, name: str):  # type: ignore[no-untyped-def]
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
            del module, inputs
            if not self.on:
                return output
            if self._batches < CALIBRATION_BATCHES:
                seen = output.detach().abs().amax()
                self._highest[name] = torch.maximum(self._highest.get(name, seen), seen)
                return output
            step = self._highest[name] / LEVELS
            return (output / step).round().clamp(-LEVELS, LEVELS) * step

        return hook


def rounded_weight(weight: Tensor) -> Tensor:
    """A convolution's weight (O, …) in 127 steps of each output channel's largest value."""
    step = weight.abs().flatten(1).amax(1).clamp(min=1e-12).view(-1, *[1] * (weight.dim() - 1)) / LEVELS
    return (weight / step).round() * step


def _followed_by_relu6(backbone: BlazePoseBackbone) -> set[str]:
    """Names of the convolutions whose output goes into a ReLU6: all but the linear projections."""
    linear = {f"{name}.project" for name, module in backbone.named_modules() if getattr(module, "linear", False)}
    return {name for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)} - linear
