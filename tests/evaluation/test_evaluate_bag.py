"""The command line: exit codes, and one sentence when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bags.recordings import stereo_messages, write_messages
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import picture, standing_at
from tests.stereo.rigs import verged

ROOT = Path(__file__).parents[2]
RIG = verged()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tool")
    write_blob_model(path)
    walk = [standing_at(0.1 * i, 0, 2.8) for i in range(3)]
    write_messages(path / "bag", stereo_messages(RIG, [picture(RIG, j) for j in walk], walk))
    unpaired = stereo_messages(RIG, [picture(RIG, j) for j in walk], skew_ns=15_000_000)
    write_messages(path / "unpaired", unpaired)
    return path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools/evaluate_bag.py"), *arguments]
    paths = os.pathsep.join([str(ROOT / "ros2_ws/src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


def test_a_recording_is_evaluated(folder):
    done = run(folder, "bag", "--model", "blob.onnx", "--output", "out", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "MPJPE absolute" in done.stdout
    record = json.loads((folder / "out/evaluation.json").read_text())
    assert record["model"]["providers"] == ["CPUExecutionProvider"]
    assert record["detection"]["found"] == 3
    assert (folder / "out/evaluation.png").exists()


def test_no_pairs_is_a_failed_evaluation(folder):
    done = run(folder, "unpaired", "--model", "blob.onnx", "--no-figure")
    assert done.returncode == 1
    assert "no stereo pairs: 3 left and 3 right pictures" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "--model", "blob.onnx"], "recording nowhere: does not exist"),
        (["bag", "--model", "other.onnx"], "model other.onnx: no such file"),
        (["bag", "--model", "blob.onnx", "--left-image", "/x"], "has no topic /x; it has"),
        (["bag", "--model", "blob.onnx", "--pairs", "0"], "--pairs is 0; expected at least 1"),
        (["bag", "--model", "blob.onnx", "--calibration", "none.yaml"], "calibration none.yaml: cannot be read"),
    ],
)
def test_unfit_inputs_get_one_sentence(folder, arguments, sentence):
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
