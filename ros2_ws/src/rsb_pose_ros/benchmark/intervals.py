"""How sure a figure is: 95 % intervals by drawing pairs anew (bootstrap), because joints of one pair err together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)


def mean_interval(errors: np.ndarray) -> tuple[int, float, float, float]:
    """(pairs, mean, low, high) of errors (N, 17) in any unit; NaN: not known. NaN where no pair has any."""
    rows = [row[np.isfinite(row)] for row in errors if np.isfinite(row).any()]
    if not rows:
        return 0, np.nan, np.nan, np.nan
    sums, counts = (np.array([of(row) for row in rows], float) for of in (np.sum, len))
    drawn = np.random.default_rng(0).integers(0, len(rows), (RESAMPLES, len(rows)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), PERCENTILES)
    return len(rows), float(sums.sum() / counts.sum()), float(low), float(high)


def ratio(ours: np.ndarray, other: np.ndarray, of: str, resamples: int = RESAMPLES) -> dict[str, Any]:
    """{"ratio", "low", "high", "ours", "other", "joints"} of errors (N, 17), on joints that both found.

    of: "mean" or "median"; low, high: 95 % interval.
    """
    both = np.isfinite(ours) & np.isfinite(other)
    centre = np.mean if of == "mean" else np.median
    rows = [np.stack([a[keep], b[keep]]) for a, b, keep in zip(ours, other, both) if keep.any()]
    if not rows:
        return dict.fromkeys(("ratio", "low", "high", "ours", "other"), float("nan")) | {"joints": 0}
    generator = np.random.default_rng(0)

    def of_rows(chosen: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(centre(np.concatenate(chosen, axis=1), axis=1))

    a, b = of_rows(rows)
    drawn = [of_rows([rows[i] for i in generator.integers(0, len(rows), len(rows))]) for _ in range(resamples)]
    low, high = np.percentile([x / y for x, y in drawn], PERCENTILES) if drawn else (np.nan, np.nan)
    return {
        "ratio": float(a / b),
        "low": float(low),
        "high": float(high),
        "ours": float(a),
        "other": float(b),
        "joints": int(both.sum()),
    }
