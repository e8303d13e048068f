#!/usr/bin/env python3
"""Learn from rendered whole pictures what tells people from coats and plants, and write it into the models' cards.

A search believes in somebody when it is sure enough that they are there (`min_confidence`). This tool searches pictures with
people and empty rooms as the node does, weighs what speaks for and against everybody who was looked at closely, and ties the
result to empty rooms: from 0.75 on, no more than --ghosts of them have somebody in them. The first model is asked; the cards
of INT8 files that were made of it get what it said. The model files stay as they are.

examples:
  tools/calibrate_presence.py models/rsb_pose_edge.onnx models/rsb_pose_edge_int8.onnx models/rsb_pose_edge_int8_cpu.onnx
  tools/calibrate_presence.py out/mine.onnx --data my_rig.yaml --pairs 200 --empty 800 --check    # show it, change nothing
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "ros2_ws/src"))

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rsb_pose_ros.evaluation.presence_answers import Answers
    from rsb_pose_ros.inference import ModelCard

LOOKS = 3
"""Each empty room is searched so often, each time with another tile: a standing robot looks for hours."""


def main() -> int:
    """0: done; 2: something was missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files with their cards; the first one is asked")
    parser.add_argument("--pairs", type=int, default=600, help="whole pictures with people (default 600)")
    parser.add_argument(
        "--empty", type=int, default=2400, help=f"empty rooms, each searched {LOOKS} times (default 2400)"
    )
    parser.add_argument("--ghosts", type=int, default=3, help="empty rooms that may have somebody in them (default 3)")
    parser.add_argument("--answers", type=Path, help=".npz: keeps what was searched, or holds it already")
    parser.add_argument("--check", action="store_true", help="leave the cards as they are")
    parser.add_argument("--data", type=Path, default=ROOT / "config/synthetic.yaml", help="ranges of the pairs")
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="tools/synthesize.py bake")
    parser.add_argument(
        "--shared",
        type=Path,
        default=Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared")),
        help="mocap/, backgrounds/ (default $RSB_POSE_SHARED or ../shared)",
    )
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0 leaves it to it")
    arguments = parser.parse_args()
    try:
        calibrate(arguments)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"calibrate_presence: {error}", file=sys.stderr)
        return 2
    return 0


def calibrate(arguments: argparse.Namespace) -> None:
    from rsb_pose_ros.evaluation.presence_answers import Source, load, save
    from rsb_pose_ros.evaluation.presence_fit import fit_presence
    from rsb_pose_ros.inference.card import STEREO_POSE, read_card, write_card

    check(arguments)
    cards = [read_card(model, STEREO_POSE) for model in arguments.models]
    check_origin(cards)
    source = Source(cards[0].sha256, arguments.pairs, arguments.empty)
    if arguments.answers is not None and arguments.answers.exists():
        answers = load(arguments.answers, source)
    else:
        answers = searched(arguments)
        if arguments.answers is not None:
            save(arguments.answers, answers, source)
    presence = fit_presence(answers, arguments.ghosts)
    print(f"{answers.people.sum()} answers about people, {answers.empty.sum()} about empty rooms; {presence.record()}")
    if not arguments.check:
        for card, model in zip(cards, arguments.models, strict=True):
            print(f"written: {write_card(replace(card, presence=presence.record()), model)}")
    print(text(answers, arguments))


def check(arguments: argparse.Namespace) -> None:
    """Raise ValueError for numbers and names that cannot be."""
    if min(arguments.pairs, arguments.empty) < 1 or min(arguments.ghosts, arguments.threads) < 0:
        raise ValueError(
            f"--pairs {arguments.pairs} --empty {arguments.empty} --ghosts {arguments.ghosts} "
            f"--threads {arguments.threads}; expected at least 1, 1, 0 and 0"
        )
    if arguments.answers is not None and arguments.answers.suffix != ".npz":
        raise ValueError(f"--answers {arguments.answers}: expected a name that ends in .npz")


def check_origin(cards: Sequence[ModelCard]) -> None:
    """Raise ValueError unless all are the first model, or INT8 files that were made of it."""
    first = cards[0].sha256
    for card in cards[1:]:
        made_of = (card.configuration.get("quantization") or {}).get("float32_sha256")
        if first not in (card.sha256, made_of):
            raise ValueError(f"{card.name} was not made of {cards[0].name}; expected its INT8 files: run them apart")


def text(answers: Answers, arguments: argparse.Namespace) -> str:
    """How many more people this finds than the mean confidence does, at equal ghosts."""
    from rsb_pose_ros.evaluation.presence_fit import comparison

    rooms = f"ghosts in {arguments.empty} rooms"
    lines = [f"found in {arguments.pairs} pictures, by what says that somebody is there:"]
    lines.append(f"{rooms:>24} {'mean confidence':>16} {'this, held out':>16}")
    try:
        rows = comparison(answers, sorted({0, 1, arguments.ghosts, 4, 8, 16}))
    except ValueError as error:
        return f"{lines[0]} not told, as a part of the pictures is too little to fit to: {error}"
    return "\n".join([*lines, *(f"{row['ghosts']:>24} {row['confidence']:>16} {row['presence']:>16}" for row in rows)])


def searched(arguments: argparse.Namespace) -> Answers:
    """Everybody whom the first model's searches have looked at closely, in pictures that nothing else looks at."""
    import cv2
    import numpy as np

    from rsb_pose_ros.benchmark.finder import is_there
    from rsb_pose_ros.benchmark.onlooker import Onlooker
    from rsb_pose_ros.benchmark.whole_pictures import LEARNING, WholePair, empty_pairs, peopled_pairs
    from rsb_pose_ros.data.synthetic.config import SyntheticConfig
    from rsb_pose_ros.evaluation.presence_answers import Answers
    from rsb_pose_ros.inference import StereoPoseEstimator
    from rsb_pose_ros.inference.card import STEREO_POSE, read_card

    cv2.setNumThreads(1)
    size = read_card(arguments.models[0], STEREO_POSE).image_size
    data = SyntheticConfig.from_yaml(arguments.data, size), arguments.shared, arguments.bodies
    onlooker = Onlooker(arguments.models[0], arguments.threads)
    rows: list[tuple[np.ndarray, float, bool, int, bool]] = []
    numbers = count()

    def look(estimator: StereoPoseEstimator, pair: WholePair) -> None:
        empty, number = not len(pair.people), next(numbers)
        for tile in range(LOOKS if empty else 1):
            estimator.use_rig(pair.rig, first_tile=number + tile)  # and nobody is followed
            estimator.estimate(pair.left, pair.right)
            if (candidate := estimator.candidate) is not None:
                person = candidate.person
                right = any(is_there(person.keypoints[0], joints, pair.rig.projections) for joints in pair.people)
                rows.append((candidate.evidence, person.score, right, number, empty))

    onlooker.outcomes(look, peopled_pairs(*data, arguments.pairs, LEARNING), arguments.pairs, "with people")
    onlooker.outcomes(look, empty_pairs(*data, arguments.empty, LEARNING), arguments.empty, "empty rooms")
    if not rows:
        raise ValueError(f"{arguments.models[0].name} has seen nobody in any of the pictures: is it trained?")
    return Answers(*(np.array(column) for column in zip(*rows, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
