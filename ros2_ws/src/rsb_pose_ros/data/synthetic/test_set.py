"""`synthetic-test`: frozen pairs that no training sees, by seed, of bodies, motions, rooms and textures kept for it.

A version stands for pictures as they are: whatever changes what the generator draws must raise `version` in
config/synthetic_test.yaml, and figures of different versions must not be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.data.sample import StereoSample, stacked
from rsb_pose_ros.data.synthetic.config import SyntheticConfig, read_yaml
from rsb_pose_ros.data.synthetic.generator import SyntheticPairs

SAME_HEIGHT_M = 0.003
"""Computers bake the same bodies, but for the last digits."""


@dataclass(frozen=True)
class TestSetDefinition:
    """version: of pictures and labels; first_seed, pairs: which ones; bodies: heights at rest of the pack's held-out bodies,
    metres; ranges: what they are drawn from."""

    __test__ = False  # not a test case, whatever its name

    version: int
    first_seed: int
    pairs: int
    bodies: tuple[float, ...]
    ranges: SyntheticConfig

    @classmethod
    def from_yaml(cls, path: str | Path) -> TestSetDefinition:
        """Read the file. Raises ValueError naming the file and the key, FileNotFoundError when it is missing."""
        content: dict[str, Any] = read_yaml(path)
        expected = {"version", "first_seed", "pairs", "bodies", "ranges"}
        if not isinstance(content, dict) or set(content) != expected:
            found = f"keys are {sorted(map(str, content))}" if isinstance(content, dict) else f"holds {content!r:.40}"
            raise ValueError(f"{path}: {found}; expected {sorted(expected)}")
        for key in ("version", "first_seed", "pairs"):
            if not isinstance(content[key], int) or content[key] < 0:
                raise ValueError(f"{path}: {key}: {content[key]!r}; expected a whole number from 0 on")
        heights = content["bodies"]
        if not isinstance(heights, list) or not all(isinstance(h, float) for h in heights):
            raise ValueError(f"{path}: bodies: {heights!r}; expected heights in metres")
        ranges = SyntheticConfig.from_mapping(content["ranges"], f"{path}: ranges")
        return cls(int(content["version"]), int(content["first_seed"]), int(content["pairs"]), tuple(heights), ranges)


class SyntheticTestSet:
    """The frozen pairs, a sequence; each is rendered when it is asked for."""

    def __init__(
        self, definition: str | Path, shared: Path, pack: Path, baseline: float | None = None, size: int | None = None
    ) -> None:
        """definition: config/synthetic_test.yaml; others as for SyntheticPairs, whose errors it raises.

        baseline: metres; the same people in the same rooms, before rigs that all have this one. size: side of the windows
        in pixels, for a network that takes others than the definition's; they show the same.
        """
        self.definition = TestSetDefinition.from_yaml(definition)
        ranges = self.definition.ranges
        if baseline is not None:
            ranges = replace(ranges, baseline=(baseline, baseline), baseline_wide=(baseline, baseline))
        if size is not None:
            ranges = replace(ranges, size=size)
        self._pairs = SyntheticPairs(ranges, shared, pack, split="val")
        self._check_bodies(pack)

    def _check_bodies(self, pack: Path) -> None:
        """Other bodies make another test set, whatever its version says."""
        found = self._pairs.pack.heights[self._pairs.bodies].astype(float).round(3)
        expected = self.definition.bodies
        if len(found) != len(expected) or np.abs(found - expected).max() > SAME_HEIGHT_M:
            raise ValueError(
                f"body pack {pack}: held-out bodies are {found.tolist()} m high; synthetic-test version "
                f"{self.definition.version} expects {list(expected)}: python tools/synthesize.py bake, with its defaults"
            )

    def __len__(self) -> int:
        return self.definition.pairs

    def __getitem__(self, index: int) -> StereoSample:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of synthetic-test; expected 0 to {len(self) - 1}")
        return self._pairs.sample(self.definition.first_seed + index)

    def batches(self, size: int, pairs: int | None = None) -> Iterator[dict[str, np.ndarray]]:
        """The first `pairs` (all, if None) in stacks of at most `size`: the arrays of StereoSample but masks, by name."""
        return stacked(self, size, pairs)
