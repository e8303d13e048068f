"""The stereo rig: two raw cameras and the rectified pair that all results refer to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsb_pose_ros.stereo.calibration import (
    CalibrationError,
    check_projections,
    is_rotation,
    matrix_from_yaml,
    numbers,
    read_yaml,
)
from rsb_pose_ros.stereo.camera import Camera
from rsb_pose_ros.stereo.crop import StereoCrop
from rsb_pose_ros.stereo.sampling import ViewTables


@dataclass(frozen=True)
class StereoRig:
    """Two calibrated cameras. Points are in the left camera's rectified optical frame, metres (REP-103, REP-105).

    cameras: (left, right); projections: (2, 3, 4) float64 rectified P of both views, pixels,
    right P[0, 3] = −fx·baseline.
    """

    cameras: tuple[Camera, Camera]
    projections: np.ndarray

    def __post_init__(self) -> None:
        check_projections(self.projections[0], self.projections[1])

    @property
    def focal_length(self) -> float:
        """fx of the rectified pair, pixels."""
        return float(self.projections[0, 0, 0])

    @property
    def baseline(self) -> float:
        """Distance of the optical centres, metres, positive."""
        return float(-self.projections[1, 0, 3] / self.projections[1, 0, 0])

    @classmethod
    def from_calibration(
        cls,
        K1: np.ndarray,
        D1: np.ndarray | None,
        K2: np.ndarray,
        D2: np.ndarray | None,
        R: np.ndarray,
        T: np.ndarray,
        image_size: tuple[int, int],
        distortion_model: str = "plumb_bob",
    ) -> StereoRig:
        """A rig from cv2.stereoCalibrate's results: x_right = R·x_left + T, T in metres; image_size (width, height).
        D of None is a lens without distortion, as in OpenCV.

        Rotations come from cv2.stereoRectify. Its principal points do not: on wide or verged pairs they throw the
        scene out of the picture. Each view is re-centred on its own raw image centre instead; the difference of the
        principal points is part of P and is subtracted from the disparity.
        """
        K1, K2, R = (numbers(m, (3, 3), name) for name, m in (("K1", K1), ("K2", K2), ("R", R)))
        D1, D2 = (numbers([] if d is None else d, (-1,), name) for name, d in (("D1", D1), ("D2", D2)))
        T = numbers(T, (3,), "T")
        if not np.isfinite(T).all():
            raise CalibrationError(f"T = {T.tolist()}; expected three finite numbers, metres")
        if not is_rotation(R):
            raise CalibrationError(
                f"R = {R.tolist()} is no rotation; expected R·Rᵀ = 1, det R = 1 (x_right = R·x_left + T)"
            )
        if len(image_size) != 2:
            raise CalibrationError(f"image_size is {tuple(image_size)}; expected (width, height), in this order")
        size = (int(image_size[0]), int(image_size[1]))
        if abs(T[1]) > abs(T[0]):
            raise CalibrationError(f"T = {T.tolist()} is a vertical baseline; expected a horizontal one (|Tx| > |Ty|)")
        if T[0] >= 0:
            raise CalibrationError(
                f"T = {T.tolist()} has Tx ≥ 0; expected Tx < 0 (x_right = R·x_left + T): swapped cameras"
            )
        # The rotations depend on R and T alone; distortion enters in the remap tables.
        rotations = cv2.stereoRectify(K1, np.zeros(5), K2, np.zeros(5), size, R, T.reshape(3, 1))[:2]
        cameras = (
            Camera(K1, D1, rotations[0], size, distortion_model),
            Camera(K2, D2, rotations[1], size, distortion_model),
        )
        focal = float(np.mean([K1[0, 0], K1[1, 1], K2[0, 0], K2[1, 1]]))
        return cls(cameras, _recentred_projections(cameras, focal, float(np.linalg.norm(T))))

    @classmethod
    def from_camera_info(cls, left: Any, right: Any, rectified: bool = False) -> StereoRig:
        """A rig from two sensor_msgs/CameraInfo (any object with their fields k, d, r, p, width, height, …).

        rectified: the images are already rectified (image_rect); K, D and R are then ignored.
        """
        projections = np.stack([np.asarray(info.p, np.float64).reshape(3, 4) for info in (left, right)])
        check_projections(*projections)
        cameras = (_camera_from_info(left, "left", rectified), _camera_from_info(right, "right", rectified))
        sizes = ["{}x{}".format(*camera.size) for camera in cameras]
        if sizes[0] != sizes[1]:
            raise CalibrationError(
                f"the left camera_info is for {sizes[0]}, the right one for {sizes[1]}; "
                "expected the same size: let both cameras publish it and calibrate the pair again"
            )
        return cls(cameras, projections)

    @classmethod
    def from_yaml(cls, path: str | Path, right: str | Path | None = None) -> StereoRig:
        """A rig from one file with K1, D1, K2, D2, R, T, image_size (or image_width and image_height), plain YAML or
        OpenCV FileStorage; or from two files as ROS's camera_calibration writes them (left.yaml, right.yaml)."""
        if right is not None:
            first, second = (_YamlInfo(read_yaml(p), str(p)) for p in (path, right))
            return cls.from_camera_info(first, second)
        content = read_yaml(path)
        missing = [key for key in ("K1", "D1", "K2", "D2", "R", "T") if key not in content]
        if missing:
            raise CalibrationError(
                f"calibration {path}: has no {', '.join(missing)}; expected K1 D1 K2 D2 R T image_size"
            )
        size = _size_from_yaml(content, path)
        matrices = {key: matrix_from_yaml(content[key], shape, f"{path}: {key}") for key, shape in _YAML_SHAPES.items()}
        return cls.from_calibration(
            **matrices, image_size=size, distortion_model=content.get("distortion_model", "plumb_bob")
        )

    def with_rectified_input(self) -> StereoRig:
        """The same rig for images that were rectified before (image_rect topics)."""
        left, right = (
            Camera(projection[:, :3].copy(), np.zeros(0), np.eye(3), camera.size)
            for camera, projection in zip(self.cameras, self.projections, strict=True)
        )
        return replace(self, cameras=(left, right))

    def check_image_size(self, left: np.ndarray, right: np.ndarray) -> None:
        """Raise ValueError unless both images have the size that they were calibrated with."""
        for side, image, camera in (("left", left, self.cameras[0]), ("right", right, self.cameras[1])):
            found = (image.shape[1], image.shape[0]) if image.ndim >= 2 else image.shape
            if found != camera.size:
                raise ValueError(
                    f"the {side} image is {'x'.join(map(str, found))}, its calibration is for "
                    f"{camera.size[0]}x{camera.size[1]}; calibrate at the size that is published"
                )

    def view_bounds(self) -> np.ndarray:
        """(2, 4) x_min, y_min, x_max, y_max of each raw view's outline in its rectified image, pixels."""
        bounds = []
        for camera, projection in zip(self.cameras, self.projections, strict=True):
            width, height = camera.size
            xs, ys = np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9)
            outline = np.concatenate(
                [[(x, y) for x in xs for y in (0, height - 1)], [(x, y) for y in ys for x in (0, width - 1)]]
            )
            image = camera.rays(outline) @ projection[:, :3].T
            bounds.append(np.r_[image[:, :2].min(0), image[:, :2].max(0)])
        return np.stack(bounds)

    def cut(self, left: np.ndarray, right: np.ndarray, crop: StereoCrop) -> np.ndarray:
        """Crops (2, S, S, 3) or (2, S, S) uint8 of raw images: rectification, crop and scale in one cv2.remap a view.

        What lies outside a raw image is black.
        """
        views = np.zeros((2, crop.size, crop.size, *left.shape[2:]), np.uint8)
        for image, tables, view in zip((left, right), self.tables(crop, crop.projections(self.projections)), views):
            tables.cut(image, view)
        return views

    def tables(self, crop: StereoCrop, projections: np.ndarray) -> list[ViewTables]:
        """How both windows are sampled; projections: (2, 3, 4), the crop's cameras. WindowCutter keeps them."""
        return [
            ViewTables.of(camera, projection, crop.size, crop.scale * camera.matrix[0, 0] / self.focal_length)
            for camera, projection in zip(self.cameras, projections, strict=True)
        ]


_YAML_SHAPES = {"K1": (3, 3), "D1": (-1,), "K2": (3, 3), "D2": (-1,), "R": (3, 3), "T": (3,)}


def _size_from_yaml(content: dict[str, Any], path: str | Path) -> tuple[int, int]:
    """image_size: [width, height] or OpenCV's matrix of them; or image_width and image_height."""
    entry = content.get("image_size") or [content.get("image_width"), content.get("image_height")]
    if isinstance(entry, list) and None in entry:
        raise CalibrationError(f"calibration {path}: has no image_size; expected [width, height]")
    width, height = matrix_from_yaml(entry, (2,), f"{path}: image_size")
    return int(width), int(height)


def _recentred_projections(cameras: tuple[Camera, Camera], focal: float, baseline: float) -> np.ndarray:
    """Rectified P (2, 3, 4) that put each raw image's centre into the middle column, and both into the same row."""
    projections = np.zeros((2, 3, 4))
    projections[:, [0, 1], [0, 1]] = focal
    projections[:, 2, 2] = 1
    rows = []
    for projection, camera in zip(projections, cameras, strict=True):
        middle = (np.array(camera.size, np.float64) - 1) / 2
        ray = camera.rays(middle[None])[0]
        projection[0, 2] = middle[0] - focal * ray[0]
        rows.append(middle[1] - focal * ray[1])
    projections[:, 1, 2] = np.mean(rows)
    projections[1, 0, 3] = -focal * baseline
    return projections


def _camera_from_info(info: Any, side: str, rectified: bool) -> Camera:
    try:
        return _checked_camera(info, rectified)
    except CalibrationError as error:
        raise CalibrationError(f"the {side} camera_info: {error}") from error


def _checked_camera(info: Any, rectified: bool) -> Camera:
    size = (int(info.width), int(info.height))
    projection = np.asarray(info.p, np.float64).reshape(3, 4)
    if rectified:
        return Camera(projection[:, :3].copy(), np.zeros(0), np.eye(3), size)
    matrix = np.asarray(info.k, np.float64).reshape(3, 3)
    rectification = np.asarray(info.r, np.float64).reshape(3, 3)
    if not np.any(matrix):
        raise CalibrationError("K is zero; expected a calibrated camera (see camera_calibration)")
    if not is_rotation(rectification):
        raise CalibrationError("R is no rotation; expected the rectification matrix of the pair")
    return Camera(matrix, np.asarray(info.d, np.float64).reshape(-1), rectification, size, str(info.distortion_model))


class _YamlInfo:
    """CameraInfo's fields from a file that ROS's camera_calibration wrote."""

    def __init__(self, content: dict[str, Any], path: str) -> None:
        self.width, self.height = content.get("image_width", 0), content.get("image_height", 0)
        self.distortion_model = content.get("distortion_model", "plumb_bob")
        self.k = matrix_from_yaml(content.get("camera_matrix"), (9,), f"{path}: camera_matrix")
        self.d = matrix_from_yaml(content.get("distortion_coefficients"), (-1,), f"{path}: distortion_coefficients")
        self.r = matrix_from_yaml(content.get("rectification_matrix"), (9,), f"{path}: rectification_matrix")
        self.p = matrix_from_yaml(content.get("projection_matrix"), (12,), f"{path}: projection_matrix")
