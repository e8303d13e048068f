"""How sure it is that somebody is there whom a search has come upon: what decides whether a track begins.

The mean confidence of all joints lets a chair through before it lets through a person of whom the picture shows the upper
half. So the joints that lie in the pictures are judged, and so is what the first glimpse said, which saw the same through
another window. Of somebody who is cut off, the joints that are in view are less sure than of somebody who is not: the fewer
are in view, the less is asked of them, down to LEAST_IN_VIEW.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsb_pose_ros.inference.person import Person

EVIDENCE = ("confidence", "in_view", "glimpse")
"""confidence: mean of the joints that lie in both pictures; in_view: share of the joints that do; glimpse: mean confidence
in the search window."""
LEAST_IN_VIEW = 0.65
"""A smaller share counts as this one: next to nothing was learned from people of whom less is in the pictures."""
STEEPEST = 50.0
"""Logits beyond this are as sure as it gets."""


@dataclass(frozen=True)
class Presence:
    """A logistic regression on EVIDENCE, from a model's card (tools/calibrate_presence.py). weights: (E,)."""

    bias: float
    weights: np.ndarray

    @classmethod
    def of_card(cls, record: dict[str, Any] | None) -> Presence | None:
        """From the card's `presence`, which read_card has checked; None where it has none."""
        if record is None:
            return None
        return cls(float(record["bias"]), np.array([record["weights"][name] for name in EVIDENCE], np.float64))

    def record(self) -> dict[str, Any]:
        """For the card."""
        weights = {name: round(float(weight), 4) for name, weight in zip(EVIDENCE, self.weights, strict=True)}
        return {"bias": round(self.bias, 4), "weights": weights}

    def probability(self, evidence: np.ndarray) -> np.ndarray:
        """0…1 for each row of evidence (..., E)."""
        return 1 / (1 + np.exp(-np.clip(self.bias + evidence @ self.weights, -STEEPEST, STEEPEST)))


def evidence_of(glimpse: Person, person: Person, bounds: np.ndarray) -> np.ndarray:
    """(E,) of somebody whom a search has looked at closely.

    glimpse: the answer in the search window; person: the one in the window around the person; bounds: (2, 4) x_min, y_min,
    x_max, y_max of what the rectified views show, pixels.
    """
    low, high = bounds[:, None, :2], bounds[:, None, 2:]
    in_view = ((person.keypoints >= low) & (person.keypoints <= high)).all((0, 2))
    confidence = float(person.confidence[in_view].mean()) if in_view.any() else 0.0
    return np.array([confidence, max(float(in_view.mean()), LEAST_IN_VIEW), glimpse.score])


def is_record(value: Any) -> bool:
    """Whether a card's `presence` holds what Presence needs."""
    if value is None:
        return True
    weights = value.get("weights") if isinstance(value, dict) else None
    if not isinstance(weights, dict) or set(weights) != set(EVIDENCE):
        return False
    return all(_is_finite(number) for number in (value.get("bias"), *weights.values()))


def _is_finite(value: Any) -> bool:
    """Whether a number out of JSON is one to compute with."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False
