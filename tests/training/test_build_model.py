"""tools/build_model.py: the commands from a checkpoint to the files that ship."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
BODIES = ROOT / "cache/bodies.npz"


def build(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/build_model.py"), *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_dry_run_prints_commands_that_their_tools_take(tmp_path):
    run = build("models/rsb_pose_edge.onnx", "--name", "mine", "--output", tmp_path, "--dry-run")
    assert run.returncode == 0
    commands = [shlex.split(line.split("python ", 1)[1]) for line in run.stdout.splitlines()]
    assert [Path(c[0]).name for c in commands] == [
        "train.py", "export_onnx.py", "quantize.py", "quantize.py", "calibrate_uncertainty.py",
        "calibrate_presence.py",
    ]  # fmt: skip
    assert str(tmp_path / "mine_int8_cpu.onnx") in commands[3]
    for command in commands:
        options = {word for word in command if word.startswith("--")}
        asked = [sys.executable, command[0], *(command[1:2] if command[0].endswith("train.py") else []), "--help"]
        known = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert not [option for option in options if option not in known]
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint_is_named(tmp_path):
    run = build(tmp_path / "none.pt", "--name", "mine", "--output", tmp_path)
    assert run.returncode == 2
    assert "none.pt not found" in run.stderr


@pytest.mark.skipif(not (SHARED / "mocap").is_dir() or not BODIES.exists(), reason="needs the data engine's material")
def test_a_step_that_fails_ends_the_build_with_its_code(tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    run = build(tmp_path / "broken.pt", "--name", "mine", "--output", tmp_path / "out", "--quick")
    assert run.returncode == 2
    assert "broken.pt: cannot be read" in run.stderr
    assert "step 1 ended with 2" in run.stderr
    assert "[2/6]" not in run.stdout
