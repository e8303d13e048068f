"""Is the published covariance honest: do errors fall inside its ellipsoids as often as it says?"""

from __future__ import annotations

import math

import numpy as np

from rsb_pose_ros.evaluation import metrics

AXES = ("x", "y", "z")


def normalised_errors(joints: np.ndarray, covariance: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the joints that have a truth and a covariance, in standard deviations.

    joints, truth: (..., 3) metres; covariance: (..., 3, 3) m². Returns them along the camera's axes, (M, 3), and the
    Mahalanobis distances (M,).
    """
    squared = metrics.mahalanobis_squared(joints, truth, covariance)
    known = np.isfinite(squared)
    deviation = np.sqrt(np.diagonal(covariance[known], axis1=-2, axis2=-1))
    return (joints - truth)[known] / deviation, np.sqrt(squared[known])


def inside(mahalanobis: np.ndarray) -> np.ndarray:
    """Probability that a normal error in three dimensions is smaller: uniform in 0…1 where the covariance is honest."""
    r = np.asarray(mahalanobis, np.float64)
    return np.vectorize(math.erf, otypes=[float])(r / math.sqrt(2)) - math.sqrt(2 / math.pi) * r * np.exp(-(r**2) / 2)


def reliability(joints: np.ndarray, covariance: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Shares of the joints within one standard deviation along each axis (0.683 is honest), and in the 50 % and 95 %
    ellipsoids; NaN without any joint."""
    along, radius = normalised_errors(joints, covariance, truth)
    if not len(radius):
        return {name: float("nan") for name in (*(f"within_sigma_{a}" for a in AXES), "in_50_percent", "in_95_percent")}
    probability = inside(radius)
    return {
        **{f"within_sigma_{a}": float(share) for a, share in zip(AXES, (np.abs(along) <= 1).mean(0))},
        "in_50_percent": float((probability <= 0.5).mean()),
        "in_95_percent": float((probability <= 0.95).mean()),
    }
