"""Raw pictures as distorting lenses take them: a sharp pinhole picture, bent by the lens model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from rsb_pose_ros.stereo import Camera
from rsb_pose_ros.stereo.camera import FISHEYE_MODELS

WIDEST = 5.0
"""Tangent of the greatest angle from the optical axis that is drawn; what lies farther aside stays dark, as beyond the image
circle of a fisheye lens."""
MOST_DARK = 0.4
"""Share of a picture that may stay so."""
OVERSAMPLING = 1.6
"""Pinhole pixels per raw pixel in the middle."""


@dataclass(frozen=True)
class Lens:
    """A raw camera: matrix K (3, 3), plumb_bob distortion (5,), image size (width, height)."""

    matrix: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int]
    distortion_model: str = "plumb_bob"


class BentView:
    """Turns pinhole pictures of one lens into raw ones."""

    def __init__(self, lens: Lens | Camera) -> None:
        """The pinhole picture covers the raw rays up to WIDEST. Raises ValueError for a view that no pinhole can take."""
        width, height = lens.size
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        pixels = np.stack([columns, rows], -1).reshape(-1, 1, 2)
        undistort = cv2.fisheye.undistortPoints if lens.distortion_model in FISHEYE_MODELS else cv2.undistortPoints
        rays = undistort(pixels, lens.matrix, lens.distortion).reshape(height, width, 2)
        self._dark = ~(np.isfinite(rays).all(-1) & (np.abs(rays).max(-1) <= WIDEST))
        if self._dark.mean() > MOST_DARK:
            raise ValueError(
                f"lens with focal length {lens.matrix[0, 0]:g} px and D = {np.round(lens.distortion, 3).tolist()}: "
                f"{self._dark.mean():.0%} of its picture look more than 79° aside; expected less than {MOST_DARK:.0%}"
            )
        rays[self._dark] = 0
        focal = lens.matrix[0, 0] * OVERSAMPLING
        low, high = rays.min((0, 1)) - 4 / focal, rays.max((0, 1)) + 4 / focal
        extent = np.ceil((high - low) * focal).astype(int)
        self.size = (int(extent[0]), int(extent[1]))
        self.camera = np.array([focal, focal, *(-low * focal)], np.float32)
        """fx, fy, cx, cy of the pinhole picture of `size` (width, height)."""
        self._map = (rays * focal - low * focal).astype(np.float32)

    def bend(self, draw: Callable[[np.ndarray, tuple[int, int]], np.ndarray]) -> np.ndarray:
        """The raw picture (H, W, 3) float32; draw(camera, size) must give the pinhole picture."""
        picture = cv2.GaussianBlur(draw(self.camera, self.size), (0, 0), 0.45 * OVERSAMPLING)
        raw = cv2.remap(picture, self._map, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        raw[self._dark] = 0
        return raw
