"""Depthwise convolutions whose gradients are computed by compiled loops where oneDNN has none of its own.

In bfloat16 oneDNN falls back to reference code for the weights' gradient of 5×5 kernels, and for the images' gradient
of strided ones: twenty to eighty times as long as the forward pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rsb_pose_ros.training.on_cpu import compiled


class DepthwiseConvolution(torch.autograd.Function):
    """conv2d(images (N, C, H, W), weight (C, 1, K, K), bias (C,)) in bfloat16, padded by K // 2."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(images, weight)
        ctx.stride = stride
        return nn.functional.conv2d(images, weight, bias, stride, weight.shape[2] // 2, groups=weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        images, weight = ctx.saved_tensors
        of_output = gradients[0].contiguous(memory_format=torch.channels_last)
        of_images = image_gradient(of_output, images, weight, ctx.stride) if ctx.needs_input_grad[0] else None
        of_weight = weight_gradient(of_output, images, weight, ctx.stride)
        of_bias = of_output.sum((0, 2, 3), dtype=torch.float32).to(weight.dtype)
        return of_images, of_weight, of_bias, None


def image_gradient(of_output: Tensor, images: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Gradient (N, C, H, W) of the images; without a stride it is a convolution with the turned kernel, which is fast."""
    channels, _, kernel, _ = weight.shape
    if stride == 1:
        turned = weight.flip(2, 3)
        return nn.functional.conv2d(of_output, turned, None, 1, kernel // 2, groups=channels)
    result = torch.empty_like(images, memory_format=torch.channels_last)
    taps = weight.float().squeeze(1).permute(1, 2, 0).contiguous().numpy()
    line = np.empty(channels, np.float32)
    compiled.depthwise_image_gradient(as_bits(of_output), taps, stride, line, as_bits(result))
    return result


def weight_gradient(of_output: Tensor, images: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Gradient (C, 1, K, K) of the weight."""
    channels, _, kernel, _ = weight.shape
    if kernel == 3:  # of these oneDNN has a fast one
        settings = ([stride, stride], [1, 1], [1, 1], False, [0, 0], channels, [False, True, False])
        return torch.ops.aten.convolution_backward(of_output, images, weight, None, *settings)[1]
    sums = np.zeros((kernel, kernel, channels), np.float32)
    compiled.depthwise_weight_gradient(as_bits(images), as_bits(of_output), kernel, stride, sums)
    return torch.from_numpy(sums).permute(2, 0, 1).unsqueeze(1).to(weight.dtype)


def as_bits(images: Tensor) -> np.ndarray:
    """(N, H, W, C) uint16 view of bfloat16 images (N, C, H, W) that are stored channels last."""
    return images.detach().permute(0, 2, 3, 1).view(torch.int16).numpy().view(np.uint16)


def is_slow(module: nn.Module) -> bool:
    """Whether oneDNN lacks one of this convolution's gradients in bfloat16."""
    if not isinstance(module, nn.Conv2d) or module.groups != module.in_channels or module.in_channels == 1:
        return False
    same = module.dilation == (1, 1) and module.padding == (module.kernel_size[0] // 2,) * 2 and module.bias is not None
    return same and (module.kernel_size[0] == 5 or module.stride[0] > 1)


def replace_slow_gradients(network: nn.Module) -> int:
    """Let the slow depthwise convolutions of a network compute their gradients here; returns how many there are."""
    slow = [module for module in network.modules() if is_slow(module)]
    for module in slow:
        _replace(module)  # type: ignore[arg-type]
    return len(slow)


def _replace(module: nn.Conv2d) -> None:
    exact, stride = module._conv_forward, module.stride[0]

    def convolve(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if bias is None or not torch.is_grad_enabled() or not torch.is_autocast_enabled("cpu"):
            return exact(images, weight, bias)
        return DepthwiseConvolution.apply(images.bfloat16(), weight.bfloat16(), bias.bfloat16(), stride)

    module._conv_forward = convolve  # type: ignore[method-assign]
