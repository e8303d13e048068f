"""How surely somebody is found in a whole picture: the start of every track.

The estimator sees the same pair again and again, as it would see a person who stands still; it may look into another part of
the picture each time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.benchmark.frozen_pairs import ROOT, add_test_data
from rsb_pose_ros.benchmark.markdown import table as markdown_table
from rsb_pose_ros.skeleton import ROOT as PELVIS
from rsb_pose_ros.stereo import project

TRIES = 6
RIGHT_SHARE = 0.25
"""A found person is one who is there if its joints are, on the median, within this share of the person's height in the
left picture."""
DISTANCES_M = (0.0, 1.5, 2.5, 3.5, 5.0, 7.0)
SIZE = (1280, 720)
METRES = ((1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 6.0))
"""Where somebody has to be found anywhere in a picture of SIZE; as many pictures of each."""
EXAMPLES = """examples:
  tools/benchmark.py finder --pairs 200 --into docs/accuracy.md
  tools/benchmark.py finder --model models/rsb_pose_edge_int8_cpu.onnx --json out/finder.json
"""


COMPANY_PAIRS = 18
"""So often a picture of two people is shown: each part of it is searched at least once with one of them covered up."""
COMPANY = 3
"""People whom the estimator may follow there: one more than there are."""


@dataclass(frozen=True)
class Company:
    """Two people after COMPANY_PAIRS pairs. found: how many of them are followed; wrong: people who are not there; twice:
    answers about somebody who was answered about already; runs: of the network, a pair."""

    found: int
    wrong: int
    twice: int
    runs: float


@dataclass(frozen=True)
class Attempt:
    """One pair. tries: 1 … TRIES until the first person was reported, 0 for nobody; right: it was somebody who is there;
    distance: metres to the nearest person; people: how many are there."""

    tries: int
    right: bool
    distance: float
    people: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py finder`."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, default=ROOT / "models/rsb_pose_edge.onnx", help="stereo_pose .onnx")
    parser.add_argument("--pairs", type=int, default=200, help="whole pictures with people (default 200)")
    parser.add_argument(
        "--per-metre", type=int, default=40, help="of 1280×720 with the person at each metre, 1 to 6 (default 40)"
    )
    add_test_data(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Shares of pairs by distance. Raises ValueError, OSError, ModelError."""
    import cv2

    from rsb_pose_ros.benchmark.onlooker import Onlooker
    from rsb_pose_ros.benchmark.whole_pictures import pairs_at, pairs_of_two, peopled_pairs
    from rsb_pose_ros.data.synthetic.test_set import TestSetDefinition

    cv2.setNumThreads(1)
    count, two, each = arguments.pairs, max(arguments.pairs // 2, 1), arguments.per_metre
    if min(count, each) < 1:
        raise ValueError(f"--pairs {count} --per-metre {each}; expected at least 1")
    definition = TestSetDefinition.from_yaml(arguments.definition)
    data = definition.ranges, arguments.shared, arguments.bodies
    onlooker = Onlooker(arguments.model, arguments.threads)
    result = {"benchmark": "finder", "model": arguments.model.stem, "pairs": count}
    result |= shares(onlooker.outcomes(attempt, peopled_pairs(*data, count), count, "random rigs"))
    company_there = onlooker.outcomes(company, pairs_of_two(*data, two), two, "two people", COMPANY)
    result["company"] = company_shares(company_there)
    result["metres"] = {}
    for low, high in METRES:
        name = f"{low:g}–{high:g} m"
        pairs = pairs_at(*data, each, SIZE, (low, high))
        result["metres"][name] = _share(onlooker.outcomes(attempt, pairs, each, name))
    return result


def attempt(estimator: Any, pair: Any) -> Attempt:
    """Look at a pair up to TRIES times."""
    distance, count = float(pair.people[:, PELVIS, 2].min()), len(pair.people)
    for tries in range(1, TRIES + 1):
        found = estimator.estimate(pair.left, pair.right)
        if found:
            there = any(is_there(found[0].keypoints[0], joints, pair.rig.projections) for joints in pair.people)
            return Attempt(tries, there, distance, count)
    return Attempt(0, False, distance, count)


def company(estimator: Any, pair: Any) -> Company:
    """Look at a pair of two people COMPANY_PAIRS times."""
    people, runs = [], 0
    for _ in range(COMPANY_PAIRS):
        people = estimator.estimate(pair.left, pair.right)
        runs += estimator.timing.runs
    hits = np.array(
        [[is_there(p.keypoints[0], joints, pair.rig.projections) for joints in pair.people] for p in people], bool
    ).reshape(len(people), len(pair.people))
    found, wrong = int(hits.any(0).sum()), int((~hits.any(1)).sum())
    return Company(found, wrong, max(len(people) - found - wrong, 0), runs / COMPANY_PAIRS)


def company_shares(companies: Sequence[Company]) -> dict[str, float]:
    """Shares of the pairs, and runs of the network per pair."""
    count = len(companies)
    return {
        "pairs": count,
        "both": sum(c.found == 2 for c in companies) / count,
        "one": sum(c.found == 1 for c in companies) / count,
        "wrong": sum(c.wrong > 0 for c in companies) / count,
        "twice": sum(c.twice > 0 for c in companies) / count,
        "runs": sum(c.runs for c in companies) / count,
    }


def is_there(keypoints: np.ndarray, joints: np.ndarray, projections: np.ndarray) -> bool:
    """Whether keypoints (17, 2) of the left rectified picture lie on a person with these joints (17, 3)."""
    truth = project(joints[None].astype(np.float64), projections[None])[0, 0]
    height = float(np.ptp(truth[:, 1]))
    off = np.linalg.norm(keypoints - truth, axis=-1)
    return bool(np.nanmedian(off) <= RIGHT_SHARE * height) if np.isfinite(off).any() else False


def shares(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """{"all": {…}, "distance": {…}, "people": {…}}; each with pairs, found at first, found, wrong."""
    bins = {
        f"{low:g}–{high:g} m": [a for a in attempts if low <= a.distance < high] for low, high in pairwise(DISTANCES_M)
    }
    counts = {f"{n} people" if n > 1 else "1 person": [a for a in attempts if a.people == n] for n in (1, 2)}
    return {
        "all": _share(attempts),
        "distance": {name: _share(part) for name, part in bins.items() if part},
        "people": {name: _share(part) for name, part in counts.items() if part},
    }


def _share(attempts: Sequence[Attempt]) -> dict[str, float]:
    count = len(attempts)
    return {
        "pairs": count,
        "found_at_first": sum(a.right and a.tries == 1 for a in attempts) / count,
        "found": sum(a.right for a in attempts) / count,
        "wrong": sum(a.tries > 0 and not a.right for a in attempts) / count,
    }


def marker(result: dict[str, Any]) -> str:
    """Of the place in a page that `markdown` belongs to."""
    del result
    return "benchmark finder"


def _rows(result: dict[str, Any]) -> list[list[str]]:
    size = f"{SIZE[0]}×{SIZE[1]}"
    there = [(f"{size}, {name}", row) for name, row in result["metres"].items()]
    parts = [("all", result["all"]), *result["distance"].items(), *result["people"].items(), *there]
    columns = ("found_at_first", "found", "wrong")
    return [[name, str(row["pairs"]), *(f"{100 * row[c]:.0f} %" for c in columns)] for name, row in parts]


def _of_company(result: dict[str, Any]) -> str:
    two = {name: value if name in ("pairs", "runs") else 100 * value for name, value in result["company"].items()}
    return (
        f"Two people in sight (`max_people` {COMPANY}), {two['pairs']} pictures, each shown {COMPANY_PAIRS} times: both are "
        f"followed\nin {two['both']:.0f} %, one of them in {two['one']:.0f} %; somebody who is not there in "
        f"{two['wrong']:.0f} %, somebody twice in {two['twice']:.0f} %;\n{two['runs']:.1f} runs of the network a pair."
    )


_HEAD = ["nearest person", "pairs", "found at first", f"within {TRIES} pairs", "somebody who is not there"]


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{result['model']} on {result['pairs']} whole pictures with people"]
    lines += ["  ".join(f"{cell:>18}" for cell in row) for row in [_HEAD, *_rows(result)]]
    return "\n".join([*lines, "", _of_company(result)])


def markdown(result: dict[str, Any]) -> str:
    """The figures for docs/accuracy.md."""
    head = f"`{result['model']}`, {result['pairs']} pictures of random rigs (640 to 1280 pixels wide), and of one size:"
    return "\n".join([head, "", markdown_table(_HEAD, _rows(result)), "", _of_company(result)])
