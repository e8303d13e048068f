"""Measuring how far a network's covariance is off, by its confidence: what a model's card keeps (inference/uncertainty)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rsb_pose_ros.evaluation.breakdown import WindowTable
from rsb_pose_ros.evaluation.reliability import AXES, reliability
from rsb_pose_ros.inference.uncertainty import Honesty

ONE_SIGMA = 0.683
"""Share of a normal distribution within one standard deviation."""
KNOTS = 10
LEAST_JOINTS = 100
"""Per knot: below that a quantile is noise."""


def deviations(table: WindowTable) -> tuple[np.ndarray, np.ndarray]:
    """Errors in stated standard deviations (M, 3) along x, y, depth and confidences (M,) of the joints that have both."""
    known = np.isfinite(table.joints - table.truth).all(-1) & np.isfinite(table.covariance).all((-1, -2))
    known &= table.present[:, None]
    stated = np.sqrt(np.diagonal(table.covariance[known], axis1=-2, axis2=-1))
    return np.abs(table.joints - table.truth)[known] / np.maximum(stated, 1e-9), table.confidence[known]


def fit_honesty(table: WindowTable, knots: int = KNOTS) -> Honesty:
    """Factors after which 68.3 % of the errors lie within one standard deviation along each axis, at every confidence,
    and as much correlation as puts half of the errors into the 50 % ellipsoids.

    table: answers whose covariance is the network's own (OnnxWindows(…, as_stated=True)). Raises ValueError for too few
    joints.
    """
    errors, confidence = deviations(table)
    if len(errors) < knots * LEAST_JOINTS:
        raise ValueError(
            f"{len(errors)} joints with a known error; expected at least {knots * LEAST_JOINTS}: more pairs"
        )
    groups = np.array_split(np.argsort(confidence, kind="stable"), knots)
    middles = np.array([np.median(confidence[group]) for group in groups])
    factors = np.array([np.quantile(errors[group], ONE_SIGMA, axis=0) for group in groups])
    # Equal confidences, as of a network that is not trained, make one knot.
    kept = np.concatenate([[True], np.diff(middles.round(4)) > 0])
    honesty = Honesty(middles[kept].round(4), np.maximum(factors[kept], 1e-3).round(4))
    return min((replace(honesty, correlation=c / 10) for c in range(10, -1, -1)), key=lambda h: _off_half(table, h))


def _off_half(table: WindowTable, honesty: Honesty) -> float:
    people = table.only(table.present)
    covariance = honesty.state(people.covariance, people.confidence)
    return abs(reliability(people.joints, covariance, people.truth)["in_50_percent"] - 0.5)


def comparison(stated: WindowTable, honesty: Honesty) -> list[dict[str, float]]:
    """By confidence: how many joints, and the shares of them within one standard deviation, before and after."""
    errors, confidence = deviations(stated)
    factors = np.stack([np.interp(confidence, honesty.confidence, row) for row in honesty.factors.T], -1)
    rows = []
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01), (0.0, 1.01)):
        group = (confidence >= low) & (confidence < high)
        row = {"from": low, "to": min(high, 1.0), "joints": int(group.sum())}
        for name, values in (("network", errors), ("published", errors / factors)):
            shares = (values[group] <= 1).mean(0) if group.any() else np.full(3, np.nan)
            row |= {f"{name}_{axis}": float(share) for axis, share in zip(AXES, shares)}
        rows.append(row)
    return rows
