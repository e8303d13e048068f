"""What an INT8 graph costs, against the float graph on the same held-out windows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import onnx
import onnxruntime

from rsb_pose_ros.quantization.ranges import Feed
from rsb_pose_ros.quantization.windows import Windows

SURE = 0.5
"""Joints whose confidence the float model puts lower are guesses in both models, and not compared."""


LOST_MM = 500.0
"""An error beyond counts as this: the joint is lost, and how far off it is said to be is chance. A single joint at twenty
metres would otherwise outweigh everything that rounding does to the others."""


@dataclass(frozen=True)
class Verdict:
    """Millimetres. mpjpe: of the joints with a known truth (LOST_MM at most each), NaN without any; change: to the float
    graph's, on the same joints, with its standard error over the windows; moved: median distance of the sure joints from
    the float graph's."""

    mpjpe: float
    change: float
    change_error: float
    moved: float

    def as_dict(self) -> dict[str, float | None]:
        """Rounded, for a card."""
        return {key: None if np.isnan(value) else round(float(value), 2) for key, value in asdict(self).items()}

    @property
    def cost(self) -> float:
        """What candidates are ranked by: the change where there is a truth to measure it with, else the move."""
        return self.moved if np.isnan(self.change) else self.change


class Judge:
    """Runs graphs on windows that calibrated nothing."""

    def __init__(self, model: onnx.ModelProto, held_out: Windows, threads: int = 1) -> None:
        self.held_out, self.threads = held_out, threads
        joints, confidence = self._answers(model, held_out.feeds)
        self._joints, self._sure = joints, confidence >= SURE
        self._errors = _errors(joints, held_out.truth)
        self.mpjpe = _mean(self._errors)

    def verdict(self, model: onnx.ModelProto, windows: int | None = None) -> Verdict:
        """Judge a graph on the first `windows` held-out windows (all, if None)."""
        chosen = slice(windows)
        joints, _ = self._answers(model, self.held_out.feeds[chosen])
        errors = _errors(joints, self.held_out.truth[chosen])
        before = np.where(np.isnan(errors), np.nan, self._errors[chosen])
        moved = 1000 * np.linalg.norm(joints - self._joints[chosen], axis=-1)[self._sure[chosen]]
        per_window = np.array([_mean(row) for row in errors - before])
        per_window = per_window[np.isfinite(per_window)]
        spread = float(per_window.std() / np.sqrt(len(per_window))) if len(per_window) else float("nan")
        change = _mean(errors) - _mean(before)
        return Verdict(_mean(errors), change, spread, float(np.median(moved)) if moved.size else float("nan"))

    def _answers(self, model: onnx.ModelProto, feeds: list[Feed]) -> tuple[np.ndarray, np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self.threads, 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        answers = [session.run(["joints", "confidence"], feed) for feed in feeds]
        return np.concatenate([a[0] for a in answers]), np.concatenate([a[1] for a in answers])


def _errors(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.minimum(1000 * np.linalg.norm(joints - truth, axis=-1), LOST_MM)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
