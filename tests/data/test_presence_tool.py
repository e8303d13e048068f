"""tools/calibrate_presence.py: cards learn what tells people from coats, and errors are one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsb_pose_ros.evaluation.presence_answers import Answers, Source, load, save
from rsb_pose_ros.inference.card import sha256_of
from rsb_pose_ros.inference.presence import EVIDENCE
from tests.data.conftest import BODIES, ROOT, SHARED

COUNTS = (60, 70)


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/calibrate_presence.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for suffix in (".onnx", ".json"):
        shutil.copy(ROOT / f"models/rsb_pose_edge{suffix}", tmp_path)
    return tmp_path / "rsb_pose_edge.onnx"


@pytest.fixture
def answers(tmp_path: Path, model: Path) -> Path:
    """What a search may have seen: 60 people, and 60 empty rooms where the glimpse said less."""
    empty = np.repeat([False, True], 60)
    evidence = np.random.default_rng(0).normal(size=(120, len(EVIDENCE)))
    evidence[:, EVIDENCE.index("glimpse")] -= 3 * empty
    path = tmp_path / "answers.npz"
    found = Answers(evidence, evidence[:, 0], ~empty, np.arange(120), empty)
    save(path, found, Source(json.loads(model.with_suffix(".json").read_text())["sha256"], *COUNTS))
    return path


def test_a_model_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path / "none.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith("calibrate_presence: model") and len(done.stderr.strip().splitlines()) == 1


def test_all_cards_get_what_the_answers_say_and_check_leaves_them_alone(model: Path, answers: Path) -> None:
    twin = model.with_name("twin.onnx")
    for suffix in (".onnx", ".json"):
        shutil.copy(model.with_suffix(suffix), twin.with_suffix(suffix))
    before = [file.with_suffix(".json").read_bytes() for file in (model, twin)]
    done = run(model, twin, "--answers", answers, "--pairs", COUNTS[0], "--empty", COUNTS[1], "--check")
    assert done.returncode == 0, done.stderr
    assert "60 answers about people, 60 about empty rooms" in done.stdout
    assert [file.with_suffix(".json").read_bytes() for file in (model, twin)] == before
    assert run(model, twin, "--answers", answers, "--pairs", COUNTS[0], "--empty", COUNTS[1]).returncode == 0
    records = [json.loads(file.with_suffix(".json").read_text())["presence"] for file in (model, twin)]
    assert records[0] == records[1] and records[0]["weights"]["glimpse"] > 0.5


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path, _: path.write_bytes(b""), "cannot be read"),
        (lambda path, _: path.write_bytes(path.read_bytes()[:300]), "cannot be read"),
        (lambda path, _: np.savez(path, score=np.zeros(3)), "has no evidence, right, picture, empty, source"),
        (
            lambda path, found: save(path, found, Source("0" * 64, *COUNTS)),
            "is of model 000000000000…, 60 pairs, 70 empty",
        ),
        (
            lambda path, found: save(path, replace(found, score=found.score[1:]), source_of(path)),
            "evidence has shape (120, 3); expected (119, 3)",
        ),
        (
            lambda path, found: save(path, replace(found, evidence=found.evidence * np.nan), source_of(path)),
            "numbers are not finite",
        ),
    ],
)
def test_answers_that_cannot_be_used_are_named(model: Path, answers: Path, spoil: Any, sentence: str) -> None:
    spoil(answers, load(answers, source_of(answers)))
    done = run(model, "--answers", answers, "--pairs", COUNTS[0], "--empty", COUNTS[1])
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert f"{answers}: {sentence}" in done.stderr


def source_of(answers: Path) -> Source:
    """Of the model beside the answers."""
    card = json.loads((answers.parent / "rsb_pose_edge.json").read_text())
    return Source(card["sha256"], *COUNTS)


def test_what_cannot_be_is_said_before_anything_is_searched(model: Path, answers: Path) -> None:
    for arguments, sentence in (
        (("--answers", "mine"), "--answers mine: expected a name that ends in .npz"),
        (("--threads", -1), "--threads -1; expected"),
        ((ROOT / "models/ppt.onnx",), "its task is"),
    ):
        done = run(model, *arguments)
        assert done.returncode == 2 and sentence in done.stderr, done.stderr
    other = model.with_name("other.onnx")
    other.write_bytes(model.read_bytes() + b"\x00")
    card = json.loads(model.with_suffix(".json").read_text()) | {"name": "other", "sha256": sha256_of(other)}
    other.with_suffix(".json").write_text(json.dumps(card))
    done = run(model, other, "--answers", answers)
    assert done.returncode == 2 and "other was not made of rsb_pose_edge; expected its INT8 files" in done.stderr


def test_cards_that_no_node_could_read_are_not_written(model: Path, answers: Path) -> None:
    before = model.with_suffix(".json").read_bytes()
    done = run(model, "--answers", answers, "--pairs", COUNTS[0], "--empty", COUNTS[1], "--ghosts", 60)
    assert done.returncode == 2 and "only 60 empty rooms had anything to look at closely" in done.stderr
    assert model.with_suffix(".json").read_bytes() == before


def test_pictures_are_searched_and_too_few_of_them_are_said(pairs, model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "new/answers.npz"
    data = ("--pairs", 5, "--empty", 3, "--bodies", BODIES, "--shared", SHARED, "--threads", 1, "--answers", kept)
    done = run(model, *data)
    assert done.returncode == 2
    assert "answers about people; expected at least" in done.stderr
    found = load(kept, Source(sha256_of(model), 5, 3))
    assert found.people.any(), "the shipped network finds people"
    assert not found.right[found.empty].any()
