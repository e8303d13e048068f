"""How a window is sampled from a raw image: rectification, crop and scale in one cv2.remap."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsb_pose_ros.stereo.camera import Camera

ALIASING_FREE_SCALE = 2.0
"""Beyond this shrinking factor bilinear sampling skips pixels and aliases; the raw image is area-averaged first."""


@dataclass(frozen=True)
class ViewTables:
    """How one view's window is sampled: the raw image's `area` (x0, y0, x1, y1) is averaged over factor × factor pixels,
    then remapped with `maps` (cv2.remap's fixed-point tables). A factor of 1 takes the whole raw image as it is."""

    factor: int
    area: tuple[int, int, int, int]
    maps: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, camera: Camera, projection: np.ndarray, size: int, scale: float) -> ViewTables:
        """projection: (3, 4) crop camera; size: crop pixels; scale: raw pixels per crop pixel."""
        factor = int(scale) if scale >= ALIASING_FREE_SCALE else 1
        small = camera.downscaled(factor) if factor > 1 else camera
        xy, fraction = small.remap_tables(projection[:, :3], (size, size))
        width, height = small.size
        if factor == 1:
            return cls(1, (0, 0, width, height), (xy, fraction))
        # Only what the window shows is averaged. One pixel outside blends with the border, two are black wherever they lie.
        low, high = [], []
        axes = cv2.split(xy)
        for places, end in zip(axes, (width, height)):
            np.clip(places, -2, end + 1, out=places)
            low.append(min(max(int(places.min()), 0), end - 1))
            high.append(max(min(int(places.max()) + 2, end), low[-1] + 1))
            places -= low[-1]
        area = (factor * low[0], factor * low[1], factor * high[0], factor * high[1])
        return cls(factor, area, (cv2.merge(axes), fraction))

    def cut(self, image: np.ndarray, out: np.ndarray) -> None:
        """Sample a raw image (H, W, 3) or (H, W) into `out` (S, S, 3) or (S, S); what lies outside is black."""
        if self.factor > 1:
            x0, y0, x1, y1 = self.area
            small = ((x1 - x0) // self.factor, (y1 - y0) // self.factor)
            image = cv2.resize(image[y0:y1, x0:x1], small, interpolation=cv2.INTER_AREA)
        cv2.remap(image, *self.maps, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_CONSTANT)
