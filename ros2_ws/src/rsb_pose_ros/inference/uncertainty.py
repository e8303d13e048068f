"""What a model's card knows of its honesty: how much larger or smaller errors are than the network states them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Honesty:
    """Factors on the stated standard deviations, by confidence, and one on their correlations.

    The network derives a joint's covariance from the width of its co-heatmap, before the pose transformer, and judges by
    itself how sure it is. A sure joint's errors are a third of what the heatmap's width says, an unsure one's three times
    as much; and what the transformer moves lies no longer on the ray that triangulation drew it out along. Measured, not
    learned (evaluation/honesty.py), and kept in the card beside the file it was measured on.

    confidence: (K,) rising; factors: (K, 3) along x, y and depth of the left rectified optical frame, above 0;
    correlation: 0…1, on what x, y and depth have in common.
    """

    confidence: np.ndarray
    factors: np.ndarray
    correlation: float = 1.0

    @classmethod
    def of_card(cls, record: dict[str, Any] | None) -> Honesty | None:
        """From the card's `uncertainty`, which read_card has checked; None where it has none."""
        if record is None:
            return None
        confidence, factors = (np.array(record[key], np.float64) for key in ("confidence", "factors"))
        return cls(confidence, factors, float(record.get("correlation", 1.0)))

    def record(self) -> dict[str, Any]:
        """For the card."""
        return {
            "confidence": self.confidence.round(4).tolist(),
            "factors": self.factors.round(4).tolist(),
            "correlation": round(self.correlation, 4),
        }

    def state(self, covariance: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """(…, 17, 3, 3) m² as it is published, from the network's and its confidence (…, 17)."""
        scale = np.stack([np.interp(confidence, self.confidence, row) for row in self.factors.T], -1)
        return covariance * (self._kept * scale[..., :, None] * scale[..., None, :])

    @cached_property
    def _kept(self) -> np.ndarray:
        """(3, 3) share of every term that is kept."""
        return np.where(np.eye(3, dtype=bool), 1.0, self.correlation)


def is_record(value: Any) -> bool:
    """Whether a card's `uncertainty` holds what Honesty needs."""
    try:
        honesty = Honesty.of_card(value)
    except (TypeError, ValueError, KeyError):
        return False
    if honesty is None:
        return True
    knots, factors = honesty.confidence, honesty.factors
    return bool(
        knots.ndim == 1
        and len(knots) > 0
        and factors.shape == (len(knots), 3)
        and np.isfinite(knots).all()
        and (np.diff(knots) > 0).all()
        and np.isfinite(factors).all()
        and (factors > 0).all()
        and 0 <= honesty.correlation <= 1
    )
