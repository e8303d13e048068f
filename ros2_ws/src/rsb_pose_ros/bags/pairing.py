"""Pairing by stamp, the same from run to run: each left picture with the nearest right one, both ways."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

DEFAULT_TOLERANCE_NS = 10_000_000


def tolerance_of(left: Sequence[int], right: Sequence[int]) -> int:
    """Nanoseconds by which the stamps of a pair may differ: a third of the shorter median period, at most 10 ms.

    Half a period or more would pair everything with its neighbour after one lost picture.
    """
    periods = [float(np.median(np.diff(stamps))) for stamps in (left, right) if len(stamps) > 1]
    positive = [period for period in periods if period > 0]
    return min([DEFAULT_TOLERANCE_NS, *(int(period / 3) for period in positive)])


def pair_stamps(left: Sequence[int], right: Sequence[int], tolerance: int) -> list[tuple[int, int]]:
    """Indices (left, right) of stamps that are mutually nearest and differ by at most `tolerance`, in left's order.

    Stamps are sorted nanoseconds. The one-to-one match does not depend on the order in which messages arrived.
    """
    pairs = []
    for i, stamp in enumerate(left):
        j = _nearest(right, stamp)
        if j is not None and abs(right[j] - stamp) <= tolerance and _nearest(left, right[j]) == i:
            pairs.append((i, j))
    return pairs


def _nearest(stamps: Sequence[int], stamp: int) -> int | None:
    """Index of the nearest stamp; of two equally near ones the earlier."""
    if not len(stamps):
        return None
    after = bisect_left(stamps, stamp)
    around = [i for i in (after - 1, after) if 0 <= i < len(stamps)]
    return min(around, key=lambda i: (abs(stamps[i] - stamp), i))
