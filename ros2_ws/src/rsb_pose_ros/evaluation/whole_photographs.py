"""Whole photographs, shown to the estimator as a card before both cameras: does it find the people in them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsb_pose_ros.evaluation.photographs import AnnotatedPerson, card_pair, read_picture
from rsb_pose_ros.inference import StereoPoseEstimator

SUFFIXES = (".jpg", ".jpeg", ".png")
TRIES = 6
"""So often a photograph is shown: the estimator looks into another part of it each time."""
RIGHT_SHARE = 0.25
"""Found is who has half of the annotated joints within this share of the box's longer side."""


@dataclass(frozen=True)
class Look:
    """tries: 1 … TRIES until somebody was reported, 0 for nobody; right: it is one of the annotated people."""

    tries: int
    right: bool


def by_picture(people: Sequence[AnnotatedPerson]) -> dict[Path, list[AnnotatedPerson]]:
    """Everybody who is annotated in each picture."""
    pictures: dict[Path, list[AnnotatedPerson]] = {}
    for person in people:
        pictures.setdefault(person.image, []).append(person)
    return pictures


def search(model: Path, people: Sequence[AnnotatedPerson], grey: bool = False, threads: int = 0) -> list[Look]:
    """What the estimator says of each picture. Raises ModelError; ValueError for a picture that cannot be read."""
    return _looks(model, by_picture(people), "whole photographs", grey, threads)


def search_empty(model: Path, folder: Path, grey: bool = False, threads: int = 0) -> list[Look]:
    """The same of all pictures of a folder in which nobody is. Raises as search; ValueError for a folder without any."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no pictures; expected {', '.join(SUFFIXES)}")
    return _looks(model, dict.fromkeys(paths, ()), "empty photographs", grey, threads)


def _looks(
    model: Path, pictures: Mapping[Path, Sequence[AnnotatedPerson]], what: str, grey: bool, threads: int
) -> list[Look]:
    from tqdm import tqdm

    estimator, looks = None, []
    for path, annotated in tqdm(pictures.items(), desc=what, unit="picture"):
        left, right, rig = card_pair(read_picture(path, grey))
        if estimator is None:
            estimator = StereoPoseEstimator(model, rig, providers=["cpu"], threads=threads, exact_model=True)
        estimator.use_rig(rig)
        looks.append(_look(estimator, left, right, annotated))
    return looks


def _look(
    estimator: StereoPoseEstimator, left: np.ndarray, right: np.ndarray, annotated: Sequence[AnnotatedPerson]
) -> Look:
    rig = estimator.rig
    into_picture = rig.cameras[0].matrix @ np.linalg.inv(rig.projections[0, :, :3])
    for tries in range(1, TRIES + 1):
        found = estimator.estimate(left, right)
        if found:
            keypoints = found[0].keypoints[0] @ into_picture[:2, :2].T + into_picture[:2, 2]
            return Look(tries, any(is_one(keypoints, person) for person in annotated))
    return Look(0, False)


def is_one(keypoints: np.ndarray, person: AnnotatedPerson) -> bool:
    """Whether keypoints (17, 2) of the picture lie on an annotated person."""
    off = np.linalg.norm(keypoints - person.keypoints, axis=-1)
    return bool(np.isfinite(off).any() and np.nanmedian(off) <= RIGHT_SHARE * person.box[2:].max())


def summary(looks: Sequence[Look]) -> dict[str, float]:
    """{"pictures", "found_at_first", "found", "somebody_else"}, shares of the pictures."""
    count = len(looks)
    return {
        "pictures": count,
        "found_at_first": sum(look.right and look.tries == 1 for look in looks) / count,
        "found": sum(look.right for look in looks) / count,
        "somebody_else": sum(look.tries > 0 and not look.right for look in looks) / count,
    }
