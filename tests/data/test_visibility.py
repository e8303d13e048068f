"""Visibility is read off what lies in front of a joint."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.sample import HIDDEN, OUTSIDE, SELF_HIDDEN, VISIBLE
from rsb_pose_ros.data.synthetic.scenes import BACKGROUND, OBJECT, PERSON
from rsb_pose_ros.data.synthetic.visibility import joint_visibility
from rsb_pose_ros.skeleton import JOINT_COUNT


def one(surface: float, kind: int, inside: bool = True) -> int:
    """Visibility of joints at 3 m behind a surface of one kind."""
    keypoints = np.full((2, JOINT_COUNT, 2), 10.0)
    found = joint_visibility(
        np.full(JOINT_COUNT, 3.0),
        keypoints,
        np.full((2, 64, 64), surface, np.float32),
        np.full((2, 64, 64), kind, np.uint8),
        np.full((2, JOINT_COUNT), inside),
    )
    assert (found == found[0, 0]).all()
    return int(found[0, 0])


def test_levels():
    assert one(2.92, PERSON) == VISIBLE  # under the skin
    assert one(2.5, PERSON) == SELF_HIDDEN
    assert one(2.5, OBJECT) == HIDDEN
    assert one(2.5, BACKGROUND) == HIDDEN  # behind a wall
    assert one(3.4, BACKGROUND) == VISIBLE  # beside the silhouette by a hair
    assert one(2.92, PERSON, inside=False) == OUTSIDE
