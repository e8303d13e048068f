"""A found person counts if somebody is there, and tries are counted."""

from types import SimpleNamespace

import numpy as np
import pytest

from rsb_pose_ros.benchmark.finder import (
    COMPANY_PAIRS,
    TRIES,
    Attempt,
    Company,
    attempt,
    company,
    company_shares,
    is_there,
    markdown,
    shares,
    text,
)
from rsb_pose_ros.stereo import project
from tests.inference.blob_scene import pinhole_rig, standing_at

RIG = pinhole_rig()
PERSON = standing_at(0.2, 0.0, 3.0).astype(np.float64)
KEYPOINTS = project(PERSON[None], RIG.projections[None])[0]


class Answers:
    """An estimator that says what it was told to say, pair after pair."""

    timing = SimpleNamespace(runs=2)

    def __init__(self, *answers: np.ndarray | list[np.ndarray] | None) -> None:
        self._answers = iter(answers)

    def estimate(self, left: object, right: object) -> list[SimpleNamespace]:
        del left, right
        answer = next(self._answers)
        several = answer if isinstance(answer, list) else [] if answer is None else [answer]
        return [SimpleNamespace(keypoints=keypoints) for keypoints in several]


def look(*answers: np.ndarray | None) -> Attempt:
    return attempt(Answers(*answers), SimpleNamespace(left=0, right=0, rig=RIG, people=PERSON[None]))


def test_tries_are_counted_and_strangers_are_wrong() -> None:
    assert look(None, KEYPOINTS + 2) == Attempt(2, True, pytest.approx(3.0), 1)
    assert look(KEYPOINTS + np.array([300, 0])) == Attempt(1, False, pytest.approx(3.0), 1)
    assert look(*[None] * TRIES) == Attempt(0, False, pytest.approx(3.0), 1)


def test_a_few_lost_joints_do_not_make_a_stranger() -> None:
    keypoints = KEYPOINTS[0].copy()
    keypoints[:6] += 500
    assert is_there(keypoints, PERSON, RIG.projections)
    keypoints[:] = np.nan
    assert not is_there(keypoints, PERSON, RIG.projections)


def in_company(*answers: np.ndarray) -> Company:
    other = standing_at(-1.2, 0.0, 4.0).astype(np.float64)
    pair = SimpleNamespace(left=0, right=0, rig=RIG, people=np.stack([PERSON, other]))
    return company(Answers(*[None] * (COMPANY_PAIRS - 1), list(answers)), pair)


def test_company_counts_who_is_followed_who_is_not_there_and_who_is_followed_twice() -> None:
    other = project(standing_at(-1.2, 0.0, 4.0).astype(np.float64)[None], RIG.projections[None])[0]
    stranger = KEYPOINTS + np.array([300, 0])
    assert in_company(KEYPOINTS, other) == Company(2, 0, 0, 2)
    assert in_company(KEYPOINTS, KEYPOINTS + 2, stranger) == Company(1, 1, 1, 2)
    assert in_company() == Company(0, 0, 0, 2)
    assert company_shares([Company(2, 0, 0, 3), Company(1, 1, 0, 2)]) == {
        "pairs": 2,
        "both": 0.5,
        "one": 0.5,
        "wrong": 0.5,
        "twice": 0,
        "runs": 2.5,
    }


def test_shares_are_of_the_pairs_of_a_part() -> None:
    attempts = [
        Attempt(1, True, 2.0, 1),
        Attempt(3, True, 2.0, 2),
        Attempt(0, False, 4.0, 1),
        Attempt(1, False, 2.1, 1),
    ]
    two = company_shares([Company(2, 0, 0, 3)])
    result = {"model": "m", "pairs": 4, **shares(attempts), "company": two}
    result["metres"] = {"5–6 m": shares(attempts[2:])["all"]}
    assert result["all"] == {"pairs": 4, "found_at_first": 0.25, "found": 0.5, "wrong": 0.25}
    assert result["distance"]["1.5–2.5 m"]["found"] == pytest.approx(2 / 3)
    assert result["people"]["2 people"]["found"] == 1
    assert "| 1.5–2.5 m | 3 | 33 % | 67 % | 33 % |" in markdown(result)
    assert "| 1280×720, 5–6 m | 2 | 0 % | 0 % | 50 % |" in markdown(result)
    assert "within 6 pairs" in text(result)
    assert "both are followed\nin 100 %" in markdown(result)
