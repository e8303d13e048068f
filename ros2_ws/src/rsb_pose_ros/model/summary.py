"""Parameters and multiply-accumulates per part of a network."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rsb_pose_ros.model.rsb_pose import RSBPose

COUNTED = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)


@dataclass
class Part:
    """One part of the network: learned numbers, and multiply-accumulates per stereo pair."""

    parameters: int
    macs: int


def summarise(model: RSBPose) -> dict[str, Part]:
    """Cost per part (`backbone`, `co_keypoints.regressor`, …) of one stereo pair.

    Convolutions and linear layers are counted, and the two matrix products of each attention; element-wise work is not.
    """
    macs: dict[str, int] = defaultdict(int)
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, COUNTED):
            hooks.append(module.register_forward_hook(_counter(macs, part_of(name))))
    size = model.config.image_size
    crops = torch.zeros(1, 2, size, size, 3, dtype=torch.uint8)
    projections = torch.tensor([[500.0, 0, 128, 0], [0, 500, 128, 0], [0, 0, 1, 0]]).repeat(1, 2, 1, 1)
    projections[:, 1, 0, 3] = -50
    was_training = model.training
    with torch.no_grad():
        model.eval()(crops, projections)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    transformer = model.config.transformer
    macs["transformer"] += transformer.depth * 2 * 17 * 17 * transformer.width
    parts: dict[str, Part] = {}
    for name, parameter in model.named_parameters():
        part = parts.setdefault(part_of(name), Part(0, macs[part_of(name)]))
        part.parameters += parameter.numel()
    return parts


def part_of(name: str) -> str:
    """The part that a module or parameter belongs to: co-keypoints are split once more."""
    pieces = name.split(".")
    return ".".join(pieces[:2]) if pieces[0] == "co_keypoints" else pieces[0]


def _counter(macs: dict[str, int], part: str):  # type: ignore[no-untyped-def]
    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, Tensor)
        if isinstance(module, nn.Linear):
            macs[part] += inputs[0].numel() // module.in_features * weight.numel()
        elif isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
            macs[part] += inputs[0][0, 0].numel() * len(inputs[0]) * weight.numel()
        else:
            macs[part] += output[0, 0].numel() * len(output) * weight.numel()

    return count
