"""Recorded poses: what a real estimator triangulated, the truth, and how to split them without deceiving oneself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsb_pose_ros.skeleton import JOINT_COUNT

BLOCK = 100
"""Frames that stay together in a split: neighbours in time are nearly the same picture."""
GUARD = 10
"""Frames at both ends of a training block that nobody trains on, so that no test frame has a training neighbour."""

PARTS = ("all", "training", "held-out")


@dataclass(frozen=True)
class RecordedPoses:
    """triangulated, truth: (N, 17, 3) float32 metres, left camera optical frame; group: (N,) camera pair that saw a pose.

    Groups show the same frames in the same order: frame (N,) counts them from 0 within each group.
    sigma: (N, 17, 3) metres, standard deviations that the estimator stated along the frame's axes, where it did.
    sequence: frames follow each other in time; False: each pose is of another pair, and any split is fair.
    """

    triangulated: np.ndarray
    truth: np.ndarray
    group: np.ndarray
    frame: np.ndarray
    sigma: np.ndarray | None = None
    sequence: bool = True

    @classmethod
    def load(cls, path: str | Path) -> RecordedPoses:
        """Read an .npz with triangulated, ground_truth, group and perhaps sigma and sequence.

        Raises FileNotFoundError or ValueError naming it.
        """
        if not Path(path).exists():
            raise FileNotFoundError(
                f"recorded poses {path}: not found; expected an .npz of triangulated and true poses"
            )
        with np.load(path) as f:
            missing = sorted({"triangulated", "ground_truth", "group"} - set(f))
            if missing:
                raise ValueError(f"recorded poses {path}: lacks {', '.join(missing)}; found {', '.join(sorted(f))}")
            triangulated, truth, group = f["triangulated"], f["ground_truth"], f["group"]
            sigma = f["sigma"].astype(np.float32) if "sigma" in f else None
            sequence = bool(f["sequence"]) if "sequence" in f else True
        expected = (len(group), JOINT_COUNT, 3)
        shapes = [a.shape for a in (triangulated, truth, sigma) if a is not None]
        if any(shape != expected for shape in shapes):
            raise ValueError(f"recorded poses {path}: shapes {', '.join(map(str, shapes))}; expected {expected}")
        frame = np.zeros(len(group), int)
        for one in np.unique(group):
            frame[group == one] = np.arange((group == one).sum())
        return cls(triangulated.astype(np.float32), truth.astype(np.float32), group, frame, sigma, sequence)

    def save(self, path: Path) -> None:
        """Write what `load` reads."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"triangulated": self.triangulated, "ground_truth": self.truth, "group": self.group}
        content["sequence"] = np.array(self.sequence)
        if self.sigma is not None:
            content["sigma"] = self.sigma
        with path.open("wb") as file:
            np.savez_compressed(file, **content)  # type: ignore[arg-type]  # NumPy's stub takes ** for its own options

    def __len__(self) -> int:
        return len(self.group)

    def part(self, name: str) -> RecordedPoses:
        """'all'; 'training': every other block of frames, its ends cut off; 'held-out': the blocks between, whole.

        Of poses that do not follow each other every tenth is held out.
        """
        inside = (self.frame % BLOCK >= GUARD) & (self.frame % BLOCK < BLOCK - GUARD)
        even = self.frame // BLOCK % 2 == 0
        if not self.sequence:
            even, inside = self.frame % 10 != 0, np.ones(len(self), bool)
        chosen = {"all": np.ones(len(self), bool), "training": even & inside, "held-out": ~even}
        if name not in chosen:
            raise ValueError(f"part {name!r} is unknown; expected one of {', '.join(PARTS)}")
        return self[chosen[name]]

    def __getitem__(self, rows: np.ndarray) -> RecordedPoses:
        sigma = None if self.sigma is None else self.sigma[rows]
        return RecordedPoses(
            self.triangulated[rows], self.truth[rows], self.group[rows], self.frame[rows], sigma, self.sequence
        )
