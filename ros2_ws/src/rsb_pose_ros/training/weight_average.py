"""Weights between a network and the same network fine-tuned on something else.

What fine-tuning on renderings takes away from what the backbone knew of photographs, the middle of both mostly keeps, at
little loss on renderings (WiSE-FT; Wortsman et al., CVPR 2022, arXiv 2109.01903).
"""

from __future__ import annotations

from torch import Tensor


def between(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """before + share · (after − before), weight by weight; what is no floating-point number is after's.

    Raises ValueError naming a weight that only one of them has, or that has another shape.
    """
    wrong = sorted(before.keys() ^ after.keys())
    wrong += [name for name in before.keys() & after.keys() if before[name].shape != after[name].shape]
    if wrong:
        raise ValueError(
            f"these are not two states of one network: {', '.join(wrong[:5])} differ ({len(wrong)} weights)"
        )
    return {
        name: before[name].lerp(value, share) if value.is_floating_point() else value for name, value in after.items()
    }
