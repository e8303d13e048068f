"""How long each stage of a pair's way takes: the last few hundred durations and their percentiles."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

WINDOW = 300


class StageTimes:
    """Durations in seconds by stage, from any thread; only the last WINDOW of each are kept."""

    def __init__(self) -> None:
        self._durations: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Note one duration."""
        with self._lock:
            self._durations.setdefault(stage, deque(maxlen=WINDOW)).append(seconds)

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """(p50, p95) in milliseconds by stage, in the order in which the stages were first seen."""
        with self._lock:
            copies = {stage: list(values) for stage, values in self._durations.items()}
        return {stage: tuple(1e3 * np.percentile(values, (50, 95))) for stage, values in copies.items()}
