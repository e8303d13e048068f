"""Rigs for the tests, and camera_info messages as a ROS driver would publish them."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from rsb_pose_ros.stereo import StereoRig

BARREL = np.array([-0.28, 0.09, 0.0008, -0.0005, -0.01])
FISHEYE = np.array([-0.02, 0.006, -0.003, 0.0004])


def intrinsics(size: tuple[int, int], focal: float, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(3, 3) K with the principal point `shift` pixels off the middle."""
    return np.array(
        [[focal, 0, (size[0] - 1) / 2 + shift[0]], [0, focal * 1.002, (size[1] - 1) / 2 + shift[1]], [0, 0, 1]]
    )


def verged(
    size: tuple[int, int] = (640, 480),
    focal: float = 520.0,
    baseline: float = 0.2,
    vergence: float = 0.06,
    distortion: np.ndarray = BARREL,
    model: str = "plumb_bob",
) -> StereoRig:
    """Two cameras that are not parallel (vergence in radians about y, a little roll and tilt) with lens distortion."""
    rotation, _ = cv2.Rodrigues(np.array([0.004, vergence, -0.006]))
    translation = -rotation @ np.array([baseline, 0.004, -0.006])
    left, right = intrinsics(size, focal, (4.0, -3.0)), intrinsics(size, focal * 1.01, (-5.0, 2.0))
    return StereoRig.from_calibration(left, distortion, right, distortion, rotation, translation, size, model)


def parallel(size: tuple[int, int] = (640, 480), focal: float = 500.0, baseline: float = 0.12) -> StereoRig:
    """An ideal pair."""
    K = intrinsics(size, focal)
    return StereoRig.from_calibration(K, np.zeros(5), K, np.zeros(5), np.eye(3), np.array([-baseline, 0, 0]), size)


def fisheye() -> StereoRig:
    """A verged pair of fisheye lenses (equidistant model)."""
    return verged(focal=300.0, vergence=0.03, distortion=FISHEYE, model="equidistant")


def camera_infos(rig: StereoRig) -> tuple[SimpleNamespace, SimpleNamespace]:
    """What camera_info topics would say about a rig."""
    infos = [
        SimpleNamespace(
            width=camera.size[0],
            height=camera.size[1],
            distortion_model=camera.distortion_model,
            d=camera.distortion.tolist(),
            k=camera.matrix.ravel(),
            r=camera.rectification.ravel(),
            p=projection.ravel(),
        )
        for camera, projection in zip(rig.cameras, rig.projections)
    ]
    return infos[0], infos[1]
