"""Raw pictures as distorting lenses take them: a sharp pinhole picture, bent by the lens model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

OVERSAMPLING = 1.6
"""Pinhole pixels per raw pixel in the middle."""


@dataclass(frozen=True)
class Lens:
    """A raw camera: matrix K (3, 3), plumb_bob distortion (5,), image size (width, height)."""

    matrix: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int]


class BentView:
    """Turns pinhole pictures of one lens into raw ones."""

    def __init__(self, lens: Lens) -> None:
        """The pinhole picture covers every ray of the raw one."""
        width, height = lens.size
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        pixels = np.stack([columns, rows], -1).reshape(-1, 1, 2)
        rays = cv2.undistortPoints(pixels, lens.matrix, lens.distortion).reshape(height, width, 2)
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
        return cv2.remap(picture, self._map, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
