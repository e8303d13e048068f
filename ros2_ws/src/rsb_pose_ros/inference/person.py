"""One person in one stereo pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.inference.medians import median
from rsb_pose_ros.stereo import StereoCrop

SAME_SHARE = 0.2
"""Two answers whose joints lie nearer together, in shares of the body's extent in the picture, are of one person."""


@dataclass(frozen=True)
class Person:
    """A skeleton in the left camera's rectified optical frame, metres; joints in skeleton.JOINT_NAMES' order.

    id: stays the same while the person is followed.
    joints, joints_initial: (17, 3) float32, refined and as triangulated; NaN where the triangulation is invalid.
    confidence: (17,) float32 in 0…1, probability that the joint's keypoints are right; 0 where invalid.
    covariance: (17, 3, 3) float32, m²; NaN where invalid.
    keypoints: (2, 17, 2) float32, left and right, pixels of the rectified full-resolution views.
    crop: the windows that were looked at.
    """

    id: int
    joints: np.ndarray
    joints_initial: np.ndarray
    confidence: np.ndarray
    covariance: np.ndarray
    keypoints: np.ndarray
    crop: StereoCrop

    @property
    def score(self) -> float:
        """Confidence in the person: the mean over the joints, those that were not found count as 0."""
        return float(self.confidence.mean())

    @property
    def valid(self) -> np.ndarray:
        """(17,) bool: joints that have a 3D position."""
        return np.isfinite(self.joints).all(-1)

    def is_same(self, other: Person) -> bool:
        """Whether two answers about one pair are of one and the same person: their keypoints fall together in both views."""
        both = self.valid & other.valid
        if not both.any():
            return False
        apart = np.linalg.norm(self.keypoints - other.keypoints, axis=-1).max(0)[both]
        extents = [float(np.ptp(person.keypoints[0, both], axis=0).max()) for person in (self, other)]
        return float(median(apart)) <= SAME_SHARE * max(extents)
