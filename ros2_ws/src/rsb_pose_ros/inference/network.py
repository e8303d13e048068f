"""One run of the stereo pose network on one pair of windows, read back as a Person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.providers import Provider
from rsb_pose_ros.inference.session import ModelSession
from rsb_pose_ros.stereo import StereoCrop, StereoRig

NEAREST_DEPTH_M = 0.05
BODY_DEPTH_M = 1.5
"""A joint farther in depth from the median of all joints belongs to no body: its disparity was mistaken. Where a pixel
of disparity is worth more depth, as of somebody far away in a window of the whole view, so much more is allowed."""

CropObserver = Callable[[np.ndarray, np.ndarray, str], None]
"""Called before each run with crops (2, S, S, 3) uint8, projections (2, 3, 4) float32 and "coarse" or "fine"."""


@dataclass(frozen=True)
class Timing:
    """Where the time of one pair went: seconds in cutting windows and in the network, and how often each was done."""

    cut_s: float = 0.0
    network_s: float = 0.0
    runs: int = 0

    def plus(self, cut_s: float, network_s: float) -> Timing:
        """The sum after one more run."""
        return Timing(self.cut_s + cut_s, self.network_s + network_s, self.runs + 1)


class StereoPoseNetwork:
    """Windows of a raw stereo pair → Person. Holds the session; knows nothing of time."""

    def __init__(
        self,
        model: str | Path,
        *,
        providers: str | Sequence[str | Provider] | None = None,
        threads: int = 0,
        engine_cache: str | Path | None = None,
    ) -> None:
        """See ModelSession for the parameters and errors."""
        self._session = ModelSession(
            model, STEREO_POSE, providers=providers, threads=threads, engine_cache=engine_cache
        )
        self._bound = self._session.bind()
        self.card = self._session.card
        self.providers = self._session.providers
        self.size = int(self.card.image_size or 0)
        low, high = self.card.disparity_range_px or (0.0, 0.0)
        self.disparity_range = (float(low), float(high))
        self.timing = Timing()
        self.observer: CropObserver | None = None

    def look(self, rig: StereoRig, left: np.ndarray, right: np.ndarray, crop: StereoCrop, stage: str) -> Person:
        """The network's answer for one pair of windows, whatever its confidence. Its id is −1.

        left, right: raw images (H, W, 3) BGR or (H, W), uint8; stage: "coarse" or "fine", for the observer.
        """
        start = time.perf_counter()
        projections = crop.projections(rig.projections)
        crops = colour(rig.cut(left, right, crop))
        self._bound.inputs["crops"][0] = crops
        self._bound.inputs["projections"][0] = projections
        if self.observer is not None:
            self.observer(crops, self._bound.inputs["projections"][0].copy(), stage)
        cut = time.perf_counter()
        outputs = {name: array[0] for name, array in self._bound.run().items()}
        self.timing = self.timing.plus(cut - start, time.perf_counter() - cut)
        return read_person(outputs, projections, crop)


def colour(crops: np.ndarray) -> np.ndarray:
    """Grey crops (2, S, S) as BGR (2, S, S, 3); colour ones unchanged."""
    if crops.ndim == 4:
        return crops
    return np.stack([cv2.cvtColor(view, cv2.COLOR_GRAY2BGR) for view in crops])


def read_person(outputs: dict[str, np.ndarray], projections: np.ndarray, crop: StereoCrop) -> Person:
    """A Person from one answer without its batch axis; what cannot be in front of the cameras becomes NaN.

    projections: (2, 3, 4) of the crop cameras. A joint is invalid when its disparity is not positive, when its
    position is not finite or not in front of the rig, or when it lies metres before or behind the rest of the body.
    """
    keypoints = outputs["keypoints"].astype(np.float64)
    joints, initial = outputs["joints"].astype(np.float32), outputs["joints_initial"].astype(np.float32)
    principal = projections[0, 0, 2] - projections[1, 0, 2]
    with np.errstate(invalid="ignore"):
        valid = keypoints[0, :, 0] - keypoints[1, :, 0] - principal > 0
        valid &= np.isfinite(keypoints).all((0, 2)) & np.isfinite(joints).all(-1) & np.isfinite(initial).all(-1)
        valid &= (joints[:, 2] > NEAREST_DEPTH_M) & (initial[:, 2] > NEAREST_DEPTH_M)
        depth = np.where(valid, joints[:, 2], np.nan)
        if valid.any():
            middle = np.nanmedian(depth)
            depth_per_pixel = middle**2 / -projections[1, 0, 3]
            valid &= np.abs(depth - middle) < BODY_DEPTH_M + depth_per_pixel
        covariance_valid = valid & np.isfinite(outputs["covariance"]).all((1, 2))
    confidence = np.nan_to_num(outputs["confidence"].astype(np.float32), nan=0.0).clip(0, 1)
    return Person(
        id=-1,
        joints=np.where(valid[:, None], joints, np.float32(np.nan)),
        joints_initial=np.where(valid[:, None], initial, np.float32(np.nan)),
        confidence=np.where(valid, confidence, np.float32(0)),
        covariance=np.where(covariance_valid[:, None, None], outputs["covariance"], np.float32(np.nan)),
        keypoints=crop.to_rectified(keypoints).astype(np.float32),
        crop=crop,
    )
