"""Visibility is read off what lies in front of a joint."""

from __future__ import annotations

import numpy as np

from rsb_pose_ros.data.sample import HIDDEN, OUTSIDE, SELF_HIDDEN, VISIBLE
from rsb_pose_ros.data.synthetic.scenes import BACKGROUND, OBJECT, PERSON
from rsb_pose_ros.data.synthetic.visibility import joint_visibility
from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT


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
    others = np.delete(found, INDEX["nose"], axis=1)
    assert (others == others[0, 0]).all()
    return int(others[0, 0])


def test_levels():
    assert one(2.92, PERSON) == VISIBLE  # under the skin
    assert one(2.5, PERSON) == SELF_HIDDEN
    assert one(2.5, OBJECT) == HIDDEN
    assert one(2.5, BACKGROUND) == HIDDEN  # behind a wall
    assert one(3.4, BACKGROUND) == VISIBLE  # beside the silhouette by a hair
    assert one(2.92, PERSON, inside=False) == OUTSIDE


def test_a_nose_does_not_show_through_the_back_of_a_head():
    keypoints, inside = np.full((2, JOINT_COUNT, 2), 10.0), np.ones((2, JOINT_COUNT), bool)
    kind = np.full((2, 64, 64), PERSON, np.uint8)
    for gap, expected in ((0.01, VISIBLE), (0.11, SELF_HIDDEN)):
        surface = np.full((2, 64, 64), 3.0 - gap, np.float32)
        found = joint_visibility(np.full(JOINT_COUNT, 3.0), keypoints, surface, kind, inside)
        assert (found[:, INDEX["nose"]] == expected).all()
        assert (found[:, INDEX["r_wrist"]] == VISIBLE).all()
