"""Covariances that are honest, too small and too large are told apart."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import chi2

from rsb_pose_ros.evaluation.accuracy_figures import depth_per_pixel, write_accuracy_figure
from rsb_pose_ros.evaluation.breakdown import observe
from rsb_pose_ros.evaluation.reliability import inside, normalised_errors, reliability
from rsb_pose_ros.evaluation.worst_cases import CAPTION, COLUMNS, TILE, worst, write_worst
from rsb_pose_ros.skeleton import JOINT_COUNT
from tests.evaluation.test_breakdown import batch

SHAPE = np.array([[0.02, 0.01, 0.0], [0.0, 0.03, 0.02], [0.0, 0.0, 0.2]])
COVARIANCE = SHAPE.T @ SHAPE


def drawn(scale: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints off by normal errors of `scale` times the covariance that they state."""
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(count, JOINT_COUNT, 3))
    errors = scale * generator.normal(size=truth.shape) @ SHAPE
    return truth + errors, np.broadcast_to(COVARIANCE, (count, JOINT_COUNT, 3, 3)), truth


def test_an_honest_covariance_is_found_honest() -> None:
    found = reliability(*drawn(1.0))
    for axis in "xyz":
        assert found[f"within_sigma_{axis}"] == pytest.approx(0.683, abs=0.01)
    assert found["in_50_percent"] == pytest.approx(0.5, abs=0.01)
    assert found["in_95_percent"] == pytest.approx(0.95, abs=0.005)


def test_one_that_is_too_small_or_too_large_is_seen() -> None:
    assert reliability(*drawn(2.0))["in_50_percent"] < 0.15
    assert reliability(*drawn(0.5))["in_50_percent"] > 0.95


def test_probabilities_are_those_of_chi_squared() -> None:
    radius = np.linspace(0, 6, 40)
    np.testing.assert_allclose(inside(radius), chi2.cdf(radius**2, 3), atol=1e-12)


def test_joints_without_a_truth_or_a_covariance_are_left_out() -> None:
    joints, covariance, truth = (values[:2].copy() for values in drawn(1.0))
    truth[0, 0], covariance[0, 1], joints[1, 2, 0] = np.nan, np.nan, np.nan
    along, radius = normalised_errors(joints, covariance, truth)
    assert len(along) == len(radius) == 2 * JOINT_COUNT - 3
    assert np.isnan(reliability(joints, covariance, np.full_like(truth, np.nan))["in_95_percent"])


def test_the_worst_pairs_come_first(tmp_path: Path) -> None:
    def predict(crops: np.ndarray, projections: np.ndarray) -> tuple[np.ndarray, ...]:
        shape = (len(crops), JOINT_COUNT)
        return np.full((*shape, 3), 2.0), np.zeros((len(crops), 2, JOINT_COUNT, 2)), np.ones(shape)

    table = observe(predict, [batch(2.0, 0.1), batch(5.0, 0.1), batch(3.0, 0.1), batch(2.0, 0.1, present=False)])
    assert worst(table, 5).tolist() == [1, 2, 0]
    write_worst(tmp_path / "worst.jpg", table, lambda index: np.full((2, 64, 64, 3), 40 * index, np.uint8), 2)
    sheet = cv2.imread(str(tmp_path / "worst.jpg"))
    assert sheet.shape == (TILE + CAPTION, COLUMNS * 2 * TILE, 3)
    assert sheet[: TILE // 4, 4:60].mean() == pytest.approx(40, abs=8), "the farthest one is the first"


def test_the_charts_are_drawn_and_depth_grows_with_the_square_of_distance(tmp_path: Path) -> None:
    def predict(crops: np.ndarray, projections: np.ndarray) -> tuple[np.ndarray, ...]:
        shape = (len(crops), JOINT_COUNT)
        return np.full((*shape, 3), 2.0), np.zeros((len(crops), 2, JOINT_COUNT, 2)), np.ones(shape)

    near, far = (observe(predict, [batch(z, 0.12)]) for z in (1.5, 3.0))
    for table, z in ((near, 1.5), (far, 3.0)):
        np.testing.assert_allclose(depth_per_pixel(table)[0], table.truth[0, :, 2] ** 2 / (300 * 0.12))
        assert np.median(depth_per_pixel(table)) == pytest.approx(z**2 / 36, rel=0.5)
    write_accuracy_figure(tmp_path / "charts.png", far, "one pair")
    assert cv2.imread(str(tmp_path / "charts.png")).shape[1] > 1000
