"""One raw camera: intrinsics, lens distortion, and the rotation that rectifies it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsb_pose_ros.stereo.calibration import CalibrationError

FISHEYE_MODELS = ("equidistant", "fisheye")
PINHOLE_MODELS = ("plumb_bob", "rational_polynomial", "thin_prism_fisheye", "")
FISHEYE_COEFFICIENTS = (4,)
PINHOLE_COEFFICIENTS = (0, 4, 5, 8, 12, 14)


@dataclass(frozen=True)
class Camera:
    """A calibrated raw camera, in OpenCV's and sensor_msgs/CameraInfo's conventions.

    matrix: (3, 3) float64 K, pixels, pixel centres at integer coordinates.
    distortion: (n,) float64 D of `distortion_model` (n = 0, 4, 5, 8, 12 or 14; 4 for equidistant).
    rectification: (3, 3) float64 R, rotates camera coordinates into the rectified frame.
    size: (width, height) of the raw image, pixels.
    """

    matrix: np.ndarray
    distortion: np.ndarray
    rectification: np.ndarray
    size: tuple[int, int]
    distortion_model: str = "plumb_bob"

    def __post_init__(self) -> None:
        if self.distortion_model not in FISHEYE_MODELS + PINHOLE_MODELS:
            raise CalibrationError(
                f"distortion model {self.distortion_model!r} is unknown; expected one of "
                f"{', '.join(m for m in PINHOLE_MODELS + FISHEYE_MODELS if m)}"
            )
        if not (np.isfinite(self.matrix).all() and self.matrix[0, 0] > 0 and self.matrix[1, 1] > 0):
            raise CalibrationError(
                f"camera matrix K has focal lengths fx={self.matrix[0, 0]:g}, fy={self.matrix[1, 1]:g}; "
                "expected positive pixels: the camera is not calibrated"
            )
        if min(self.size) <= 0:
            raise CalibrationError(f"image size is {self.size[0]}x{self.size[1]}; expected a positive width and height")
        if not np.isfinite(self.distortion).all():
            raise CalibrationError(f"distortion D contains values that are not finite: {self.distortion}")
        counts = FISHEYE_COEFFICIENTS if self.distortion_model in FISHEYE_MODELS else PINHOLE_COEFFICIENTS
        if len(self.distortion) not in counts:
            raise CalibrationError(
                f"distortion D of model {self.distortion_model!r} has {len(self.distortion)} coefficients; "
                f"expected {' or '.join(map(str, counts))}"
            )

    def remap_tables(self, projection: np.ndarray, size: tuple[int, int], fixed_point: bool = True) -> tuple:
        """Tables for cv2.remap from the raw image to a rectified pinhole view (cv2.initUndistortRectifyMap).

        projection: (3, 3) pinhole matrix of the wanted view, in the rectified frame; size: its (width, height).
        Returns (map1, map2), fixed-point (CV_16SC2) or two float32 maps of x and y.
        """
        kind = cv2.CV_16SC2 if fixed_point else cv2.CV_32FC1
        if self.distortion_model in FISHEYE_MODELS:
            return cv2.fisheye.initUndistortRectifyMap(
                self.matrix, self.distortion, self.rectification, projection, size, kind
            )
        return cv2.initUndistortRectifyMap(self.matrix, self.distortion, self.rectification, projection, size, kind)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Directions in the rectified frame, (N, 3) with z = 1, of raw pixels (N, 2)."""
        pixels = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
        if self.distortion_model in FISHEYE_MODELS:
            flat = cv2.fisheye.undistortPoints(pixels, self.matrix, self.distortion).reshape(-1, 2)
        else:
            flat = cv2.undistortPoints(pixels, self.matrix, self.distortion).reshape(-1, 2)
        directions = np.c_[flat, np.ones(len(flat))] @ self.rectification.T
        if (directions[:, 2] <= 0).any():
            raise CalibrationError(
                "rectification turns part of the view behind the camera; expected cameras that look the same way"
            )
        return directions / directions[:, 2:]

    def downscaled(self, factor: int) -> Camera:
        """The camera of an image shrunk by an integer factor (cv2.resize with INTER_AREA keeps pixel edges)."""
        matrix = self.matrix.copy()
        matrix[:2] /= factor
        matrix[:2, 2] += (1 / factor - 1) / 2
        size = (self.size[0] // factor, self.size[1] // factor)
        return Camera(matrix, self.distortion, self.rectification, size, self.distortion_model)
