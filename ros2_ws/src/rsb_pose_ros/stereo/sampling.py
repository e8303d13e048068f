"""How a window is sampled from a raw image: rectification, crop and scale in one cv2.remap."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsb_pose_ros.stereo.camera import Camera

ALIASING_FREE_SCALE = 2.0
"""Beyond this shrinking factor bilinear sampling skips pixels and aliases; the raw image is area-averaged first."""
COPIED_SHARE = 0.5
"""No more than this share of a raw image is ever copied."""


@dataclass(frozen=True)
class ViewTables:
    """How one view's window is sampled: the `area` (x0, y0, x1, y1) of the raw image that it shows is averaged over
    factor × factor pixels, then remapped with `maps` (cv2.remap's fixed-point tables, from the area's corner on).

    copied: whether the area is read in one go before; remap fetches pixels as they come, which costs more than a copy of a
    small part of a large image that no cache holds yet.
    """

    factor: int
    area: tuple[int, int, int, int]
    maps: tuple[np.ndarray, np.ndarray]
    copied: bool

    @classmethod
    def of(cls, camera: Camera, projection: np.ndarray, size: int, scale: float) -> ViewTables:
        """projection: (3, 4) crop camera; size: crop pixels; scale: raw pixels per crop pixel."""
        factor = int(scale) if scale >= ALIASING_FREE_SCALE else 1
        small = camera.downscaled(factor) if factor > 1 else camera
        xy, fraction = small.remap_tables(projection[:, :3], (size, size))
        # One pixel outside the image blends with the border, two are black wherever they lie.
        low, high = [], []
        axes = cv2.split(xy)
        for places, end in zip(axes, small.size):
            np.clip(places, -2, end + 1, out=places)
            low.append(min(max(int(places.min()), 0), end - 1))
            high.append(max(min(int(places.max()) + 2, end), low[-1] + 1))
            places -= low[-1]
        area = (factor * low[0], factor * low[1], factor * high[0], factor * high[1])
        pixels = (area[2] - area[0]) * (area[3] - area[1])
        copied = factor == 1 and pixels <= COPIED_SHARE * camera.size[0] * camera.size[1]
        return cls(factor, area, (cv2.merge(axes), fraction), copied)

    def cut(self, image: np.ndarray, out: np.ndarray) -> None:
        """Sample a raw image (H, W, 3) or (H, W) into `out` (S, S, 3) or (S, S); what lies outside is black."""
        x0, y0, x1, y1 = self.area
        shown = image[y0:y1, x0:x1]
        if self.factor > 1:
            small = ((x1 - x0) // self.factor, (y1 - y0) // self.factor)
            shown = cv2.resize(shown, small, interpolation=cv2.INTER_AREA)
        elif self.copied:
            shown = np.ascontiguousarray(shown)
        cv2.remap(shown, *self.maps, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_CONSTANT)
