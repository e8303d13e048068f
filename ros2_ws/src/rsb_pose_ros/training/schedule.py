"""Learning rate: linear warm-up, then a cosine down to a hundredth."""

from __future__ import annotations

import math


def cosine(step: int, steps: int, warmup: int) -> float:
    """Factor on the base learning rate at `step` of `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
