"""Recorded poses: what a real estimator triangulated, the truth, and how to split them without deceiving oneself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsb_pose_ros.skeleton import JOINT_COUNT

GUARD = 50
"""Frames between the halves that belong to neither: neighbours in time are nearly the same picture."""

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
        """'all'; 'training': the first half of the time, less its last frames; 'held-out': the second half.

        Of poses that do not follow each other every tenth is held out.
        """
        middle = (int(self.frame.max(initial=0)) + 1) // 2
        training, held_out = self.frame < middle - GUARD, self.frame >= middle
        if not self.sequence:
            training, held_out = self.frame % 10 != 0, self.frame % 10 == 0
        chosen = {"all": np.ones(len(self), bool), "training": training, "held-out": held_out}
        if name not in chosen:
            raise ValueError(f"part {name!r} is unknown; expected one of {', '.join(PARTS)}")
        return self[chosen[name]]

    def __getitem__(self, rows: np.ndarray) -> RecordedPoses:
        sigma = None if self.sigma is None else self.sigma[rows]
        return RecordedPoses(
            self.triangulated[rows], self.truth[rows], self.group[rows], self.frame[rows], sigma, self.sequence
        )
