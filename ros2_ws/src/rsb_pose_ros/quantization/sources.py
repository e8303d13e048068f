"""Where windows come from that calibrate and judge: a recording, a folder of pictures, or pairs rendered now."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.bags.folder import StereoFolder
from rsb_pose_ros.inference import ModelError, StereoPoseEstimator
from rsb_pose_ros.inference.card import STEREO_POSE, read_card
from rsb_pose_ros.quantization.windows import Windows, synthetic_windows, windows_of

SYNTHETIC = "synthetic"
CALIBRATION_SEED, HELD_OUT_SEED = 2_500_000_000, 2_600_000_000
"""First seeds of rendered pairs; no training reaches them."""


@dataclass(frozen=True)
class Sources:
    """calibration, held_out: a path or SYNTHETIC; pairs, held_out_pairs: how many are wanted, spread evenly.

    ranges, shared, bodies: what pairs are rendered from; threads: of ONNX Runtime, 0 leaves it to it.
    """

    calibration: str
    held_out: str
    pairs: int
    held_out_pairs: int
    ranges: Path
    shared: Path
    bodies: Path
    threads: int = 0


def gather(sources: Sources, model: Path) -> tuple[Windows, Windows]:
    """Windows to calibrate with and to judge with, from different pairs.

    Raises ModelError where nobody is found; ValueError, OSError, BagError, CalibrationError for a source that is none.
    """
    other = sources.held_out
    share = 2 if same_source(sources.calibration, other) else 1
    calibration = windows(sources, model, 0, share)
    held_out = windows(sources, model, 1, share)
    for source, found in ((sources.calibration, calibration), (other, held_out)):
        if not found.found:
            count = "1 pair" if found.pairs == 1 else f"{found.pairs} pairs"
            raise ModelError(f"{source}: nobody was found in {count}; expected people, whose crops set the ranges")
    return calibration, held_out


def windows(sources: Sources, model: Path, role: int, share: int) -> Windows:
    """Windows that serve a role, 0 to calibrate, 1 to judge; share: how many roles share a recording pair by pair."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    source = sources.held_out if role else sources.calibration
    wanted = sources.held_out_pairs if role else sources.pairs
    if source == SYNTHETIC:
        first = HELD_OUT_SEED if role else CALIBRATION_SEED
        seeds = range(first, first + wanted)
        bar = tqdm(seeds, unit="pair", desc="rendering", disable=quiet)
        split = "val" if role else "train"
        size = read_card(model, STEREO_POSE).image_size
        assert size is not None, "read_card asks for it in a card of this task"
        return synthetic_windows(sources.ranges, size, sources.shared, sources.bodies, split, seeds, bar)
    with open_pairs(Path(source)) as opened:
        if not opened.pair_count:
            raise ValueError(f"{source}: holds no stereo pairs; expected some with people in them")
        estimator = StereoPoseEstimator(model, opened.rig(), threads=sources.threads, exact_model=True)
        # Both roles count the same pairs, so that none serves for both.
        most = 2 * max(sources.pairs, sources.held_out_pairs) if share == 2 else wanted
        total = min(most, opened.pair_count)
        own = places(total, wanted, role, share)
        chosen = (pair for i, pair in enumerate(opened.pairs(limit=total)) if i in own)
        return windows_of(estimator, tqdm(chosen, unit="pair", desc="cutting windows", disable=quiet))


def same_source(one: str, other: str) -> bool:
    """Whether two sources are the same recording, in whichever way its path is written."""
    if SYNTHETIC in (one, other):
        return one == other
    return Path(one).resolve() == Path(other).resolve()


def places(total: int, wanted: int, role: int, share: int) -> set[int]:
    """Which of `total` pairs serve a role, `wanted` at most, spread evenly; with two roles each takes every other pair.

    A single pair has to serve for both.
    """
    own = range(role % share, total, share) or range(total)
    return {own[round(i * (len(own) - 1) / max(min(wanted, len(own)) - 1, 1))] for i in range(min(wanted, len(own)))}


def open_pairs(path: Path) -> AbstractContextManager[Any]:
    """A recording, or a folder of pictures."""
    if path.is_dir() and (path / "calibration.yaml").exists():
        return StereoFolder(path)
    return StereoBag(path)
