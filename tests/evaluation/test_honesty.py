"""The factors that a card keeps make a covariance honest at every confidence, and the network's answers carry them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsb_pose_ros.evaluation.breakdown import WindowTable
from rsb_pose_ros.evaluation.honesty import comparison, fit_honesty
from rsb_pose_ros.evaluation.onnx_windows import OnnxWindows
from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.inference.card import card_path
from rsb_pose_ros.inference.uncertainty import Honesty
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.stereo import StereoCrop, WindowCutter
from tests.inference.blob_model import SIZE, write_blob_model
from tests.inference.blob_scene import picture, pinhole_rig, standing_at

SIGMA = np.array([0.02, 0.03, 0.1])


def dishonest(count: int = 3000, seed: int = 0) -> WindowTable:
    """Errors that are a third of what is stated where the network is sure, and three times as large where it is not."""
    generator = np.random.default_rng(seed)
    confidence = generator.uniform(0, 1, (count, JOINT_COUNT))
    truth = generator.normal((0, 0, 3), size=(count, JOINT_COUNT, 3))
    factor = 3.0 ** (1 - 2 * confidence)
    joints = truth + factor[..., None] * SIGMA * generator.normal(size=truth.shape)
    blank = np.zeros((count, 2, JOINT_COUNT, 2))
    return WindowTable(
        joints=joints,
        truth=truth,
        keypoints=blank,
        truth_keypoints=blank,
        confidence=confidence,
        covariance=np.broadcast_to(np.diag(SIGMA**2), (*truth.shape, 3)).copy(),
        visibility=np.full((count, 2, JOINT_COUNT), 3),
        projections=np.zeros((count, 2, 3, 4)),
        present=np.ones(count, bool),
        search=np.zeros(count, bool),
        distance=np.full(count, 3.0),
        side=np.full(count, 256),
    )


def test_what_is_published_is_honest_at_every_confidence() -> None:
    honesty = fit_honesty(dishonest())
    rows = comparison(dishonest(seed=1), honesty)
    assert rows[0]["network_x"] < 0.4, "stated too small where nothing is known"
    assert rows[3]["network_z"] > 0.95, "stated too large where the network is sure"
    for row in rows:
        for axis in "xyz":
            assert row[f"published_{axis}"] == pytest.approx(0.683, abs=0.03), row
    assert rows[-1]["joints"] == 3000 * JOINT_COUNT


def test_pairs_without_a_person_and_lost_joints_say_nothing() -> None:
    table = dishonest()
    nobody = dishonest(seed=2)
    joints = nobody.joints + 50
    spoilt = WindowTable(
        **{
            name: np.concatenate([getattr(table, name), getattr(nobody, name)])
            for name in WindowTable.__dataclass_fields__
            if name not in ("joints", "present")
        },
        joints=np.concatenate([table.joints, joints]),
        present=np.repeat([True, False], 3000),
    )
    spoilt.joints[:10] = np.nan
    np.testing.assert_allclose(fit_honesty(spoilt).factors, fit_honesty(table).factors, rtol=0.05)


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"340 joints .* expected at least 1000"):
        fit_honesty(dishonest(20))


def test_confidences_that_are_all_alike_make_one_factor() -> None:
    table = dishonest()
    table.confidence[:] = 0.5
    honesty = fit_honesty(table)
    assert honesty.factors.shape == (1, 3)
    assert honesty.state(np.eye(3), np.float64(0.9)).shape == (3, 3)


def test_correlations_that_errors_do_not_have_are_taken_back() -> None:
    table = dishonest()
    mixed = np.array([[1, 0, 0.95], [0, 1, 0], [0.95, 0, 1]]) * np.outer(SIGMA, SIGMA)
    assert fit_honesty(dataclasses.replace(table, covariance=table.covariance * 0 + mixed)).correlation <= 0.5
    generator = np.random.default_rng(1)
    factor = 3.0 ** (1 - 2 * table.confidence)[..., None]
    along = table.truth + factor * (generator.normal(size=table.truth.shape) @ np.linalg.cholesky(mixed).T)
    honest = fit_honesty(dataclasses.replace(table, joints=along, covariance=table.covariance * 0 + mixed))
    assert honest.correlation == 1


@given(confidence=st.floats(0, 1), scale=st.floats(0.1, 10), turn=st.floats(-0.9, 0.9), kept=st.floats(0, 1))
def test_a_covariance_stays_one_and_a_record_can_be_read_back(
    confidence: float, scale: float, turn: float, kept: float
) -> None:
    honesty = Honesty(np.array([0.2, 0.8]), np.array([[scale, 1, 2], [1, 1 / scale, 0.5]]), kept)
    stated = np.array([[1.0, turn, 0.0], [turn, 1.0, 0.0], [0.0, 0.0, 4.0]])
    published = honesty.state(stated, np.float64(confidence))
    deviation = np.sqrt(np.diagonal(published))
    np.testing.assert_allclose((published / np.outer(deviation, deviation))[0, 1], kept * turn, atol=1e-9)
    assert np.linalg.eigvalsh(published).min() > 0
    again = Honesty.of_card(json.loads(json.dumps(honesty.record())))
    assert again is not None
    np.testing.assert_allclose(again.state(stated, np.float64(confidence)), published, rtol=2e-3, atol=1e-4)


def test_the_cards_factors_reach_what_is_published(tmp_path: Path) -> None:
    model = write_blob_model(tmp_path)
    rig, joints = pinhole_rig(), standing_at(0, 0, 2.5)
    pair = picture(rig, joints)

    def covariance() -> np.ndarray:
        (person,) = StereoPoseEstimator(model, rig).estimate(*pair)
        assert person.valid.all()
        return person.covariance

    crop = StereoCrop.around(joints, rig.projections, SIZE)
    crops = np.zeros((1, 2, SIZE, SIZE, 3), np.uint8)
    WindowCutter(rig).cut(*pair, crop, out=crops[0])
    windows = crops, crop.projections(rig.projections)[None]
    plain, in_window = covariance(), OnnxWindows(model)(*windows)[-1]
    content = json.loads(card_path(model).read_text())
    content["uncertainty"] = {"confidence": [0.5], "factors": [[2.0, 3.0, 4.0]]}
    card_path(model).write_text(json.dumps(content))
    larger = np.outer([2, 3, 4], [2, 3, 4])
    np.testing.assert_allclose(covariance(), plain * larger, rtol=1e-5)
    np.testing.assert_allclose(OnnxWindows(model)(*windows)[-1], in_window * larger, rtol=1e-5)
    np.testing.assert_array_equal(OnnxWindows(model, as_stated=True)(*windows)[-1], in_window)
