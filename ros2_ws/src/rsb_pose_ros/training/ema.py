"""Exponential moving average of the weights: what is evaluated and shipped."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """Averages a module's parameters; the decay grows with the number of steps, so that early weights fade fast."""

    def __init__(self, module: nn.Module, decay: float = 0.998) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the module's weights after an optimiser step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for average, current in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if average.dtype.is_floating_point:
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)
