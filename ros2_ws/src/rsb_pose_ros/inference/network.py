"""One run of the stereo pose network on one pair of windows, read back as a Person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.engine import EngineSettings
from rsb_pose_ros.inference.medians import median
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.presence import Presence
from rsb_pose_ros.inference.providers import Provider
from rsb_pose_ros.inference.session import ModelSession
from rsb_pose_ros.inference.uncertainty import Honesty
from rsb_pose_ros.inference.windows import person_boxes
from rsb_pose_ros.stereo import StereoCrop, StereoRig, WindowCutter

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
        engines: EngineSettings | None = None,
        exact_model: bool = True,
    ) -> None:
        """See ModelSession for the parameters and errors."""
        self._session = ModelSession(
            model, STEREO_POSE, providers=providers, threads=threads, engines=engines, exact_model=exact_model
        )
        self._bound = self._session.bind()
        self.path = self._session.path
        self.card = self._session.card
        self.providers = self._session.providers
        self.size = int(self.card.image_size or 0)
        low, high = self.card.disparity_range_px or (0.0, 0.0)
        self.disparity_range = (float(low), float(high))
        self._honesty = Honesty.of_card(self.card.uncertainty)
        self.presence = Presence.of_card(self.card.presence)
        self.timing = Timing()
        self.observer: CropObserver | None = None
        self._cutter: WindowCutter | None = None

    def look(
        self,
        rig: StereoRig,
        left: np.ndarray,
        right: np.ndarray,
        crop: StereoCrop,
        stage: str,
        covered: Sequence[Person] = (),
    ) -> Person:
        """The network's answer for one pair of windows, whatever its confidence. Its id is −1.

        left, right: raw images (H, W, 3) BGR or (H, W), uint8; stage: "coarse" or "fine", for the observer; covered:
        people whom the network shall not see.
        """
        start = time.perf_counter()
        if self._cutter is None or self._cutter.rig is not rig:
            self._cutter = WindowCutter(rig)
        projections = self._cutter.projections(crop)
        crops, cameras = self._bound.inputs["crops"][0], self._bound.inputs["projections"][0]
        self._cutter.cut(left, right, crop, out=crops)
        for person in covered:
            _cover(crops, person, crop)
        cameras[:] = projections
        if self.observer is not None:
            self.observer(crops.copy(), cameras.copy(), stage)
        cut = time.perf_counter()
        outputs = {name: array[0] for name, array in self._bound.run().items()}
        self.timing = self.timing.plus(cut - start, time.perf_counter() - cut)
        return read_person(outputs, projections, crop, self._honesty)


def _cover(crops: np.ndarray, person: Person, crop: StereoCrop) -> None:
    """Black out a person in both windows (2, S, S, 3), in place: what lies beyond a picture's edge is black, too."""
    boxes = person_boxes(person.keypoints, person.confidence)
    if np.isnan(boxes).any():
        return
    corners = crop.from_rectified(boxes.reshape(2, 2, 2))
    for window, (low, high) in zip(crops, corners.clip(-1, crop.size).round().astype(int) + 1, strict=True):
        window[max(low[1] - 1, 0) : high[1], max(low[0] - 1, 0) : high[0]] = 0


def read_person(
    outputs: dict[str, np.ndarray], projections: np.ndarray, crop: StereoCrop, honesty: Honesty | None = None
) -> Person:
    """A Person from one answer without its batch axis; what cannot be in front of the cameras becomes NaN.

    projections: (2, 3, 4) of the crop cameras; honesty: what the model's card says of its covariance. A joint is invalid
    when its disparity is not positive, when its position is not finite or not in front of the rig, or when it lies metres
    before or behind the rest of the body.
    """
    keypoints = outputs["keypoints"].astype(np.float64)
    joints, initial = outputs["joints"], outputs["joints_initial"]
    covariance, confidence = outputs["covariance"], outputs["confidence"]
    principal = projections[0, 0, 2] - projections[1, 0, 2]
    # A NaN fails every comparison, so that few of them need looking for.
    with np.errstate(invalid="ignore"):
        valid = keypoints[0, :, 0] - keypoints[1, :, 0] > principal
        valid &= np.isfinite(np.concatenate([joints, initial, keypoints[0], keypoints[1]], axis=1)).all(1)
        valid &= np.minimum(joints[:, 2], initial[:, 2]) > NEAREST_DEPTH_M
        if valid.any():
            middle = float(median(joints[valid, 2]))
            depth_per_pixel = middle**2 / -projections[1, 0, 3]
            valid &= np.abs(joints[:, 2] - middle) < BODY_DEPTH_M + depth_per_pixel
        certain = np.where(valid & (confidence > 0), confidence, 0).astype(np.float32)
    joints, initial, covariance = (np.array(values, np.float32) for values in (joints, initial, covariance))
    joints[~valid], initial[~valid] = np.nan, np.nan
    if honesty is not None:
        covariance = honesty.state(covariance, confidence).astype(np.float32)
    covariance[~(valid & np.isfinite(covariance).all((1, 2)))] = np.nan
    return Person(
        id=-1,
        joints=joints,
        joints_initial=initial,
        confidence=np.minimum(certain, np.float32(1)),
        covariance=covariance,
        keypoints=crop.to_rectified(keypoints).astype(np.float32),
        crop=crop,
    )
