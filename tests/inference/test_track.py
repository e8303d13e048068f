"""Prediction, recognition and what can be a person at all."""

import numpy as np
import pytest

from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.track import FASTEST_M_S, Track, plausible
from rsb_pose_ros.stereo import StereoCrop
from tests.inference.blob_scene import STANDING, standing_at

SURE = np.ones(17, np.float32)


def person(joints: np.ndarray) -> Person:
    crop = StereoCrop(0, 0, 0, 100, 100)
    return Person(0, joints, joints, SURE, np.zeros((17, 3, 3)), np.zeros((2, 17, 2)), crop)


def test_a_steady_walk_is_predicted():
    track = Track(person(standing_at(0, 0, 3)), np.zeros(3), 0.0)
    track = track.moved(person(standing_at(0.05, 0, 2.98)), 0.04)
    np.testing.assert_allclose(track.predicted(0.08), standing_at(0.1, 0, 2.96), atol=1e-5)


def test_prediction_neither_looks_far_ahead_nor_back():
    track = Track(person(standing_at(0, 0, 3)), np.array([1.0, 0, 0]), 1.0)
    assert track.predicted(5.0)[6, 0] == pytest.approx(0.2)
    assert track.predicted(0.0)[6, 0] == pytest.approx(0.0)


def test_a_jump_is_no_speed():
    track = Track(person(standing_at(0, 0, 3)), np.zeros(3), 0.0).moved(person(standing_at(5, 0, 3)), 0.03)
    assert np.linalg.norm(track.velocity) == pytest.approx(2 * FASTEST_M_S)


def test_missing_joints_do_not_spoil_the_speed():
    joints = standing_at(0.03, 0, 3)
    joints[:5] = np.nan
    track = Track(person(standing_at(0, 0, 3)), np.zeros(3), 0.0).moved(person(joints), 0.03)
    np.testing.assert_allclose(track.velocity, [1, 0, 0], atol=1e-4)


def test_recognition_wants_nearness_in_time_and_space():
    track = Track(person(standing_at(0, 0, 3)), np.zeros(3), 10.0)
    assert track.recognises(standing_at(0.3, 0, 3.2), 10.1)
    assert not track.recognises(standing_at(2.0, 0, 3), 10.1)
    assert track.recognises(standing_at(2.0, 0, 3), 10.6)
    assert not track.recognises(standing_at(0, 0, 3), 11.0)


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
