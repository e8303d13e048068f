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
from rsb_pose_ros.inference.search import Candidate, PersonSearch, accepted
from rsb_pose_ros.inference.track import FORGET_S, FRAME_S, KEEP, Track
from rsb_pose_ros.inference.windows import person_window, steady
from rsb_pose_ros.stereo import StereoRig

MIN_CONFIDENCE = 0.75
SEARCH_EVERY = 3
"""While somebody is followed and there may be more people, somebody else is looked for in every third pair."""


class StereoPoseEstimator:
    """Finds and follows people in raw stereo pairs; the network sees one person at a time, so each has a window and a run.

    Nobody followed: the whole view is searched in one run; if nobody sure is there, one more window (overlapping tiles of
    the view, in turn from pair to pair). The better glimpse is looked at closely, at most twice, and is accepted if it is
    sure enough that somebody is there (presence.py): at most 4 runs. Somebody followed: one run on a window around where
    the person must be now; a person whose mean confidence falls under KEEP · min_confidence, or whose pose cannot be a
    person's, is lost. If that leaves nobody, the same pair is searched, so that no pair costs more than 5 runs.

    max_people above 1: while fewer are followed, somebody else is looked for in every third pair, in one window after the
    other, with those known covered up: 1 to 3 runs more; and whoever was lost a moment ago, where they must be now. So n
    people cost n runs a pair, and on average half a run more.

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
        max_people: int = 1,
        engines: EngineSettings | None = None,
        exact_model: bool = False,
    ) -> None:
        """model: a stereo_pose .onnx with its card; rig: the calibration of the raw images.

        providers, threads, engines: see ModelSession; min_confidence: how sure it must be that somebody is there before
        they are followed, in 0…1. max_people: that are followed at the same time. exact_model: never run the twin for CPUs
        that the model's card may name instead.
        Raises ModelError; ValueError for a min_confidence outside 0…1, a max_people below 1.
        """
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence is {min_confidence}; expected 0 to 1")
        if max_people < 1:
            raise ValueError(f"max_people is {max_people}; expected at least 1")
        self.min_confidence = min_confidence
        self.max_people = max_people
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
        """Whether anybody is followed."""
        return any(not track.lost for track in self._tracks.values())

    @property
    def candidate(self) -> Candidate | None:
        """Whoever was looked at closely in the last pair to begin a track, accepted or not; None if there was nobody to look
        at closely, or no search."""
        return self._search.candidate

    @property
    def observer(self) -> CropObserver | None:
        """Called with every crop that goes into the network (calibration data is collected so)."""
        return self._network.observer

    @observer.setter
    def observer(self, observer: CropObserver | None) -> None:
        self._network.observer = observer

    def reset(self) -> None:
        """Forget everybody; ids start at 0 again (use it when time jumps, as when a recording starts over)."""
        self._tracks: dict[int, Track] = {}
        self._next_id = 0
        self._pairs = 0
        self._clock = 0.0
        self._search.start_over()

    def use_rig(self, rig: StereoRig, first_tile: int = 0) -> None:
        """Work with another calibration from the next pair on, and forget everybody.

        first_tile: of the search windows behind the whole view's, which is looked at first (they go round).
        """
        self.rig = rig
        self._search = PersonSearch(self._network, rig)
        self.reset()
        self._search.start_over(first_tile)

    def warm_up(self) -> None:
        """Run once on black windows: builds engines and fills caches, so that the first pair is not the slow one."""
        width, height = self.rig.cameras[0].size
        black = np.zeros((height, width), np.uint8)
        self._network.look(self.rig, black, black, self._search.windows[0], "coarse")

    def estimate(self, left: np.ndarray, right: np.ndarray, stamp: float | None = None) -> list[Person]:
        """People in one raw pair, max_people at most, in the order of their ids.

        left, right: (H, W, 3) BGR or (H, W) uint8, both of the same kind, of the calibrated size. stamp: capture time
        in seconds; without it pairs are taken to be 1/30 s apart. A stamp that goes back resets the estimator.
        Raises ValueError for images that are anything else, and for a stamp that is not finite.
        """
        if stamp is not None and not math.isfinite(stamp):
            raise ValueError(f"stamp is {stamp}; expected the capture time in seconds")
        self._search.candidate = None
        check_pair(left, right)
        self.rig.check_image_size(left, right)
        self._network.timing = Timing()
        now = self._clock + FRAME_S if stamp is None else float(stamp)
        if now < self._clock:
            self.reset()
        self._clock = now
        self._pairs += 1
        missing = [track for track in self._tracks.values() if track.lost]
        people = self._follow(left, right, now)
        newcomer = self._newcomer(left, right, people, missing, now)
        if newcomer is not None:
            lost = [track for track in self._tracks.values() if track.lost]
            people.append(self._identified(newcomer, now, lost))
        self._tracks = {i: t for i, t in self._tracks.items() if not t.lost or now - t.stamp <= FORGET_S}
        return sorted(people, key=lambda person: person.id)

    def _follow(self, left: np.ndarray, right: np.ndarray, now: float) -> list[Person]:
        """Everybody who is followed and still there; windows that end on one and the same person are one track."""
        people: list[Person] = []
        for track in [t for t in self._tracks.values() if not t.lost]:
            wanted = len(people) < self.max_people  # which may have been lowered
            person = self._look_where_expected(left, right, track, now) if wanted else None
            if person is None or any(person.is_same(other) for other in people):
                track.lost = True
                continue
            people.append(self._identified(person, now, [track]))
            track.lost = people[-1].id != track.person.id
        return people

    def _look_where_expected(self, left: np.ndarray, right: np.ndarray, track: Track, now: float) -> Person | None:
        crop = person_window(track.person, self.rig, self._network.size, shift=track.shift(now))
        if crop is None:
            return None
        crop = steady(track.person.crop, crop)
        person = self._network.look(self.rig, left, right, crop, "fine")
        return person if accepted(person, KEEP * self.min_confidence) else None

    def _newcomer(
        self, left: np.ndarray, right: np.ndarray, people: Sequence[Person], missing: Sequence[Track], now: float
    ) -> Person | None:
        """Somebody who is not followed yet, or has been missing for a moment, if it is time to look."""
        if not people:
            return self._search.somebody(left, right, self.min_confidence)
        if len(people) >= self.max_people:
            return None
        if self._pairs % SEARCH_EVERY == 0:
            return self._search.somebody_else(left, right, self.min_confidence, people)
        if missing:
            latest = max(missing, key=lambda track: track.stamp)
            person = self._look_where_expected(left, right, latest, now)
            # There was no glimpse of them: they were expected there.
            if person is not None and self._search.weigh(person, person).presence >= self.min_confidence:
                return None if any(person.is_same(other) for other in people) else person
        return None

    def _identified(self, person: Person, now: float, tracks: Sequence[Track]) -> Person:
        """The person with the id of the nearest of the tracks that may be of the same one, or with a new id."""
        known = [track for track in tracks if track.recognises(person.joints, now)]
        if known:
            nearest = min(known, key=lambda track: track.distance(person.joints))
            person = replace(person, id=nearest.person.id)
            self._tracks[person.id] = nearest.moved(person, now)
        else:
            person = replace(person, id=self._next_id)
            self._next_id += 1
            self._tracks[person.id] = Track(person, np.zeros((2, 2)), now)
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
