"""Windows cut from raw images again and again: tables are kept while windows stay, memory is given once."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from rsb_pose_ros.stereo.crop import StereoCrop
from rsb_pose_ros.stereo.rig import StereoRig
from rsb_pose_ros.stereo.sampling import ViewTables

KEPT_WINDOWS = 6
"""Windows whose tables are kept: the followed person's, and those of the search. A window of 256² takes 0.8 MB."""


class WindowCutter:
    """Cuts pairs of windows from the raw images of one rig. Not thread-safe."""

    def __init__(self, rig: StereoRig) -> None:
        self.rig = rig
        self._kept: OrderedDict[StereoCrop, tuple[np.ndarray, list[ViewTables]]] = OrderedDict()
        self._grey = np.zeros((0, 0), np.uint8)

    def projections(self, crop: StereoCrop) -> np.ndarray:
        """(2, 3, 4) float64 crop cameras."""
        return self._tables(crop)[0]

    def cut(self, left: np.ndarray, right: np.ndarray, crop: StereoCrop, out: np.ndarray) -> None:
        """Write the windows of raw images (H, W, 3) BGR or (H, W) into `out` (2, S, S, 3) uint8, in place.

        Rectification, crop and scale are one cv2.remap a view; grey images become BGR.
        """
        for image, tables, view in zip((left, right), self._tables(crop)[1], out):
            if image.ndim == 3:
                tables.cut(image, view)
                continue
            if self._grey.shape != view.shape[:2]:
                self._grey = np.zeros(view.shape[:2], np.uint8)
            tables.cut(image, self._grey)
            cv2.cvtColor(self._grey, cv2.COLOR_GRAY2BGR, dst=view)

    def _tables(self, crop: StereoCrop) -> tuple[np.ndarray, list[ViewTables]]:
        if crop in self._kept:
            self._kept.move_to_end(crop)
            return self._kept[crop]
        cameras = crop.projections(self.rig.projections)
        made = cameras, self.rig.tables(crop, cameras)
        if len(self._kept) >= KEPT_WINDOWS:
            self._kept.popitem(last=False)
        self._kept[crop] = made
        return made
