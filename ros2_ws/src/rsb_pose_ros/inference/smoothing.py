"""The One-Euro filter (Casiez, Roussel, Vogel, CHI 2012) on joints: calm when still, quick when moving.

Off in the estimator; the ROS node switches it on by a parameter. The output depends on values and stamps alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rsb_pose_ros.inference.person import Person

FORGET_S = 1.0


@dataclass
class OneEuroFilter:
    """A low-pass filter whose cutoff rises with speed, for arrays (..., 3) of positions in metres.

    min_cutoff: Hz at rest, lower is calmer; beta: Hz per m/s, higher follows faster motion with less lag;
    derivative_cutoff: Hz of the speed estimate. Speed is that of the whole point, so that the path keeps its direction.
    """

    min_cutoff: float = 1.5
    beta: float = 3.0
    derivative_cutoff: float = 1.0
    _time: float | None = field(default=None, init=False, repr=False)
    _value: np.ndarray | None = field(default=None, init=False, repr=False)
    _velocity: np.ndarray | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.min_cutoff <= 0 or self.derivative_cutoff <= 0 or self.beta < 0:
            raise ValueError(
                f"min_cutoff {self.min_cutoff}, beta {self.beta}, derivative_cutoff {self.derivative_cutoff}; "
                "expected cutoffs > 0 Hz and beta ≥ 0"
            )

    def filter(self, values: np.ndarray, time: float) -> np.ndarray:
        """The smoothed values (..., 3) at `time` in seconds. A point that is NaN stays NaN and starts anew afterwards.

        A time that does not advance, or jumps by more than FORGET_S, starts the filter anew.
        """
        values = np.asarray(values, np.float64)
        if self._time is None or self._value is None or self._velocity is None or not 0 < time - self._time <= FORGET_S:
            self._value, self._velocity = values.copy(), np.zeros_like(values)
        else:
            step = time - self._time
            fresh = ~np.isfinite(self._value).all(-1, keepdims=True)
            previous = np.where(fresh, values, self._value)
            slope = (values - previous) / step
            gain = _gain(np.full(1, self.derivative_cutoff), step)
            velocity = np.where(fresh, 0.0, self._velocity + gain * (slope - self._velocity))
            velocity = np.nan_to_num(velocity, nan=0.0)
            speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
            self._value = previous + _gain(self.min_cutoff + self.beta * speed, step) * (values - previous)
            self._velocity = velocity
        self._time = time
        return self._value.astype(np.float32)


def _gain(cutoff: np.ndarray, step: float) -> np.ndarray:
    return 1 / (1 + 1 / (2 * math.pi * cutoff * step))


@dataclass
class PersonSmoother:
    """One filter per person id; the filters of people who were not seen for FORGET_S are dropped.

    Only Person.joints are smoothed: initial joints, keypoints and covariance stay the measurement.
    """

    min_cutoff: float = 1.5
    beta: float = 3.0
    derivative_cutoff: float = 1.0
    _filters: dict[int, tuple[float, OneEuroFilter]] = field(default_factory=dict, init=False, repr=False)

    def smooth(self, people: Sequence[Person], time: float) -> list[Person]:
        """The same people with smoothed joints; time in seconds, of the capture."""
        self._filters = {k: v for k, v in self._filters.items() if 0 <= time - v[0] <= FORGET_S}
        smoothed = []
        for person in people:
            _, one_euro = self._filters.get(
                person.id, (time, OneEuroFilter(self.min_cutoff, self.beta, self.derivative_cutoff))
            )
            self._filters[person.id] = (time, one_euro)
            smoothed.append(replace(person, joints=one_euro.filter(person.joints, time)))
        return smoothed

    def reset(self) -> None:
        """Forget all people."""
        self._filters.clear()
