"""tools/calibrate_presence.py: cards learn what tells people from coats, and errors are one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rsb_pose_ros.inference.presence import EVIDENCE
from tests.data.conftest import BODIES, ROOT, SHARED


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/calibrate_presence.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for suffix in (".onnx", ".json"):
        shutil.copy(ROOT / f"models/rsb_pose_edge{suffix}", tmp_path)
    return tmp_path / "rsb_pose_edge.onnx"


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """What a search may have seen: 60 people, and 60 empty rooms where the glimpse said less."""
    empty = np.repeat([False, True], 60)
    evidence = np.random.default_rng(0).normal(size=(120, len(EVIDENCE)))
    evidence[:, EVIDENCE.index("glimpse")] -= 3 * empty
    path = tmp_path / "answers.npz"
    np.savez(path, evidence=evidence, score=evidence[:, 0], right=~empty, picture=np.arange(120), empty=empty)
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
    done = run(model, twin, "--answers", answers, "--check")
    assert done.returncode == 0, done.stderr
    assert "60 answers about people, 60 about empty rooms" in done.stdout
    assert [file.with_suffix(".json").read_bytes() for file in (model, twin)] == before
    assert run(model, twin, "--answers", answers).returncode == 0
    records = [json.loads(file.with_suffix(".json").read_text())["presence"] for file in (model, twin)]
    assert records[0] == records[1] and records[0]["weights"]["glimpse"] > 0.5


def test_answers_of_another_kind_are_refused(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", score=np.zeros(3))
    done = run(model, "--answers", tmp_path / "other.npz")
    assert done.returncode == 2
    assert "has no empty, evidence, picture, right" in done.stderr


def test_pictures_are_searched_and_too_few_of_them_are_said(pairs, model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "new/answers.npz"
    data = ("--pairs", 5, "--empty", 3, "--bodies", BODIES, "--shared", SHARED, "--threads", 1, "--answers", kept)
    done = run(model, *data)
    assert done.returncode == 2
    assert "answers about people; expected at least" in done.stderr
    with np.load(kept) as found:
        assert found["evidence"].shape[1] == len(EVIDENCE) and np.isfinite(found["evidence"]).all()
        assert found["right"].any(), "the shipped network finds people"
        assert not found["right"][found["empty"]].any()
