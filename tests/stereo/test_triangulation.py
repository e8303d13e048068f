"""Triangulation and its uncertainty against OpenCV and against chance."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsb_pose_ros.stereo import disparity_covariance_to_xyz, project, triangulate

focals = st.floats(150, 2000)
baselines = st.floats(0.02, 0.6)
centres = st.floats(-200, 1500)
seeds = st.integers(0, 2**32 - 1)


def projections_of(focal: float, baseline: float, cx: float, cy: float, cx_right: float) -> np.ndarray:
    left = np.array([[focal, 0, cx, 0], [0, focal * 1.01, cy, 0], [0, 0, 1, 0]])
    right = left.copy()
    right[0, 2], right[0, 3] = cx_right, -focal * baseline
    return np.stack([left, right])


def points_in_front(seed: int, count: int = 17) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform([-2, -1.5, 0.4], [2, 1.5, 8], (count, 3))


@settings(max_examples=40, deadline=None)
@given(focals, baselines, centres, centres, centres, seeds)
def test_project_then_triangulate_is_identity(focal, baseline, cx, cy, cx_right, seed):
    projections = projections_of(focal, baseline, cx, cy, cx_right)
    joints = points_in_front(seed)
    np.testing.assert_allclose(triangulate(project(joints, projections), projections), joints, rtol=1e-6, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(focals, baselines, centres, centres, centres, seeds)
def test_agrees_with_opencv(focal, baseline, cx, cy, cx_right, seed):
    projections = projections_of(focal, baseline, cx, cy, cx_right)
    keypoints = project(points_in_front(seed), projections)
    homogeneous = cv2.triangulatePoints(projections[0], projections[1], keypoints[0].T, keypoints[1].T).T
    expected = homogeneous[:, :3] / homogeneous[:, 3:]
    np.testing.assert_allclose(triangulate(keypoints, projections), expected, rtol=1e-3, atol=1e-4)


def test_rows_are_averaged_over_the_views():
    projections = projections_of(500, 0.1, 320, 240, 320)
    keypoints = project(np.array([[0.0, 0.0, 2.0]]), projections)
    keypoints[0, :, 1] += 4
    above_below = triangulate(keypoints, projections)
    assert above_below[0, 1] == pytest.approx(2 / 505 * 2)
    assert above_below[0, 2] == pytest.approx(2)


def test_no_disparity_or_a_negative_one_is_unknown_and_never_a_point():
    projections = projections_of(500, 0.1, 320, 240, 330)
    keypoints = np.zeros((2, 3, 2))
    keypoints[0, :, 0] = [100 - 10, 100 - 11, 100]  # true disparities 0, −1, +10 behind an offset of −10
    keypoints[1, :, 0] = 100
    joints = triangulate(keypoints, projections)
    assert np.isnan(joints[:2]).all()
    assert joints[2, 2] == pytest.approx(5)


def test_batches_are_triangulated_like_single_pairs():
    rigs = np.stack([projections_of(500, 0.1, 320, 240, 330), projections_of(700, 0.2, 300, 200, 300)])
    joints = np.stack([points_in_front(1), points_in_front(2)])
    keypoints = project(joints, rigs)
    assert keypoints.shape == (2, 2, 17, 2)
    np.testing.assert_allclose(triangulate(keypoints, rigs), joints, rtol=1e-6)
    variance = np.full((2, 17, 3), 0.3)
    together = disparity_covariance_to_xyz(joints, variance, rigs)
    np.testing.assert_allclose(together[1], disparity_covariance_to_xyz(joints[1], variance[1], rigs[1]))


@pytest.mark.parametrize("point", [(0.0, 0.0, 1.5), (0.8, -0.4, 2.5), (-1.2, 0.5, 3.0)])
def test_covariance_is_what_noise_really_does(point):
    projections = projections_of(600, 0.15, 320, 240, 310)
    joint = np.array([point])
    variance = np.array([0.25, 0.16, 0.36]) * 0.1  # of u_left, v, disparity
    rng = np.random.default_rng(7)
    count = 200_000
    clean = np.repeat(project(joint, projections)[:, 0][:, None], count, axis=1)
    noise = rng.normal(size=(count, 3)) * np.sqrt(variance)
    noisy = clean.copy()
    noisy[0, :, 0] += noise[:, 0]
    noisy[1, :, 0] += noise[:, 0] - noise[:, 2]
    noisy[:, :, 1] += noise[:, 1]
    found = np.cov(triangulate(noisy, projections).T)
    expected = disparity_covariance_to_xyz(joint, variance[None], projections)[0]
    np.testing.assert_allclose(found, expected, rtol=0.03, atol=0.01 * np.abs(expected).max())


def test_depth_is_uncertain_with_the_square_of_distance_over_focal_length_times_baseline():
    projections = projections_of(600, 0.15, 320, 240, 320)
    joint = np.array([[0.0, 0.0, 3.0]])
    covariance = disparity_covariance_to_xyz(joint, np.array([[0, 0, 1.0]]), projections)[0]
    assert np.sqrt(covariance[2, 2]) == pytest.approx(3.0**2 / (600 * 0.15))
