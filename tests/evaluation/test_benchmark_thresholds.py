"""Choosing min_confidence: what is counted, and that nothing is chosen on what is reported."""

from __future__ import annotations

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


def test_pictures_to_choose_on_are_others_than_those_reported(monkeypatch):
    monkeypatch.setattr(whole_pictures, "replace", lambda ranges, **_: ranges)
    seeds: list[range] = []
    monkeypatch.setattr(whole_pictures, "whole_pairs", lambda *given: seeds.append(given[-1]) or iter(()))
    for of in (whole_pictures.empty_pairs, whole_pictures.peopled_pairs, whole_pictures.pairs_of_two):
        list(of(None, None, None, 10_000))
    reported = seeds.copy()
    seeds.clear()
    for of in (whole_pictures.empty_pairs, whole_pictures.peopled_pairs):
        list(of(None, None, None, 10_000, whole_pictures.CHOOSING))
    assert len(reported) == 3 and len(seeds) == 2
    for chosen_on in seeds:
        for told in reported:
            assert told[-1] < chosen_on[0] or chosen_on[-1] < told[0]
