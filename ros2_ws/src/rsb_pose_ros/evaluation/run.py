"""Running the estimator over a recording, and keeping everything that a report needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rsb_pose_ros.bags import StereoPair
from rsb_pose_ros.inference import Person, StereoPoseEstimator
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.stereo import StereoRig, project


@dataclass(frozen=True)
class Observation:
    """What the estimator said about one pair. person: None if nobody was found; truth: (17, 3) metres or None;
    runs: how often the network ran; elapsed_s: time of the whole estimate; cut_s, network_s: parts of it."""

    stamp_ns: int
    person: Person | None
    truth: np.ndarray | None
    runs: int
    elapsed_s: float
    cut_s: float
    network_s: float


@dataclass(frozen=True)
class PoseTable:
    """Observations with ground truth as arrays: N pairs, NaN where nothing was found.

    joints, initial, truth: (N, 17, 3) metres; covariance: (N, 17, 3, 3) m²; confidence: (N, 17), 0 where nothing was
    found; keypoints, truth_keypoints: (N, 2, 17, 2) rectified pixels; window_side: (N,) pixels.
    """

    joints: np.ndarray
    initial: np.ndarray
    truth: np.ndarray
    covariance: np.ndarray
    confidence: np.ndarray
    keypoints: np.ndarray
    truth_keypoints: np.ndarray
    window_side: np.ndarray


def observe(
    estimator: StereoPoseEstimator,
    pairs: Iterable[StereoPair],
    watch: Callable[[StereoPair, Person | None], None] | None = None,
) -> list[Observation]:
    """Estimate all pairs from a fresh start, in order; `watch` sees each pair with its person (for pictures)."""
    estimator.reset()
    observations = []
    for pair in pairs:
        start = time.perf_counter()
        people = estimator.estimate(pair.left, pair.right, pair.stamp)
        elapsed = time.perf_counter() - start
        person = people[0] if people else None
        timing = estimator.timing
        observations.append(
            Observation(pair.stamp_ns, person, pair.truth, timing.runs, elapsed, timing.cut_s, timing.network_s)
        )
        if watch is not None:
            watch(pair, person)
    return observations


def tabulate(observations: Iterable[Observation], rig: StereoRig) -> PoseTable:
    """The observations that have ground truth, as arrays."""
    known = [o for o in observations if o.truth is not None]
    nothing = np.full((JOINT_COUNT, 3), np.nan)

    def column(name: str, blank: np.ndarray) -> np.ndarray:
        rows = [blank if o.person is None else getattr(o.person, name) for o in known]
        return np.array(rows, np.float64).reshape(len(known), *blank.shape)

    truth = np.array([o.truth for o in known], np.float64).reshape(len(known), JOINT_COUNT, 3)
    return PoseTable(
        joints=column("joints", nothing),
        initial=column("joints_initial", nothing),
        truth=truth,
        covariance=column("covariance", np.full((JOINT_COUNT, 3, 3), np.nan)),
        confidence=column("confidence", np.zeros(JOINT_COUNT)),
        keypoints=column("keypoints", np.full((2, JOINT_COUNT, 2), np.nan)),
        truth_keypoints=project(truth, rig.projections) if len(known) else np.zeros((0, 2, JOINT_COUNT, 2)),
        window_side=np.array([np.nan if o.person is None else o.person.crop.side for o in known]),
    )
