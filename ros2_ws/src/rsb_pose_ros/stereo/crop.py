"""A pair of square windows of the rectified views: same rows and side, each with its own horizontal place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.skeleton import ROOT
from rsb_pose_ros.stereo.triangulation import project

PERSON_MARGIN = 1.3
"""Side of a person's window over the longer side of the box around the joints."""

COARSE_SHIFT = 24.0
"""Crop pixels by which the right window of a whole view is shifted: its disparities run from −24 up, so that those of
people at all distances fall into the volume's range, which is centred near 0."""


@dataclass(frozen=True)
class StereoCrop:
    """Where the network looks. All in pixels of the rectified full-resolution image, pixel centres at integers.

    left, right: x of the windows' left edges; top: y of their upper edge (edges lie half a pixel before a centre);
    side: width and height; size: crop pixels along a side after scaling.
    """

    left: float
    right: float
    top: float
    side: float
    size: int

    @property
    def scale(self) -> float:
        """Rectified pixels per crop pixel."""
        return self.side / self.size

    @classmethod
    def centred(cls, centre: np.ndarray, side: float, disparity: float, size: int) -> StereoCrop:
        """Windows around a point (x, y) of the left view; the right one is shifted so that `disparity` px vanish."""
        left = float(centre[0]) - side / 2
        return cls(left, left - disparity, float(centre[1]) - side / 2, float(side), size)

    @classmethod
    def around(
        cls,
        joints: np.ndarray,
        rectified: np.ndarray,
        size: int,
        margin: float = PERSON_MARGIN,
        disparity: float | None = None,
    ) -> StereoCrop:
        """Windows around a person: joints (17, 3) metres, rectified P (2, 3, 4). Their disparity offset is the pelvis'.

        Joints that are NaN or not in front of the cameras are left out; raises ValueError when none remains.
        """
        seen = joints[np.isfinite(joints).all(-1) & (np.nan_to_num(joints[:, 2], nan=-1.0) > 0.1)]
        if not len(seen):
            raise ValueError("no joint lies in front of the cameras; expected at least one to place a crop around")
        pixels = project(seen, rectified)[0]
        low, high = pixels.min(0), pixels.max(0)
        depth = joints[ROOT, 2] if np.isfinite(joints[ROOT, 2]) and joints[ROOT, 2] > 0.1 else np.median(seen[:, 2])
        if disparity is None:
            principal = rectified[0, 0, 2] - rectified[1, 0, 2]
            disparity = float(-rectified[1, 0, 3] / depth + principal)
        return cls.centred((low + high) / 2, max(margin * float((high - low).max()), 8.0), disparity, size)

    @classmethod
    def whole_view(
        cls, bounds: np.ndarray, rectified: np.ndarray, size: int, shift: float = COARSE_SHIFT
    ) -> StereoCrop:
        """Windows that hold the whole left view, letterboxed. bounds: (2, 4) from StereoRig.view_bounds."""
        x0, y0, x1, y1 = bounds[0]
        side = max(x1 - x0, y1 - y0) + 1
        principal = rectified[0, 0, 2] - rectified[1, 0, 2]
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        return cls.centred(centre, side, shift * side / size + principal, size)

    def projections(self, rectified: np.ndarray) -> np.ndarray:
        """Crop cameras (2, 3, 4) float64 from the rectified P of both views (2, 3, 4)."""
        cropped = np.array(rectified, np.float64)
        for view, x in enumerate((self.left, self.right)):
            cropped[view, 0, 2] = (rectified[view, 0, 2] + 0.5 - x) / self.scale - 0.5
            cropped[view, 1, 2] = (rectified[view, 1, 2] + 0.5 - self.top) / self.scale - 0.5
            cropped[view, [0, 0, 1], [0, 3, 1]] /= self.scale
        return cropped

    def to_rectified(self, keypoints: np.ndarray) -> np.ndarray:
        """Crop pixels (2, N, 2) → pixels of the rectified full-resolution views (2, N, 2)."""
        origin = np.array([[self.left, self.top], [self.right, self.top]])[:, None]
        return (keypoints + 0.5) * self.scale + origin - 0.5

    def from_rectified(self, points: np.ndarray) -> np.ndarray:
        """Pixels of the rectified full-resolution views (2, N, 2) → crop pixels (2, N, 2)."""
        origin = np.array([[self.left, self.top], [self.right, self.top]])[:, None]
        return (points + 0.5 - origin) / self.scale - 0.5
