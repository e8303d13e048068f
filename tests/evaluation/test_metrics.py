"""Metrics against what they promise: invariances, known values, and missing joints that are not dropped in silence."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.skeleton import BONES, INDEX, MIRROR, ROOT
from tests.inference.blob_scene import STANDING, standing_at

seeds = st.integers(0, 2**32 - 1)


def poses(seed: int, count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return STANDING + rng.normal(0, 0.1, (count, 17, 3)) + rng.uniform([-2, -1, 2], [2, 1, 6], (count, 1, 3))


def similarity(seed: int) -> tuple[float, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rotation, _ = cv2.Rodrigues(rng.normal(0, 1.5, 3))
    return float(rng.uniform(0.5, 2)), rotation, rng.normal(0, 3, 3)


@settings(max_examples=25, deadline=None)
@given(seeds, seeds)
def test_procrustes_undoes_any_similarity(seed, other):
    truth = poses(seed)
    scale, rotation, shift = similarity(other)
    moved = scale * truth @ rotation.T + shift
    np.testing.assert_allclose(metrics.procrustes_aligned(moved, truth), truth, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seeds, seeds)
def test_alignment_never_makes_it_worse(seed, other):
    truth, predicted = poses(seed), poses(other)
    squared = ((metrics.procrustes_aligned(predicted, truth) - truth) ** 2).sum((1, 2))
    shift_only = predicted - predicted.mean(1, keepdims=True) + truth.mean(1, keepdims=True)
    assert (squared <= ((shift_only - truth) ** 2).sum((1, 2)) + 1e-9).all()


def test_a_mirrored_body_is_not_aligned_away():
    truth = poses(1)
    mirrored = truth * [-1, 1, 1]
    assert metrics.mean(metrics.distances(metrics.procrustes_aligned(mirrored, truth), truth)) > 0.02


def test_procrustes_uses_what_both_have_and_needs_three_points():
    truth = poses(2)
    predicted = 2 * truth + 1
    predicted[0, 5] = np.nan
    predicted[1, 2:] = np.nan
    predicted[2] = 4.0
    aligned = metrics.procrustes_aligned(predicted, truth)
    known = np.arange(17) != 5
    np.testing.assert_allclose(aligned[0, known], truth[0, known])
    assert np.isnan(aligned[0, 5]).all()
    assert np.isnan(aligned[1:]).all()


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_root_relative_does_not_see_where_one_stands(seed):
    truth = poses(seed)
    moved = truth + np.array([1, 2, 3])
    np.testing.assert_allclose(metrics.root_relative(moved), metrics.root_relative(truth), atol=1e-9)
    assert metrics.mean(metrics.distances(moved, truth)) == pytest.approx(np.sqrt(14))
    assert (metrics.root_relative(truth)[:, ROOT] == 0).all()


def test_missing_joints_are_counted_and_unannotated_ones_left_out():
    truth, predicted = poses(3, 2), poses(3, 2) + np.array([0.03, 0, 0])
    predicted[0, :4] = np.nan
    truth[1, 0] = np.nan
    errors = metrics.distances(predicted, truth)
    assert metrics.mean(errors) == pytest.approx(0.03)
    assert metrics.coverage(errors, truth) == pytest.approx(29 / 33)
    assert metrics.pck(errors, truth, 0.05) == pytest.approx(29 / 33)
    assert metrics.pck(errors, truth, 0.01) == 0
    assert np.isnan(metrics.mean_per_joint(errors)).sum() == 1, "r_ankle: once missing, once not annotated"


def test_a_missing_pelvis_makes_root_relative_errors_missing():
    truth, predicted = poses(4, 1), poses(4, 1)
    predicted[0, ROOT] = np.nan
    errors = metrics.distances(metrics.root_relative(predicted), metrics.root_relative(truth))
    assert metrics.coverage(errors, truth) == 0


def test_nothing_gives_nan_without_a_warning():
    nothing = np.full((2, 17, 3), np.nan)
    errors = metrics.distances(nothing, nothing)
    assert np.isnan([metrics.mean(errors), metrics.coverage(errors, nothing), metrics.pck(errors, nothing)]).all()


def test_shapes_are_asserted_first():
    with pytest.raises(AssertionError, match=r"predicted \(1, 17, 3\), truth \(2, 17, 3\)"):
        metrics.distances(poses(0, 1), poses(0, 2))


def test_joint_detection_rate_counts_half_head_sizes():
    truth = np.zeros((1, 2, 17, 2))
    keypoints = truth.copy()
    keypoints[0, :, 0, 0] = 9.9  # window of 200: head 20, half of it 10
    keypoints[0, :, 1, 1] = 10.1
    keypoints[0, 0, 2] = np.nan
    assert metrics.joint_detection_rate(keypoints, truth, np.array([200.0])) == pytest.approx((34 - 3) / 34)


def test_disparity_errors_do_not_see_a_common_shift():
    truth = np.random.default_rng(0).normal(size=(1, 2, 17, 2))
    assert metrics.disparity_errors(truth + np.array([3, 1]), truth).max() == pytest.approx(0, abs=1e-12)
    moved = truth.copy()
    moved[0, 1, :, 0] += 2
    np.testing.assert_allclose(metrics.disparity_errors(moved, truth), 2)


def test_bones_and_symmetry():
    pose = standing_at(0, 0, 3)[None].astype(np.float64)
    shin = BONES.index((INDEX["l_knee"], INDEX["l_ankle"]))
    assert metrics.bone_lengths(pose)[0, shin] == pytest.approx(np.linalg.norm([0.02, 0.43, 0.06]), abs=1e-6)
    symmetric = pose.copy()
    for joint, mirror in enumerate(MIRROR):
        symmetric[0, mirror] = symmetric[0, joint] * [-1, 1, 1]
    assert metrics.symmetry_errors(symmetric).shape == (1, 6)
    assert metrics.symmetry_errors(symmetric).max() < 1e-6
    longer = symmetric.copy()
    longer[0, INDEX["l_ankle"]] += (longer[0, INDEX["l_ankle"]] - longer[0, INDEX["l_knee"]]) * 0.5
    assert np.sort(metrics.symmetry_errors(longer)[0])[-1] == pytest.approx(
        metrics.bone_lengths(pose)[0, shin] / 2, rel=1e-3
    )
    assert metrics.bone_length_errors(longer, symmetric).max() == pytest.approx(
        metrics.bone_lengths(pose)[0, shin] / 2, rel=1e-3
    )


def test_honest_covariances_give_three():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3)) * 0.05
    covariance = np.broadcast_to(root @ root.T + 1e-4 * np.eye(3), (400, 17, 3, 3)).copy()
    truth = np.zeros((400, 17, 3))
    predicted = rng.multivariate_normal(np.zeros(3), covariance[0, 0], (400, 17))
    squared = metrics.mahalanobis_squared(predicted, truth, covariance)
    assert squared.mean() == pytest.approx(3, rel=0.05)
    covariance[0, 0] = np.nan
    predicted[0, 1] = np.nan
    assert np.isnan(metrics.mahalanobis_squared(predicted, truth, covariance)[0, :2]).all()
