"""What `min_confidence` trades: people who are missed for people who are not there.

On other whole pictures than those that finder and accuracy report on, so that what is chosen here is judged there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsb_pose_ros.benchmark.finder import is_there
from rsb_pose_ros.benchmark.frozen_pairs import ROOT, add_test_data
from rsb_pose_ros.benchmark.markdown import table as markdown_table

if TYPE_CHECKING:
    from rsb_pose_ros.benchmark.whole_pictures import WholePair
    from rsb_pose_ros.inference import StereoPoseEstimator

LEVELS = (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8)
EXAMPLES = """examples:
  tools/benchmark.py thresholds --pairs 200 --empty 1000 --into docs/accuracy.md
  tools/benchmark.py thresholds --model models/mine.onnx --json out/thresholds.json
"""


@dataclass(frozen=True)
class Finding:
    """The best answer about one pair. score: how sure it is of the person reported, 0 for nobody; right: they are there."""

    score: float
    right: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py thresholds`."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", type=Path, default=ROOT / "models/rsb_pose_edge.onnx", help="stereo_pose .onnx")
    parser.add_argument("--pairs", type=int, default=200, help="whole pictures with people (default 200)")
    parser.add_argument("--empty", type=int, default=1000, help="pictures of empty rooms (default 1000)")
    add_test_data(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Counts at every level. Raises ValueError, OSError, ModelError."""
    import cv2

    from rsb_pose_ros.benchmark.onlooker import Onlooker
    from rsb_pose_ros.benchmark.whole_pictures import CHOOSING, empty_pairs, peopled_pairs
    from rsb_pose_ros.data.synthetic.test_set import TestSetDefinition

    cv2.setNumThreads(1)
    if arguments.pairs < 1 or arguments.empty < 1:
        raise ValueError(f"--pairs {arguments.pairs} --empty {arguments.empty}; expected at least 1")
    definition = TestSetDefinition.from_yaml(arguments.definition)
    data = definition.ranges, arguments.shared, arguments.bodies
    # Searched as with the lowest of the levels.
    onlooker = Onlooker(arguments.model, arguments.threads, min_confidence=LEVELS[0])
    peopled, empty = (
        onlooker.outcomes(finding, pairs(*data, count, CHOOSING), count, what, tiles_in_turn=True)
        for pairs, count, what in (
            (peopled_pairs, arguments.pairs, "with people"),
            (empty_pairs, arguments.empty, "empty rooms"),
        )
    )
    return {"benchmark": "thresholds", "model": arguments.model.stem, **counts(peopled, empty)}


def finding(estimator: StereoPoseEstimator, pair: WholePair) -> Finding:
    """Look at a pair once."""
    found = estimator.estimate(pair.left, pair.right)
    right = bool(found) and any(is_there(found[0].keypoints[0], p, pair.rig.projections) for p in pair.people)
    candidate = estimator.candidate
    return Finding(candidate.presence if found and candidate else 0.0, right)


def counts(peopled: Sequence[Finding], empty: Sequence[Finding]) -> dict[str, Any]:
    """{"pairs", "empty", "levels": {level: {"found", "wrong", "in_empty_rooms"}}}, counts of pairs."""
    levels = {}
    for level in LEVELS:
        sure = [finding for finding in peopled if finding.score >= level]
        levels[f"{level:g}"] = {
            "found": sum(finding.right for finding in sure),
            "wrong": sum(not finding.right for finding in sure),
            "in_empty_rooms": sum(finding.score >= level for finding in empty),
        }
    return {"pairs": len(peopled), "empty": len(empty), "levels": levels}


def marker(result: dict[str, Any]) -> str:
    """Of the place in a page that `markdown` belongs to."""
    del result
    return "benchmark thresholds"


def _rows(result: dict[str, Any]) -> list[list[str]]:
    return [
        [
            level,
            f"{row['found']} ({100 * row['found'] / result['pairs']:.0f} %)",
            str(row["wrong"]),
            str(row["in_empty_rooms"]),
        ]
        for level, row in result["levels"].items()
    ]


def _head(result: dict[str, Any]) -> list[str]:
    rooms = f"the same in {result['empty']} empty rooms"
    return ["`min_confidence`", "people found at first", "somebody who is not there", rooms]


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{result['model']} on {result['pairs']} whole pictures with people"]
    lines += ["  ".join(f"{cell:>27}" for cell in row) for row in [_head(result), *_rows(result)]]
    return "\n".join(lines)


def markdown(result: dict[str, Any]) -> str:
    """The figures for docs/accuracy.md."""
    head = f"`{result['model']}`, {result['pairs']} whole pictures with people, each seen once:"
    return "\n".join([head, "", markdown_table(_head(result), _rows(result))])
