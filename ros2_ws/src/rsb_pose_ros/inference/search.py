"""Finding somebody who is not followed yet: windows over the whole view, then closer looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.inference.network import StereoPoseNetwork
from rsb_pose_ros.inference.person import Person
from rsb_pose_ros.inference.presence import evidence_of
from rsb_pose_ros.inference.track import KEEP, plausible
from rsb_pose_ros.inference.windows import person_window, search_windows, searched_bounds
from rsb_pose_ros.stereo import StereoRig

GLIMPSE = 0.2
"""A search window in which a person is small needs only this share of min_confidence to be looked at closely."""
CLOSER_LOOKS = (1.3, 1.15)
"""Margins of the windows of closer looks: a glimpse does not know well where a person ends."""


@dataclass(frozen=True)
class Candidate:
    """Somebody who was looked at closely. evidence: (E,) of presence.EVIDENCE; presence: how sure it is, 0…1, that they are
    somebody: what the model's card makes of the evidence, the mean confidence where it says nothing of that."""

    person: Person
    evidence: np.ndarray
    presence: float


def accepted(person: Person, score: float) -> bool:
    """Whether an answer of the network is somebody: sure enough, and shaped like a person."""
    return person.score >= score and plausible(person.joints, person.confidence)


class PersonSearch:
    """Searches the views of one rig, a part of them in each pair.

    candidate: whoever was looked at closely last, accepted or not; None is put there before each pair.
    """

    def __init__(self, network: StereoPoseNetwork, rig: StereoRig) -> None:
        self.windows = search_windows(rig, network.size, network.disparity_range)
        self._network, self._rig = network, rig
        self._bounds = searched_bounds(rig)
        self.start_over()

    def start_over(self, first_tile: int = 0) -> None:
        """Take the windows in their order again, from that tile on (they go round)."""
        self._tile, self._window = first_tile, 0
        self.candidate: Candidate | None = None

    def somebody(self, left: np.ndarray, right: np.ndarray, min_confidence: float) -> Person | None:
        """The person who is seen best in the whole view or in the next of its tiles: at most 4 runs of the network."""
        glimpse = self._network.look(self._rig, left, right, self.windows[0], "coarse")
        if not accepted(glimpse, min_confidence) and len(self.windows) > 1:
            # A faint glimpse of the whole view must not keep a person from being seen who fills a tile.
            window = self.windows[1 + self._tile % (len(self.windows) - 1)]
            self._tile += 1
            closer = self._network.look(self._rig, left, right, window, "coarse")
            glimpse = max(glimpse, closer, key=lambda person: person.score)
        return self._closer(left, right, glimpse, min_confidence)

    def somebody_else(
        self, left: np.ndarray, right: np.ndarray, min_confidence: float, known: Sequence[Person]
    ) -> Person | None:
        """Whoever is seen in the next window when those known are covered up: one run, at most three.

        The network knows one person; it is the better seen one for whom it decides, pair after pair.
        """
        window = self.windows[self._window % len(self.windows)]
        self._window += 1
        glimpse = self._network.look(self._rig, left, right, window, "coarse", covered=known)
        found = self._closer(left, right, glimpse, min_confidence, known)
        return None if found is None or any(found.is_same(person) for person in known) else found

    def _closer(
        self,
        left: np.ndarray,
        right: np.ndarray,
        glimpse: Person,
        min_confidence: float,
        covered: Sequence[Person] = (),
    ) -> Person | None:
        if not accepted(glimpse, GLIMPSE * min_confidence):
            return None
        person = glimpse
        for margin in CLOSER_LOOKS:
            crop = person_window(person, self._rig, self._network.size, margin=margin)
            if crop is None:
                return None
            person = self._network.look(self._rig, left, right, crop, "fine", covered=covered)
            if not accepted(person, GLIMPSE * min_confidence):
                return None
        # Whoever would be lost in the next pair is not begun with.
        sure = self.weigh(glimpse, person).presence >= min_confidence
        return person if sure and accepted(person, KEEP * min_confidence) else None

    def weigh(self, glimpse: Person, person: Person) -> Candidate:
        """How sure it is that somebody is there of whom there was a glimpse and a closer look; kept as `candidate`."""
        evidence = evidence_of(glimpse, person, self._bounds)
        presence = self._network.presence
        sureness = float(presence.probability(evidence)) if presence else person.score
        self.candidate = Candidate(person, evidence, sureness)
        return self.candidate
