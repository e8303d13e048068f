"""What searches of whole pictures have answered, and the file that keeps it: what presences are fitted to."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from rsb_pose_ros.inference.presence import EVIDENCE


@dataclass(frozen=True)
class Answers:
    """Everybody whom searches have looked at closely. evidence: (N, E) of presence.EVIDENCE; score: (N,) mean confidence;
    right: (N,) bool, they are there; picture: (N,) number of the whole picture; empty: (N,) bool, nobody is in it."""

    evidence: np.ndarray
    score: np.ndarray
    right: np.ndarray
    picture: np.ndarray
    empty: np.ndarray

    def only(self, kept: np.ndarray) -> Answers:
        """Those answers."""
        return Answers(*(getattr(self, field.name)[kept] for field in fields(self)))

    @property
    def people(self) -> np.ndarray:
        """(N,) bool: right ones. A wrong one in a picture with people is neither: it may be somebody who is hardly seen."""
        return self.right & ~self.empty

    def fault(self) -> str:
        """What is wrong with them, for a sentence; empty if nothing is."""
        count = len(self.score)
        if self.evidence.shape != (count, len(EVIDENCE)):
            return (
                f"evidence has shape {self.evidence.shape}; expected ({count}, {len(EVIDENCE)}): {', '.join(EVIDENCE)}"
            )
        if any(column.shape != (count,) for column in (self.score, self.right, self.picture, self.empty)):
            return f"columns have different lengths; expected {count} in each"
        return "" if np.isfinite(self.evidence).all() and np.isfinite(self.score).all() else "numbers are not finite"


@dataclass(frozen=True)
class Source:
    """Where answers are from. sha256: of the model; pairs, rooms: whole pictures with people, and empty rooms."""

    sha256: str
    pairs: int
    rooms: int


def save(path: Path, answers: Answers, source: Source) -> None:
    """Write an .npz with both. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **vars(answers), source=_row(source))


def _row(source: Source) -> np.ndarray:
    return np.array([source.sha256, str(source.pairs), str(source.rooms)])


def load(path: Path, source: Source) -> Answers:
    """What `save` has written of the same source. Raises ValueError that names the file and what it holds instead."""
    wanted = [field.name for field in fields(Answers)]
    try:
        with np.load(path) as arrays:
            missing = [name for name in (*wanted, "source") if name not in arrays]
            columns = {name: arrays[name] for name in wanted if name in arrays}
            found = tuple(map(str, arrays["source"])) if not missing else ()
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error}); expected what --answers wrote: remove it") from error
    if missing:
        raise ValueError(f"{path}: has no {', '.join(missing)}; expected what --answers wrote: remove it")
    expected = tuple(map(str, _row(source)))
    if found != expected:
        found_text, wanted_text = (f"{s[:12]}…, {p} pairs, {r} empty rooms" for s, p, r in (found, expected))
        raise ValueError(f"{path}: is of model {found_text}; expected {wanted_text}: give another --answers")
    answers = Answers(**columns)
    if fault := answers.fault():
        raise ValueError(f"{path}: {fault}: remove it")
    return answers
