"""Frames of calibrated cameras with motion capture, as stereo samples: rectified and cropped as the estimator does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsb_pose_ros.data.sample import OUTSIDE, VISIBLE, StereoSample
from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo import StereoCrop, StereoRig, project


class DatasetError(ValueError):
    """A data set's folder that is not what its official archives unpack to; the sentence says what is missing where."""


@dataclass(frozen=True)
class CalibratedCamera:
    """matrix: (3, 3); distortion: (5,) plumb_bob; rotation: (3, 3), translation: (3,) metres, x_camera = R x_world + t."""

    matrix: np.ndarray
    distortion: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    size: tuple[int, int]

    def from_world(self, points: np.ndarray) -> np.ndarray:
        """World points (…, 3), metres, in the camera's optical frame."""
        return points @ self.rotation.T + self.translation


@dataclass(frozen=True)
class CameraPair:
    """A rig of two calibrated cameras; `left` is the one to whose right the other one is."""

    left: CalibratedCamera
    right: CalibratedCamera
    rig: StereoRig
    swapped: bool

    @classmethod
    def of(cls, first: CalibratedCamera, second: CalibratedCamera) -> CameraPair:
        """Sorts two cameras into left and right. Raises CalibrationError for a pair that is no horizontal one."""
        centre = first.from_world(-second.rotation.T @ second.translation)
        swapped = bool(centre[0] < 0)
        left, right = (second, first) if swapped else (first, second)
        relative = right.rotation @ left.rotation.T
        offset = right.translation - relative @ left.translation
        rig = StereoRig.from_calibration(
            left.matrix, left.distortion, right.matrix, right.distortion, relative, offset, left.size
        )
        return cls(left, right, rig, swapped)

    def joints(self, world: np.ndarray) -> np.ndarray:
        """World joints (…, 3), metres, in the rectified left optical frame."""
        return self.left.from_world(world) @ self.rig.cameras[0].rectification.T

    def sample(
        self, first: np.ndarray, second: np.ndarray, world: np.ndarray, size: int, window: np.ndarray | None = None
    ) -> StereoSample:
        """The pair's sample: raw images in the order in which the cameras were given, joints (17, 3) metres, world.

        window: (4,) factor on the side, shift in x and y in sides, relative error of the pelvis' depth: how a tracker
        would have misplaced the windows; None places them exactly. NaN joints are unknown: OUTSIDE in `visibility`.
        Nobody annotated occlusion: a joint within a picture counts as VISIBLE.
        """
        left, right = (second, first) if self.swapped else (first, second)
        joints = self.joints(world)
        crop = StereoCrop.around(joints, self.rig.projections, size)
        if window is not None:
            crop = _misplaced(crop, self.rig.projections, joints, window)
        crops = self.rig.cut(left, right, crop)
        if crops.ndim == 3:
            crops = np.repeat(crops[..., None], 3, axis=3)
        cameras = crop.projections(self.rig.projections)
        keypoints = project(joints, cameras)
        visibility = np.where(self._inside(keypoints, crop, size), VISIBLE, OUTSIDE).astype(np.uint8)
        boxes = np.concatenate([np.nanmin(keypoints, 1), np.nanmax(keypoints, 1)], 1)
        return StereoSample(
            crops,
            cameras.astype(np.float32),
            joints.astype(np.float32),
            keypoints.astype(np.float32),
            visibility,
            True,
            boxes.astype(np.float32),
        )

    def _inside(self, keypoints: np.ndarray, crop: StereoCrop, size: int) -> np.ndarray:
        """(2, 17) bool: keypoints within the crop and within the raw pictures' outlines; NaN are not."""
        bounds = self.rig.view_bounds()[:, None]
        rectified = crop.to_rectified(keypoints)
        with np.errstate(invalid="ignore"):
            inside = ((keypoints >= 0) & (keypoints <= size - 1)).all(-1)
            seen = ((rectified >= bounds[..., :2]) & (rectified <= bounds[..., 2:])).all(-1)
        return np.asarray(inside & seen)


def _misplaced(crop: StereoCrop, projections: np.ndarray, joints: np.ndarray, window: np.ndarray) -> StereoCrop:
    scale, shift_x, shift_y, depth = window
    side = crop.side * scale
    centre = np.array([crop.left, crop.top]) + crop.side / 2 + np.array([shift_x, shift_y]) * side
    principal = projections[0, 0, 2] - projections[1, 0, 2]
    disparity = -projections[1, 0, 3] / (joints[ROOT, 2] * (1 + depth))
    return StereoCrop.centred(centre, side, disparity + principal, crop.size)


def sample_window(generator: np.random.Generator | None) -> np.ndarray | None:
    """(4,) for CameraPair.sample: how a tracker misplaces windows; None without a generator."""
    if generator is None:
        return None
    return np.array([generator.uniform(0.85, 1.35), *generator.uniform(-0.1, 0.1, 2), generator.uniform(-0.12, 0.12)])


def require(path: Path, what: str, where_from: str) -> Path:
    """The path, if it exists. Raises DatasetError that names it, what it should be, and the archive that holds it."""
    if not path.exists():
        raise DatasetError(f"{path}: not found; expected {what}, from {where_from}")
    return path


def read_table(path: Path, columns: int, what: str) -> np.ndarray:
    """(N, at least `columns`) finite numbers of a text file. Raises DatasetError naming the file and what was expected."""
    if not path.read_bytes().strip():
        raise DatasetError(f"{path}: empty; expected {what}")
    try:
        table = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise DatasetError(f"{path}: {error}; expected {what}") from error
    if not np.isfinite(table).all():
        raise DatasetError(f"{path}: numbers that are not finite; expected {what}")
    if not table.size or table.shape[1] < columns:
        raise DatasetError(f"{path}: {len(table)} rows of {table.shape[1]} numbers; expected {what}")
    return table
