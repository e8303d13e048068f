"""Following one person from pair to pair: where it will be, whether it is lost, and which id it has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.inference.medians import median
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.skeleton import BONES

FRAME_S = 1 / 30
"""Time between pairs where no stamps are given."""
KEEP = 0.35
"""A person that is followed is lost below this share of min_confidence: one blurred pair does not end a track."""
FORGET_S = 0.7
"""A person who comes back within this time, near the place where it was lost, keeps its id."""
REACH_M = 0.5
FASTEST_M_S = 3.0
"""Near: REACH_M plus what one can walk in the time that passed."""
DEPTH_NOISE = 0.15
"""Share of the distance by which depth may be off."""
LONGEST_STEP_S = 0.2
"""The prediction does not look farther ahead than this."""
FARTHEST_SHIFT = 0.25
"""Nor farther away, in sides of the person's window: a faster body is noise."""

FEWEST_JOINTS = 4
BONE_MEDIAN_M = (0.03, 0.7)
SPREAD_M = 1.3
DEPTH_M = (0.2, 40.0)
"""What a body can be: median length of its bones, median distance of its joints from the middle, depth."""

_PARENTS, _CHILDREN = np.array(BONES).T


def plausible(joints: np.ndarray, confidence: np.ndarray) -> bool:
    """Whether (17, 3) joints in metres can be a person in front of the rig, judged by the more certain half of them.

    Sizes are measured across the line of sight, at the body's median depth: the depths of single joints are off by
    metres where people are far away for the baseline, and that makes nobody implausible.
    """
    known = np.isfinite(joints).all(-1)
    if known.sum() < FEWEST_JOINTS:
        return False
    known &= confidence >= median(confidence[known])
    depth = float(median(joints[known, 2]))
    if not DEPTH_M[0] <= depth <= DEPTH_M[1]:
        return False
    flat = joints[:, :2] / joints[:, 2:] * depth
    certain = flat[known]
    spread = float(median(np.hypot(*(certain - median(certain)).T)))
    parents, children = (ends[known[_PARENTS] & known[_CHILDREN]] for ends in (_PARENTS, _CHILDREN))
    bone = float(median(np.hypot(*(flat[parents] - flat[children]).T))) if len(parents) else spread
    return BONE_MEDIAN_M[0] <= bone <= BONE_MEDIAN_M[1] and spread <= SPREAD_M


@dataclass
class Track:
    """The person followed now, or lost a moment ago.

    person: as seen last; velocity: (2, 2) pixels per second of the whole body in both views; stamp: seconds when it was
    seen; lost: since then not.
    """

    person: Person
    velocity: np.ndarray
    stamp: float
    lost: bool = False

    def shift(self, stamp: float) -> np.ndarray:
        """(2, 2) pixels in both views by which the body has moved on at a later time, with constant velocity."""
        step = min(max(stamp - self.stamp, 0.0), LONGEST_STEP_S)
        limit = FARTHEST_SHIFT * self.person.crop.side
        return (self.velocity * step).clip(-limit, limit)

    def moved(self, person: Person, stamp: float) -> Track:
        """The track after the person was seen again."""
        step = stamp - self.stamp
        both = self.person.valid & person.valid
        velocity = np.zeros((2, 2))
        if not self.lost and 0 < step <= LONGEST_STEP_S and both.any():
            moves = person.keypoints[:, both] - self.person.keypoints[:, both]
            velocity = median(moves.swapaxes(0, 1)).astype(np.float64) / step
        return Track(person, velocity, stamp)

    def recognises(self, joints: np.ndarray, stamp: float) -> bool:
        """Whether a person found at `stamp` is taken for this one: soon enough and near enough."""
        gap = stamp - self.stamp
        if not 0 <= gap <= FORGET_S:
            return False
        reach = REACH_M + FASTEST_M_S * gap
        # Depth is the noisiest coordinate, the more so the farther away; across the line of sight is what counts.
        across, along, depth = self._away(joints)
        return across <= reach and along <= reach + DEPTH_NOISE * depth

    def distance(self, joints: np.ndarray) -> float:
        """Metres across the line of sight between the body's middle now, from joints (17, 3), and when it was seen last."""
        return self._away(joints)[0]

    def _away(self, joints: np.ndarray) -> tuple[float, float, float]:
        before, after = (median(points[np.isfinite(points[:, 2])]) for points in (self.person.joints, joints))
        across = math.dist(before[:2] / before[2] * after[2], after[:2])
        return across, abs(float(after[2] - before[2])), float(after[2])
