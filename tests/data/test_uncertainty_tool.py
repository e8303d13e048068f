"""tools/calibrate_uncertainty.py: the shipped model's card is honest about rendered pairs, and errors are one sentence."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.data.conftest import BODIES, ROOT, SHARED


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/calibrate_uncertainty.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_model_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path / "none.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith("calibrate_uncertainty: model")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_card_gets_what_was_measured_and_check_leaves_it_alone(pairs, tmp_path: Path) -> None:
    for suffix in (".onnx", ".json"):
        shutil.copy(ROOT / f"models/rsb_pose_edge{suffix}", tmp_path)
    model, card = tmp_path / "rsb_pose_edge.onnx", tmp_path / "rsb_pose_edge.json"
    before = card.read_bytes()
    data = ("--pairs", 120, "--bodies", BODIES, "--shared", SHARED, "--threads", 1)
    done = run(model, *data, "--check")
    assert done.returncode == 0, done.stderr
    assert card.read_bytes() == before
    total = done.stdout.strip().splitlines()[-1].split()
    published = [int(share) for share in total[-3:]]
    assert all(45 <= share <= 90 for share in published), done.stdout
    assert run(model, *data).returncode == 0
    uncertainty = json.loads(card.read_text())["uncertainty"]
    assert uncertainty["factors"][0][0] > 1 > uncertainty["factors"][-1][0], "unsure joints err more, sure ones less"
