"""Choosing min_confidence: what is counted, and that nothing is chosen on what is reported."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from rsb_pose_ros.benchmark import whole_pictures
from rsb_pose_ros.benchmark.thresholds import Finding, counts, markdown, marker, text


def test_counts_fall_as_the_level_rises():
    peopled = [Finding(0.9, True), Finding(0.72, True), Finding(0.71, False), Finding(0.55, True), Finding(0.0, False)]
    result = counts(peopled, [Finding(0.0, False), Finding(0.6, False), Finding(0.66, False)])
    assert result["levels"]["0.5"] == {"found": 3, "wrong": 1, "in_empty_rooms": 2}
    assert result["levels"]["0.65"] == {"found": 2, "wrong": 1, "in_empty_rooms": 1}
    assert result["levels"]["0.75"] == {"found": 1, "wrong": 0, "in_empty_rooms": 0}
    record = {**result, "model": "m"}
    assert "| 0.65 | 2 (40 %) | 1 | 1 |" in markdown(record) and "in 3 empty rooms" in text(record)
    assert marker(record) == "benchmark thresholds"


@pytest.mark.parametrize("kind", ["empty_pairs", "peopled_pairs", "pairs_of_two"])
def test_pictures_to_choose_on_are_others_than_those_reported(monkeypatch, kind):
    monkeypatch.setattr(whole_pictures, "replace", lambda ranges, **_: ranges)
    seen: list[range] = []
    monkeypatch.setattr(whole_pictures, "whole_pairs", lambda *given: seen.append(given[-1]) or iter(()))
    of = getattr(whole_pictures, kind)
    list(islice(of(None, None, None, 10_000), 1))
    if kind != "pairs_of_two":
        list(islice(of(None, None, None, 10_000, whole_pictures.CHOOSING), 1))
        assert not set(np.array(seen[0])[[0, -1]]) & set(np.array(seen[1])[[0, -1]])
        assert seen[0][-1] < seen[1][0]
    others = range(whole_pictures.FIRST_SEED + whole_pictures.CHOOSING, whole_pictures.FIRST_SEED_WITH_PEOPLE)
    chosen_on = range(whole_pictures.FIRST_SEED_WITH_PEOPLE + whole_pictures.CHOOSING, 2_500_000_000)
    assert all(len(range(max(seen[0][0], part[0]), min(seen[0][-1], part[-1]))) == 0 for part in (others, chosen_on))
