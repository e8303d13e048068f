"""Prediction, recognition and what can be a person at all."""

import numpy as np
import pytest

from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.track import Track, plausible
from rsb_pose_ros.stereo import StereoCrop, project
from tests.inference.blob_scene import STANDING, pinhole_rig, standing_at

SURE = np.ones(17, np.float32)
RIG = pinhole_rig()


def person(joints: np.ndarray) -> Person:
    crop = StereoCrop(0, 0, 0, 400, 100)
    keypoints = project(joints.astype(np.float64), RIG.projections)
    return Person(0, joints, joints, SURE, np.zeros((17, 3, 3)), keypoints, crop)


def pixels(x: float) -> np.ndarray:
    return project(standing_at(x, 0, 3).astype(np.float64), RIG.projections)


def test_a_steady_walk_is_predicted():
    track = Track(person(standing_at(0, 0, 3)), np.zeros((2, 2)), 0.0)
    track = track.moved(person(standing_at(0.05, 0, 3)), 0.04)
    np.testing.assert_allclose(pixels(0.05) + track.shift(0.08)[:, None], pixels(0.1), atol=0.3)


def test_prediction_neither_looks_far_ahead_nor_back_nor_far_away():
    track = Track(person(standing_at(0, 0, 3)), np.array([[100.0, 0], [100, 0]]), 1.0)
    assert track.shift(5.0)[0, 0] == pytest.approx(20)
    np.testing.assert_array_equal(track.shift(0.0), 0)
    track.velocity *= 50
    assert track.shift(1.1)[0, 0] == pytest.approx(100)


def test_missing_joints_do_not_spoil_the_speed():
    joints = standing_at(0.03, 0, 3)
    joints[:5] = np.nan
    track = Track(person(standing_at(0, 0, 3)), np.zeros((2, 2)), 0.0).moved(person(joints), 0.03)
    np.testing.assert_allclose(track.velocity, [[520 / 3, 0]] * 2, rtol=0.05, atol=0.1)


def test_who_was_lost_has_no_speed():
    track = Track(person(standing_at(0, 0, 3)), np.zeros((2, 2)), 0.0, lost=True)
    assert not track.moved(person(standing_at(1, 0, 3)), 0.03).velocity.any()


def test_recognition_wants_nearness_in_time_and_space():
    track = Track(person(standing_at(0, 0, 3)), np.zeros((2, 2)), 10.0)
    assert track.recognises(standing_at(0.3, 0, 3.2), 10.1)
    assert not track.recognises(standing_at(2.0, 0, 3), 10.1)
    assert track.recognises(standing_at(2.0, 0, 3), 10.6)
    assert not track.recognises(standing_at(0, 0, 3), 11.0)
    assert not track.recognises(standing_at(0, 0, 5), 10.1)
    assert track.recognises(standing_at(0, 0, 3.9), 10.1), "depth is noisy"


@pytest.mark.parametrize(
    ("joints", "expected"),
    [
        (standing_at(0, 0, 3), True),
        (STANDING * 0.45 + [0, 0, 2], True),
        (STANDING * 0.1 + [0, 0, 2], False),
        (STANDING * 5 + [0, 0, 20], False),
        (standing_at(0, 0, 90), False),
        (np.full((17, 3), np.nan), False),
        (np.zeros((17, 3)), False),
    ],
)
def test_only_a_body_is_plausible(joints, expected):
    assert plausible(joints.astype(np.float32), SURE) is expected


def test_one_wild_joint_does_not_make_a_person_implausible():
    joints = standing_at(0, 0, 3)
    joints[10] = (9, 9, 30)
    assert plausible(joints, SURE)
