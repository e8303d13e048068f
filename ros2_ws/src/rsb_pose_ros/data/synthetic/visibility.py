"""Which joints a view shows: read off the depth and kind of the surface in front of them."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.sample import HIDDEN, OUTSIDE, SELF_HIDDEN, VISIBLE
from rsb_pose_ros.data.synthetic.scenes import PERSON
from rsb_pose_ros.skeleton import JOINT_NAMES

DEEPEST = {"pelvis": 0.22, "thorax": 0.22, "neck": 0.16, "r_hip": 0.2, "l_hip": 0.2, "nose": 0.04}
DEPTH_UNDER_SURFACE = np.array([DEEPEST.get(name, 0.13) for name in JOINT_NAMES])
"""How deep a joint's centre lies under the surface at most, clothes included, metres; the nose lies on it, and shows
through no back of a head."""
GAP_M = 0.02
"""What is so much nearer than a joint and no person hides it."""


def joint_visibility(
    depth: np.ndarray, keypoints: np.ndarray, surface: np.ndarray, kind: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """(2, 17) uint8. depth: (17,) metres; keypoints: (2, 17, 2) px; surface, kind: (2, H, W); inside: (2, 17) bool."""
    last = np.array(surface.shape[:0:-1]) - 1
    column, row = np.clip(np.round(keypoints), 0, last).astype(int).transpose(2, 0, 1)
    view = np.arange(2)[:, None]
    gap = depth - surface[view, row, column]
    blocker = kind[view, row, column]
    visibility = np.full(inside.shape, VISIBLE, np.uint8)
    visibility[(blocker == PERSON) & (gap > DEPTH_UNDER_SURFACE)] = SELF_HIDDEN
    visibility[(blocker != PERSON) & (gap > GAP_M)] = HIDDEN
    visibility[~inside] = OUTSIDE
    return visibility
