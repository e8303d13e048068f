"""Weights between two states of one network, through the command that makes them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def average(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools/train.py", "average", *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)


@pytest.fixture
def states(tmp_path: Path) -> list[Path]:
    paths = []
    for name, value, count in (("before", 1.0, 3), ("after", 2.0, 9)):
        weights = {"weight": torch.full((2, 2), value), "steps": torch.tensor(count)}
        torch.save({"average": weights, "pairs": count, "config": {"name": "n"}}, tmp_path / f"{name}.pt")
        paths.append(tmp_path / f"{name}.pt")
    return paths


def test_weights_lie_between_both(states: list[Path], tmp_path: Path) -> None:
    done = average("--start", states[0], "--tuned", states[1], "--share", 0.75, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    content = torch.load(tmp_path / "averaged.pt", weights_only=True)
    torch.testing.assert_close(content["average"]["weight"], torch.full((2, 2), 1.75))
    assert content["average"]["steps"] == 9 and content["pairs"] == 9 and content["share"] == 0.75


def test_another_network_is_refused(states: list[Path], tmp_path: Path) -> None:
    torch.save({"average": {"weight": torch.zeros(3), "extra": torch.zeros(1)}}, states[1])
    done = average("--start", states[0], "--tuned", states[1], "--output", tmp_path)
    assert done.returncode == 2 and "not two states of one network: extra, steps, weight" in done.stderr
    done = average("--start", states[0], "--tuned", states[0], "--share", 2, "--output", tmp_path)
    assert done.returncode == 2 and "--share is 2.0; expected 0 to 1" in done.stderr
