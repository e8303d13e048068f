"""What says that somebody is there: joints in view, the first glimpse, and a card's weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.inference.card import STEREO_POSE, read_card, write_card
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.presence import (
    EVIDENCE,
    LEAST_IN_VIEW,
    Presence,
    evidence_of,
    is_record,
)
from rsb_pose_ros.inference.search import Candidate
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.stereo import StereoCrop
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import picture, pinhole_rig, standing_at

BOUNDS = np.array([[0.0, 0.0, 639.0, 479.0]] * 2)


def answer(**changes: np.ndarray) -> Person:
    values = {
        "joints": np.tile([0.0, 0.0, 3.0], (JOINT_COUNT, 1)),
        "joints_initial": np.tile([0.0, 0.0, 3.0], (JOINT_COUNT, 1)),
        "confidence": np.full(JOINT_COUNT, 0.8, np.float32),
        "covariance": np.tile(np.diag([1e-4, 1e-4, 4e-4]), (JOINT_COUNT, 1, 1)),
        "keypoints": np.full((2, JOINT_COUNT, 2), 100.0, np.float32),
        **changes,
    }
    return Person(id=-1, crop=StereoCrop(0, 0, 0, 200, 128), **values)


def test_joints_beyond_the_pictures_edge_do_not_speak_against_somebody() -> None:
    keypoints = np.full((2, JOINT_COUNT, 2), 100.0, np.float32)
    keypoints[:, :3, 1] = 500.0  # below the picture
    keypoints[1, 3, 0] = -3.0  # beside the right one alone
    confidence = np.r_[np.full(4, 0.1), np.full(JOINT_COUNT - 4, 0.9)].astype(np.float32)
    found = dict(zip(EVIDENCE, evidence_of(answer(), answer(keypoints=keypoints, confidence=confidence), BOUNDS)))
    assert found["confidence"] == pytest.approx(0.9)
    assert found["in_view"] == pytest.approx(13 / 17)
    assert found["glimpse"] == pytest.approx(0.8)


def test_evidence_of_an_answer_without_any_joint_is_finite() -> None:
    nothing = np.full((JOINT_COUNT, 3), np.nan)
    person = answer(
        joints=nothing,
        joints_initial=nothing,
        confidence=np.zeros(JOINT_COUNT, np.float32),
        covariance=np.full((JOINT_COUNT, 3, 3), np.nan),
        keypoints=np.full((2, JOINT_COUNT, 2), np.nan),
    )
    evidence = evidence_of(person, person, BOUNDS)
    assert evidence.tolist() == [0, LEAST_IN_VIEW, 0]


def test_a_record_survives_the_card() -> None:
    presence = Presence(-1.5, np.arange(1.0, 1 + len(EVIDENCE)))
    again = Presence.of_card(presence.record())
    assert again is not None and again.bias == -1.5
    np.testing.assert_array_equal(again.weights, presence.weights)
    assert float(again.probability(np.zeros(len(EVIDENCE)))) == pytest.approx(1 / (1 + math.exp(1.5)))


@pytest.mark.parametrize(
    "record",
    [
        0.5,
        {"bias": 1},
        {"bias": "high", "weights": dict.fromkeys(EVIDENCE, 1.0)},
        {"bias": 1, "weights": dict.fromkeys(EVIDENCE[1:], 1.0)},
        {"bias": math.inf, "weights": dict.fromkeys(EVIDENCE, 1.0)},
        {"bias": 1, "weights": dict.fromkeys(EVIDENCE, math.nan)},
        {"bias": 1, "weights": [1, 2, 3]},
        {"bias": 1, "weights": {name: [1] for name in EVIDENCE}},
        {"bias": 1, "weights": dict.fromkeys((*EVIDENCE, "bones"), 1.0)},
        {"bias": "1.5", "weights": dict.fromkeys(EVIDENCE, 1.0)},
        {"bias": True, "weights": dict.fromkeys(EVIDENCE, 1.0)},
        {"bias": 10**400, "weights": dict.fromkeys(EVIDENCE, 1.0)},
        {},
        [],
    ],
)
def test_what_is_no_record(record: object) -> None:
    assert not is_record(record)


def test_the_cards_word_decides_who_is_followed(tmp_path) -> None:
    model = write_blob_model(tmp_path)
    rig = pinhole_rig()
    scene = picture(rig, standing_at(0, 0, 3))
    plain = StereoPoseEstimator(model, rig, providers="cpu", threads=1)
    (person,) = plain.estimate(*scene)
    candidate = plain.candidate
    assert isinstance(candidate, Candidate) and candidate.presence == pytest.approx(person.score)
    assert plain.estimate(*scene) and plain.candidate is None, "who is followed is not searched"

    eye = StereoPoseEstimator(model, rig, providers="cpu", threads=1)
    eye.estimate(*scene)
    assert eye.candidate is not None
    eye.reset()
    assert eye.candidate is None

    for bias, followed in ((-50.0, False), (50.0, True)):
        presence = Presence(bias, np.ones(len(EVIDENCE)))
        write_card(replace(read_card(model, STEREO_POSE), presence=presence.record()), model)
        eye = StereoPoseEstimator(model, rig, providers="cpu", threads=1)
        assert bool(eye.estimate(*scene)) is followed
        assert eye.candidate is not None
        assert eye.candidate.presence == pytest.approx(float(presence.probability(candidate.evidence)))
