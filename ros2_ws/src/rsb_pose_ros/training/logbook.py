"""What a training run writes down: a line of JSON per few steps, the same for TensorBoard, and pictures to look at."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
from torch.utils.tensorboard import SummaryWriter


class Logbook:
    """log.jsonl, TensorBoard's events and pictures/ in a run's folder; goes on behind `step`, where the run does."""

    def __init__(self, folder: Path, step: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        _forget_after(step, folder / "log.jsonl")
        self._lines = (folder / "log.jsonl").open("a")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self._recent: list[dict[str, float]] = []

    def __enter__(self) -> Logbook:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._board.close()

    def add(self, terms: dict[str, float]) -> None:
        """Loss terms of one step."""
        self._recent.append(terms)

    def numbers(self, step: int) -> None:
        """Write the means of the terms added since the last time: single batches differ more than training changes."""
        names = dict.fromkeys(name for terms in self._recent for name in terms)
        means = {name: _mean([terms[name] for terms in self._recent if name in terms]) for name in names}
        self._recent.clear()
        self._lines.write(json.dumps({"step": step, **{k: round(v, 4) for k, v in means.items()}}) + "\n")
        self._lines.flush()
        for name, value in means.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, sheet: np.ndarray) -> None:
        """A picture (H, W, 3) uint8 BGR of how things are."""
        path = self.folder / "pictures" / f"{step:07}.jpg"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), sheet)
        self._board.add_image("found over truth", sheet[..., ::-1].copy(), step, dataformats="HWC")


def _forget_after(step: int, lines: Path) -> None:
    """Leave out what a killed run wrote behind its last checkpoint: those steps are taken again."""
    if lines.exists():
        kept = [line for line in lines.read_text().splitlines() if json.loads(line)["step"] <= step]
        lines.write_text("".join(f"{line}\n" for line in kept))


def _mean(values: list[float]) -> float:
    """Of the finite ones; NaN if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def as_text(terms: dict[str, float]) -> dict[str, str]:
    """For a progress bar."""
    return {k: f"{v:.3f}" for k, v in terms.items()}
