"""Triangulation in the graph against OpenCV on random rigs, and against its NumPy twin."""

import cv2
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsb_pose_ros.model.triangulation import covariance, triangulate
from rsb_pose_ros.stereo import disparity_covariance_to_xyz, project
from rsb_pose_ros.stereo import triangulate as triangulate_numpy


def random_rig(generator: np.random.Generator) -> np.ndarray:
    focal, baseline = generator.uniform(100, 900), generator.uniform(0.05, 0.35)
    projections = np.zeros((2, 3, 4))
    projections[:, 0, 0] = projections[:, 1, 1] = focal
    projections[:, 1, 2] = generator.uniform(50, 400)
    projections[:, 0, 2] = generator.uniform(-100, 600, 2)
    projections[:, 2, 2] = 1
    projections[1, 0, 3] = -focal * baseline
    return projections


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31))
def test_agrees_with_opencv_and_numpy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    projections = random_rig(generator)
    joints = generator.uniform([-2, -2, 0.5], [2, 2, 8], (17, 3))
    keypoints = project(joints, projections)
    homogeneous = cv2.triangulatePoints(projections[0], projections[1], keypoints[0].T, keypoints[1].T)
    opencv = (homogeneous[:3] / homogeneous[3]).T
    uvd = np.c_[keypoints[0], keypoints[0, :, 0] - keypoints[1, :, 0]]
    ours = triangulate(torch.from_numpy(uvd)[None], torch.from_numpy(projections)[None])[0].numpy()
    np.testing.assert_allclose(ours, opencv, atol=1e-5)
    np.testing.assert_allclose(ours, triangulate_numpy(keypoints, projections), atol=1e-9)


def test_covariance_agrees_with_numpy() -> None:
    generator = np.random.default_rng(3)
    projections = random_rig(generator)
    joints = generator.uniform([-2, -2, 0.5], [2, 2, 8], (17, 3))
    variance = generator.uniform(0.1, 9, (17, 3))
    ours = covariance(*(torch.from_numpy(a)[None] for a in (joints, variance, projections)))[0].numpy()
    np.testing.assert_allclose(ours, disparity_covariance_to_xyz(joints, variance, projections), rtol=1e-9)


def test_no_disparity_stays_finite_in_the_graph() -> None:
    projections = torch.from_numpy(random_rig(np.random.default_rng(0)))[None].float()
    uvd = torch.zeros(1, 17, 3) - 500
    assert torch.isfinite(triangulate(uvd, projections)).all()
