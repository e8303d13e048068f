"""Raw stereo pictures of a person made of 17 coloured discs, for rigs with any lens, and the truth about it."""

from __future__ import annotations

import cv2
import numpy as np

from rsb_pose_ros.skeleton import JOINT_NAMES
from rsb_pose_ros.stereo import Camera, StereoRig
from rsb_pose_ros.stereo.camera import FISHEYE_MODELS
from tests.inference.blob_model import COLOURS_BGR

_STANDING = {
    "r_ankle": (-0.18, 0.88, 0.02),
    "r_knee": (-0.16, 0.45, -0.04),
    "r_hip": (-0.13, 0.0, 0.0),
    "l_hip": (0.13, 0.0, 0.0),
    "l_knee": (0.16, 0.45, -0.04),
    "l_ankle": (0.18, 0.88, 0.02),
    "pelvis": (0.0, 0.0, 0.0),
    "thorax": (0.0, -0.25, 0.02),
    "neck": (0.0, -0.5, 0.0),
    "head_top": (0.0, -0.82, 0.0),
    "r_wrist": (-0.55, 0.02, -0.1),
    "r_elbow": (-0.45, -0.22, 0.0),
    "r_shoulder": (-0.22, -0.45, 0.0),
    "l_shoulder": (0.22, -0.45, 0.0),
    "l_elbow": (0.45, -0.22, 0.0),
    "l_wrist": (0.55, 0.02, -0.1),
    "nose": (0.0, -0.66, -0.08),
}
STANDING = np.array([_STANDING[name] for name in JOINT_NAMES], np.float32)
"""(17, 3) metres relative to the pelvis, y down."""

DISC_M = 0.07


def standing_at(x: float, y: float, z: float) -> np.ndarray:
    """(17, 3) joints of the standing person with its pelvis at a point of the rectified left frame, metres."""
    return STANDING + np.array([x, y, z], np.float32)


def pinhole_rig(
    size: tuple[int, int] = (640, 480), focal: float = 520.0, baseline: float = 0.12, distortion: tuple[float, ...] = ()
) -> StereoRig:
    """A parallel rig with the principal point in the middle."""
    K = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
    D = np.array(distortion or (0.0,) * 5)
    return StereoRig.from_calibration(K, D, K, D, np.eye(3), np.array([-baseline, 0, 0]), size)


def raw_pixels(camera: Camera, points: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of the raw image at which points (N, 3) in this camera's rectified frame appear."""
    inverse = camera.rectification.T
    rotation, _ = cv2.Rodrigues(inverse)
    points = np.asarray(points, np.float64).reshape(-1, 1, 3)
    zero = np.zeros(3)
    if camera.distortion_model in FISHEYE_MODELS:
        pixels, _ = cv2.fisheye.projectPoints(points, rotation, zero, camera.matrix, camera.distortion)
    else:
        pixels, _ = cv2.projectPoints(points, rotation, zero, camera.matrix, camera.distortion)
    return pixels.reshape(-1, 2)


def picture(rig: StereoRig, joints: np.ndarray | None, grey_level: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Raw left and right pictures (H, W, 3) of a person, or of an empty room for None."""
    width, height = rig.cameras[0].size
    views = []
    for view, camera in enumerate(rig.cameras):
        image = np.full((height, width, 3), grey_level, np.uint8)
        if joints is not None:
            centres = raw_pixels(camera, joints - np.array([view * rig.baseline, 0, 0]))
            for joint in np.argsort(-joints[:, 2]):
                radius = DISC_M / joints[joint, 2] * camera.matrix[0, 0]
                _disc(image, centres[joint], float(radius), COLOURS_BGR[joint].tolist())
        views.append(image)
    return views[0], views[1]


def picture_of_several(rig: StereoRig, *people: np.ndarray, grey_level: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Raw pictures of people who do not overlap."""
    left, right = picture(rig, None, grey_level)
    for joints in people:
        for image, alone in zip((left, right), picture(rig, joints, grey_level), strict=True):
            drawn = (alone != grey_level).any(-1)
            image[drawn] = alone[drawn]
    return left, right


def _disc(image: np.ndarray, centre: np.ndarray, radius: float, colour: list[int]) -> None:
    """A disc with sub-pixel centre."""
    shift = 4
    fixed = np.round(centre * 2**shift).astype(int)
    if np.abs(fixed).max() < 2**20:
        cv2.circle(image, tuple(fixed.tolist()), max(int(radius * 2**shift), 1), colour, -1, cv2.LINE_AA, shift)
