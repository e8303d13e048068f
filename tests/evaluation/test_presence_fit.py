"""Fitting what says that somebody is there: it ranks people above ghosts, and keeps its word about empty rooms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsb_pose_ros.evaluation.presence_answers import Answers
from rsb_pose_ros.evaluation.presence_fit import LEAST_ANSWERS, comparison, fit_presence, level_of
from rsb_pose_ros.inference.estimator import MIN_CONFIDENCE
from rsb_pose_ros.inference.presence import EVIDENCE


def answers(people: int = 300, rooms: int = 200, seed: int = 0) -> Answers:
    """Two looks into each empty room; the score knows little, the last of the evidence a lot."""
    generator = np.random.default_rng(seed)
    empty = np.repeat([False, True], [people, 2 * rooms])
    evidence = generator.normal(size=(len(empty), len(EVIDENCE)))
    evidence[:, -1] += 2.5 * empty
    evidence[:, 0] -= 0.5 * empty
    picture = np.r_[np.arange(people), people + np.repeat(np.arange(rooms), 2)]
    right = ~empty & (generator.random(len(empty)) < 0.95)
    return Answers(evidence, evidence[:, 0], right, picture, empty)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 12), st.integers(0, 1000))
def test_so_many_empty_rooms_have_somebody_in_them_and_no_more(ghosts: int, seed: int) -> None:
    given = answers(seed=seed)
    presence = fit_presence(given, ghosts)
    believed = given.empty & (presence.probability(given.evidence) >= MIN_CONFIDENCE)
    assert len(np.unique(given.picture[believed])) == ghosts


def test_weights_point_where_the_evidence_does() -> None:
    weights = fit_presence(answers(), 2).weights
    assert weights[-1] < 0 < weights[0]
    assert abs(weights[-1]) > 3 * np.abs(weights[1:-1]).max()


def test_more_people_are_found_than_by_the_score_at_the_same_number_of_ghosts() -> None:
    rows = comparison(answers(), [0, 2, 8])
    assert [row["ghosts"] for row in rows] == [0, 2, 8]
    assert all(row["presence"] > row["confidence"] for row in rows)
    assert rows[0]["presence"] < rows[2]["presence"] <= 300


def test_levels() -> None:
    values, picture = np.array([0.9, 0.2, 0.8, 0.5]), np.array([1, 1, 2, 3])
    assert [(values >= level_of(values, picture, ghosts)).sum() for ghosts in (0, 1, 2)] == [0, 1, 2]
    assert level_of(values, picture, 3) == -np.inf


def test_too_few_answers_are_said() -> None:
    with pytest.raises(ValueError, match=rf"3 answers about people; expected at least {LEAST_ANSWERS}"):
        fit_presence(answers(people=3).only(np.ones(403, bool)), 0)
    with pytest.raises(
        ValueError, match="only 200 empty rooms had anything to look at closely, and 200 of them may have"
    ):
        fit_presence(answers(), 200)
    only_people = answers()
    with pytest.raises(ValueError, match="0 answers about empty rooms"):
        fit_presence(only_people.only(~only_people.empty), 0)
