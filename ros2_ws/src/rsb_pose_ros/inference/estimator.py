"""One raw stereo pair → people: search the view, look closer, follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rsb_pose_ros.inference.card import ModelCard
from rsb_pose_ros.inference.engine import EngineSettings
from rsb_pose_ros.inference.network import CropObserver, StereoPoseNetwork, Timing
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.providers import Provider
from rsb_pose_ros.inference.track import FRAME_S, Track, plausible
from rsb_pose_ros.inference.windows import person_window, search_windows, steady
from rsb_pose_ros.stereo import StereoRig

MIN_CONFIDENCE = 0.5
KEEP = 0.5
"""A person that is followed is lost below this share of min_confidence: one blurred pair does not end a track."""
GLIMPSE = 0.3
"""A search window in which a person is small needs only this share of min_confidence to be looked at closely."""
CLOSER_LOOKS = 2


class StereoPoseEstimator:
    """Finds and follows one person in raw stereo pairs.

    Nobody followed: the whole view is searched in one run; if nobody sure is there, one more window (overlapping tiles of
    the view, in turn from pair to pair). The better glimpse is looked at closely, at most twice, and is accepted with a
    score of min_confidence: at most 4 runs. Somebody followed: one run on a window around where the person must
    be now; if its score falls under 0.6 · min_confidence or the pose cannot be a person, the same pair is searched, so
    that no pair costs more than 5 runs.

    The same pairs in the same order give the same people, ids included. Not thread-safe.
    """

    def __init__(
        self,
        model: str | Path,
        rig: StereoRig,
        *,
        providers: str | Sequence[str | Provider] | None = None,
        threads: int = 0,
        min_confidence: float = MIN_CONFIDENCE,
        engines: EngineSettings | None = None,
        exact_model: bool = False,
    ) -> None:
        """model: a stereo_pose .onnx with its card; rig: the calibration of the raw images.

        providers, threads, engines: see ModelSession; min_confidence: score (mean joint confidence) of a person
        that is accepted, in 0…1. exact_model: never run the twin for CPUs that the model's card may name instead.
        Raises ModelError; ValueError for a min_confidence outside 0…1.
        """
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence is {min_confidence}; expected 0 to 1")
        self.min_confidence = min_confidence
        self._network = StereoPoseNetwork(
            model, providers=providers, threads=threads, engines=engines, exact_model=exact_model
        )
        self.use_rig(rig)

    @property
    def model(self) -> Path:
        """The file that runs: the one asked for, or its twin for CPUs."""
        return self._network.path

    @property
    def card(self) -> ModelCard:
        """The verified card of the file that runs."""
        return self._network.card

    @property
    def providers(self) -> list[str]:
        """Execution providers that really run, best first."""
        return self._network.providers

    @property
    def timing(self) -> Timing:
        """Where the time of the last pair went."""
        return self._network.timing

    @property
    def following(self) -> bool:
        """Whether a person is followed, so that the next pair costs one run."""
        return self._track is not None and not self._track.lost

    @property
    def observer(self) -> CropObserver | None:
        """Called with every crop that goes into the network (calibration data is collected so)."""
        return self._network.observer

    @observer.setter
    def observer(self, observer: CropObserver | None) -> None:
        self._network.observer = observer

    def reset(self) -> None:
        """Forget everybody; ids start at 0 again (use it when time jumps, as when a recording starts over)."""
        self._track: Track | None = None
        self._next_id = 0
        self._next_tile = 0
        self._clock = 0.0

    def use_rig(self, rig: StereoRig) -> None:
        """Work with another calibration from the next pair on, and forget everybody."""
        self.rig = rig
        self._windows = search_windows(rig, self._network.size, self._network.disparity_range)
        self.reset()

    def warm_up(self) -> None:
        """Run once on black windows: builds engines and fills caches, so that the first pair is not the slow one."""
        width, height = self.rig.cameras[0].size
        black = np.zeros((height, width), np.uint8)
        self._network.look(self.rig, black, black, self._windows[0], "coarse")

    def estimate(self, left: np.ndarray, right: np.ndarray, stamp: float | None = None) -> list[Person]:
        """People in one raw pair: at most one (the network is a single-person network), or none.

        left, right: (H, W, 3) BGR or (H, W) uint8, both of the same kind, of the calibrated size. stamp: capture time
        in seconds; without it pairs are taken to be 1/30 s apart. A stamp that goes back resets the estimator.
        Raises ValueError for images that are anything else, and for a stamp that is not finite.
        """
        if stamp is not None and not math.isfinite(stamp):
            raise ValueError(f"stamp is {stamp}; expected the capture time in seconds")
        check_pair(left, right)
        self.rig.check_image_size(left, right)
        self._network.timing = Timing()
        now = self._clock + FRAME_S if stamp is None else float(stamp)
        if now < self._clock:
            self.reset()
        self._clock = now
        person = self._follow(left, right, now) or self._search(left, right)
        if person is None:
            if self._track is not None:
                self._track.lost = True
            return []
        return [self._identified(person, now)]

    def _follow(self, left: np.ndarray, right: np.ndarray, now: float) -> Person | None:
        if self._track is None or self._track.lost:
            return None
        crop = person_window(self._track.predicted(now), self._track.person.confidence, self.rig, self._network.size)
        if crop is None:
            return None
        crop = steady(self._track.person.crop, crop)
        person = self._network.look(self.rig, left, right, crop, "fine")
        return person if self._accepted(person, KEEP * self.min_confidence) else None

    def _search(self, left: np.ndarray, right: np.ndarray) -> Person | None:
        glimpse = self._network.look(self.rig, left, right, self._windows[0], "coarse")
        if not self._accepted(glimpse, self.min_confidence) and len(self._windows) > 1:
            # A faint glimpse of the whole view must not keep a person from being seen who fills a tile.
            window = self._windows[1 + self._next_tile % (len(self._windows) - 1)]
            self._next_tile += 1
            closer = self._network.look(self.rig, left, right, window, "coarse")
            glimpse = max(glimpse, closer, key=lambda person: person.score)
        if not self._accepted(glimpse, GLIMPSE * self.min_confidence):
            return None
        person = glimpse
        for _ in range(CLOSER_LOOKS):
            crop = person_window(person.keypoints, person.confidence, self.rig, self._network.size)
            if crop is None:
                return None
            person = self._network.look(self.rig, left, right, crop, "fine")
            if not self._accepted(person, GLIMPSE * self.min_confidence):
                return None
        return person if self._accepted(person, self.min_confidence) else None

    @staticmethod
    def _accepted(person: Person, score: float) -> bool:
        return person.score >= score and plausible(person.joints, person.confidence)

    def _identified(self, person: Person, now: float) -> Person:
        known = self._track is not None and self._track.recognises(person.joints, now)
        if known and self._track is not None:
            person = replace(person, id=self._track.person.id)
            self._track = self._track.moved(person, now)
        else:
            person = replace(person, id=self._next_id)
            self._next_id += 1
            self._track = Track(person, np.zeros((2, 2)), now)
        return person


def check_pair(left: np.ndarray, right: np.ndarray) -> None:
    """Raise ValueError unless both are non-empty uint8 arrays (H, W, 3) or (H, W) of the same shape."""
    for side, image in (("left", left), ("right", right)):
        if not isinstance(image, np.ndarray):
            raise ValueError(f"the {side} image is a {type(image).__name__}; expected a numpy array")
        if image.dtype != np.uint8:
            raise ValueError(f"the {side} image is {image.dtype}; expected uint8: scale other depths to 8 bits first")
        if image.size == 0:
            raise ValueError(f"the {side} image is empty, {image.shape}; expected (H, W, 3) or (H, W)")
        if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise ValueError(f"the {side} image has shape {image.shape}; expected (H, W, 3) BGR or (H, W) grey")
    if left.shape != right.shape:
        raise ValueError(f"the left image is {left.shape}, the right one {right.shape}; expected equal shapes")
