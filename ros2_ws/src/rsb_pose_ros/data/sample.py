"""What every data set of this package yields: one stereo pair of crops with the truth about the person in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

OUTSIDE, HIDDEN, SELF_HIDDEN, VISIBLE = range(4)
"""Visibility of a joint in a view: not in the picture, behind another object, behind the person's own body, visible.
Data sets that nobody annotated for occlusion know only OUTSIDE and VISIBLE."""


@dataclass(frozen=True)
class StereoSample:
    """One pair as the network takes it, S pixels square.

    crops: (2, S, S, 3) uint8 BGR; projections: (2, 3, 4) float32 crop cameras as in CameraInfo.P, metres × pixels;
    joints: (17, 3) float32 metres, left rectified optical frame, NaN where nobody is; keypoints: (2, 17, 2) float32
    crop pixels; visibility: (2, 17) uint8, 0 outside, 1 hidden by an object, 2 by the body itself, 3 visible;
    present: whether there is a person; boxes: (2, 4) float32 x0, y0, x1, y1 of the whole person in crop pixels, hidden
    parts included, NaN where unknown; masks: (2, S, S) bool, pixels that show the person, or None where nobody drew
    them; search: whether the crops are windows of the whole view (True) or of a followed person.
    """

    crops: np.ndarray
    projections: np.ndarray
    joints: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    present: bool
    boxes: np.ndarray
    masks: np.ndarray | None = None
    search: bool = False

    @property
    def disparity(self) -> np.ndarray:
        """(17,) u_left − u_right in crop pixels, the windows' own offsets included; NaN where nobody is."""
        return self.keypoints[0, :, 0] - self.keypoints[1, :, 0]

    @property
    def baseline(self) -> float:
        """Metres."""
        return float(-self.projections[1, 0, 3] / self.projections[1, 0, 0])


class Samples(Protocol):
    """A data set whose pairs can be asked for by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> StereoSample: ...


def stacked(samples: Samples, size: int, count: int | None = None) -> Iterator[dict[str, np.ndarray]]:
    """The first `count` (all, if None) in stacks of at most `size`: the arrays of StereoSample but masks, by name."""
    names = ("crops", "projections", "joints", "keypoints", "visibility", "present", "boxes", "search")
    total = len(samples) if count is None else min(count, len(samples))
    for first in range(0, total, size):
        chosen = [samples[i] for i in range(first, min(first + size, total))]
        yield {name: np.stack([getattr(s, name) for s in chosen]) for name in names}
