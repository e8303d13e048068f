"""The estimator before many rigs, one after the other: whole pictures of benchmarks come from a rig of their own each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from rsb_pose_ros.benchmark.whole_pictures import WholePair
from rsb_pose_ros.inference import StereoPoseEstimator

Outcome = TypeVar("Outcome")


class Onlooker:
    """One session on the CPU, of exactly this model. settings: of StereoPoseEstimator. Raises as it does."""

    def __init__(self, model: Path, threads: int, **settings: Any) -> None:
        self._settings = {"model": model, "threads": threads, "providers": ["cpu"], "exact_model": True, **settings}
        self._estimator: StereoPoseEstimator | None = None

    def outcomes(
        self,
        look: Callable[[StereoPoseEstimator, WholePair], Outcome],
        pairs: Iterable[WholePair],
        count: int,
        what: str,
        max_people: int = 1,
        tiles_in_turn: bool = False,
    ) -> list[Outcome]:
        """What `look` says of each of `count` pairs.

        tiles_in_turn: each pair has another of its tiles searched first, as the pairs of a standing scene have.
        """
        results = []
        for number, pair in enumerate(tqdm(pairs, total=count, desc=what, unit="pair")):
            if self._estimator is None:
                self._estimator = StereoPoseEstimator(rig=pair.rig, **self._settings)
            self._estimator.max_people = max_people
            self._estimator.use_rig(pair.rig, first_tile=number if tiles_in_turn else 0)
            results.append(look(self._estimator, pair))
        return results
