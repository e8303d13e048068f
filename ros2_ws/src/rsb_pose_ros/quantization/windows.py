"""What calibrates and judges an INT8 model: windows as the network takes them, with the truth where it is known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from rsb_pose_ros.inference.estimator import StereoPoseEstimator
from rsb_pose_ros.quantization.ranges import Feed
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.stereo import project


class Pair(Protocol):
    """A raw stereo pair; it may have a `truth`, (17, 3) metres in the left rectified optical frame, or None."""

    @property
    def left(self) -> np.ndarray: ...
    @property
    def right(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Windows:
    """feeds: of the graph, crops (1, 2, S, S, 3) uint8 and projections (1, 2, 3, 4) float32; truth: (N, 17, 3) metres,
    NaN where unknown or outside a window; pairs: how many stereo pairs they are from; found: in how many of these
    somebody was found."""

    feeds: list[Feed]
    truth: np.ndarray
    pairs: int
    found: int

    def __len__(self) -> int:
        return len(self.feeds)

    @property
    def has_truth(self) -> bool:
        """Whether any joint's true place is known, so that errors can be measured."""
        return bool(np.isfinite(self.truth).all(-1).any())

    @property
    def sha256(self) -> str:
        """Of all that goes into the network, in its order."""
        digest = hashlib.sha256()
        for feed in self.feeds:
            for name in sorted(feed):
                digest.update(np.ascontiguousarray(feed[name]).tobytes())
        return digest.hexdigest()


def windows_of(estimator: StereoPoseEstimator, pairs: Iterable[Pair]) -> Windows:
    """What goes into the network while each pair is searched from anew: coarse windows and closer looks.

    Only closer looks have a truth: in a window of the whole view a person is small, and its pose a first guess.
    """
    feeds: list[Feed] = []
    truths: list[np.ndarray] = []
    current: list[np.ndarray | None] = [None]

    def keep(crops: np.ndarray, projections: np.ndarray, stage: str) -> None:
        feeds.append({"crops": crops[None].copy(), "projections": projections[None].astype(np.float32)})
        truths.append(seen_joints(current[0] if stage == "fine" else None, projections, crops.shape[1]))

    estimator.observer = keep
    count = found = 0
    try:
        for pair in pairs:
            current[0] = getattr(pair, "truth", None)
            estimator.reset()
            found += bool(estimator.estimate(pair.left, pair.right))
            count += 1
    finally:
        estimator.observer = None
        estimator.reset()
    return Windows(feeds, np.array(truths).reshape(-1, JOINT_COUNT, 3), count, found)


def synthetic_windows(
    ranges: Path,
    size: int,
    shared: Path,
    bodies: Path,
    split: str,
    seeds: Sequence[int],
    progress: Iterable[int] | None = None,
) -> Windows:
    """Rendered pairs (data/synthetic) of the given seeds; size: of the network's windows, pixels; split: train or val;
    progress: the seeds, shown as a bar.

    Raises FileNotFoundError naming what is missing.
    """
    from rsb_pose_ros.data.synthetic.config import SyntheticConfig
    from rsb_pose_ros.data.synthetic.generator import SyntheticPairs

    generator = SyntheticPairs(SyntheticConfig.from_yaml(ranges, size), shared, bodies, split)
    samples = [generator.sample(seed) for seed in (progress or seeds)]
    feeds = [{"crops": s.crops[None], "projections": s.projections[None].astype(np.float32)} for s in samples]
    truth = [
        seen_joints(None if s.search or not s.present else s.joints, s.projections, s.crops.shape[1]) for s in samples
    ]
    return Windows(feeds, np.array(truth).reshape(-1, JOINT_COUNT, 3), len(samples), sum(s.present for s in samples))


def seen_joints(joints: np.ndarray | None, projections: np.ndarray, size: int) -> np.ndarray:
    """(17, 3) joints that both windows of `size` pixels show; the others, or all where there are none, are NaN."""
    if joints is None:
        return np.full((JOINT_COUNT, 3), np.nan)
    keypoints = project(joints[None].astype(np.float64), projections.astype(np.float64))[0]
    inside = ((keypoints >= 0) & (keypoints <= size - 1)).all((0, 2))
    return np.where(inside[:, None], joints, np.nan)
