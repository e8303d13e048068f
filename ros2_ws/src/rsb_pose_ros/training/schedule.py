"""Learning rate: linear warm-up, then a cosine down to a hundredth."""

from __future__ import annotations

import math


def warmed_up(step: int, warmup: int) -> float:
    """Factor on the learning rate in the first `warmup` steps, rising to 1."""
    return min(1.0, (step + 1) / max(1, warmup))


def cosine_decay(progress: float) -> float:
    """Factor on the learning rate when a share `progress`, 0…1, of the run is done."""
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def cosine(step: int, steps: int, warmup: int) -> float:
    """Factor on the base learning rate at `step` of `steps`."""
    return warmed_up(step, warmup) * cosine_decay((step - warmup) / max(1, steps - warmup) if step > warmup else 0.0)
