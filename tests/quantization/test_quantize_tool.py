"""tools/quantize.py as its users call it."""

import contextlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import yaml

from rsb_pose_ros.inference import StereoPoseEstimator, read_card
from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.quantization import tensorrt_rules
from rsb_pose_ros.quantization.sources import places
from tests.bags.recordings import stereo_messages, write_messages
from tests.inference.blob_scene import picture
from tests.quantization.conftest import RIG, WALK

ROOT = Path(__file__).parents[2]
QUICK = ("--methods", "minmax", "--no-sensitivity", "--pairs", 1, "--held-out-pairs", 2)


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def loaded_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quantize_tool", ROOT / "tools/quantize.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


TOOL = loaded_tool()


def run(*arguments: object) -> Done:
    """In this process: importing what the tool needs takes longer than most of its work here."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = TOOL.main([*map(str, arguments), "--threads", "1"])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    return write_messages(folder / "bag", stereo_messages(RIG, [picture(RIG, j) for j in WALK], WALK))


def test_a_recording_calibrates_and_both_models_are_compared(model, bag, tmp_path):
    arguments = ["--pairs", 2, "--held-out-pairs", 1, "--methods", "minmax", "--keep-fp16", "regressor"]
    done = run(model, "--calibration", bag, "-o", tmp_path / "int8.onnx", "--target", "cpu", *arguments)
    assert done.returncode == 0, done.stderr
    assert "layer alone in INT8" in done.stdout
    assert "\ntolerance m" in done.stdout
    card = read_card(tmp_path / "int8.onnx", STEREO_POSE)
    assert card.name == "int8"
    record = card.configuration["quantization"]
    assert record["calibration_pairs"] == 2
    assert len(record["calibration_sha256"]) == 64
    assert record["tolerance_mm"] == 1.0
    assert record["within_tolerance"] == ("tolerance met" in done.stdout)
    assert "judged_on_calibration_windows" not in record
    assert card.measured["against_float32"]["joint_mean_mm"] < 30
    assert len(card.measured["against_float32"]["mpjpe_mm"]) == 2
    estimator = StereoPoseEstimator(tmp_path / "int8.onnx", RIG, threads=1)
    assert estimator.estimate(*picture(RIG, WALK[0]))

    again = run(tmp_path / "int8.onnx", "--calibration", bag)
    assert again.returncode == 2
    assert again.stderr.strip().endswith("expected the float32 model that it was made from")
    assert len(again.stderr.strip().splitlines()) == 1


def test_both_files_of_a_network_get_their_names_and_find_each_other(model, bag, tmp_path):
    network = shutil.copy(model, tmp_path / "mine.onnx")
    shutil.copy(model.with_suffix(".json"), tmp_path / "mine.json")
    command = (network, "--calibration", bag, *QUICK)
    alone = run(*command, "-o", tmp_path / "early.onnx")
    assert alone.returncode == 0, alone.stderr
    assert "hint: no twin for CPUs is named; where" in alone.stdout
    assert "TensorRT's rules are met" in alone.stdout
    assert "operators in INT8 do not fill the tensor cores" in alone.stdout
    assert "cpu_twin" not in read_card(tmp_path / "early.onnx", STEREO_POSE).configuration["quantization"]

    assert run(*command, "--target", "cpu").returncode == 0
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "mine_int8_cpu.onnx" in made and "mine_int8.onnx" not in made
    again = run(*command, "--target", "cpu")
    assert again.returncode == 2
    assert "mine_int8_cpu.onnx exists; expected a new name (-o), or --force" in again.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made

    jetson = run(*command)
    assert jetson.returncode == 0, jetson.stderr
    assert "twin for CPUs: mine_int8_cpu.onnx, as it lies beside" in jetson.stdout
    card = read_card(tmp_path / "mine_int8.onnx", STEREO_POSE)
    assert card.configuration["quantization"]["cpu_twin"] == "mine_int8_cpu.onnx"
    assert StereoPoseEstimator(tmp_path / "mine_int8.onnx", RIG, threads=1).model == tmp_path / "mine_int8_cpu.onnx"

    # A twin that was made of another network is not taken by itself, and one that is named is.
    other = json.loads((tmp_path / "mine_int8_cpu.json").read_text())
    other["configuration"]["quantization"]["float32_sha256"] = "0" * 64
    (tmp_path / "mine_int8_cpu.json").write_text(json.dumps(other))
    replaced = run(*command, "--force")
    assert replaced.returncode == 0, replaced.stderr
    assert "(mine_int8_cpu.onnx was made of another float32 file)" in replaced.stdout
    named = run(*command, "--force", "--cpu-twin", "later.onnx")
    assert "twin for CPUs: later.onnx, but later.onnx is not there yet: make it with --target cpu" in named.stdout
    card = read_card(tmp_path / "mine_int8.onnx", STEREO_POSE)
    assert card.configuration["quantization"]["cpu_twin"] == "later.onnx"


def test_what_breaks_the_rules_is_not_written(model, bag, tmp_path, monkeypatch):
    refused = tensorrt_rules.Report(["conv: is wrong, expected it right"], [], 0, 0)
    monkeypatch.setattr(tensorrt_rules, "check", lambda _: refused)
    done = run(model, "--calibration", bag, "-o", tmp_path / "q.onnx", *QUICK)
    assert done.returncode == 2
    assert "q.onnx: not written, as it breaks TensorRT's rules: conv: is wrong" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_held_out_pairs_are_others_also_where_the_recording_is_the_same(model, bag, tmp_path, monkeypatch):
    monkeypatch.chdir(bag.parent)
    same = run(
        model, "--calibration", bag, "--held-out", "./bag", "-o", tmp_path / "same.onnx", "--target", "cpu", *QUICK
    )
    assert same.returncode == 0, same.stderr
    assert "windows of 1 pairs" in same.stdout and "held out: 3 windows of 1\n" in same.stdout
    assert "warning" not in same.stdout

    other = write_messages(tmp_path / "other", stereo_messages(RIG, [picture(RIG, WALK[2])], WALK[2:]))
    done = run(model, "--calibration", bag, "--held-out", other, "-o", tmp_path / "q.onnx", "--target", "cpu", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stdout
    alone = run(model, "--calibration", other, "-o", tmp_path / "alone.onnx", "--target", "cpu", *QUICK)
    assert alone.returncode == 0, alone.stderr
    assert "warning: the same windows calibrate and judge" in alone.stdout
    record = read_card(tmp_path / "alone.onnx", STEREO_POSE).configuration["quantization"]
    assert record["judged_on_calibration_windows"] is True


@pytest.mark.parametrize("count", [1, 2, 3, 171, 240, 500])
@pytest.mark.parametrize(("pairs", "held_out"), [(60, 120), (120, 60), (1, 1)])
def test_no_pair_calibrates_and_judges(count, pairs, held_out):
    total = min(2 * max(pairs, held_out), count)
    calibrates, judges = (places(total, wanted, role, 2) for role, wanted in enumerate((pairs, held_out)))
    assert len(calibrates) == max(min(pairs, (total + 1) // 2), 1)
    assert len(judges) == max(min(held_out, total // 2), 1)
    assert (calibrates | judges) <= set(range(total))
    assert not calibrates & judges or count == 1
    assert places(count, pairs, 1, 1) == places(count, pairs, 0, 1)


def still_folder(path: Path) -> Path:
    K, size = RIG.cameras[0].matrix.tolist(), list(RIG.cameras[0].size)
    calibration = {"K1": K, "D1": [0] * 5, "K2": K, "D2": [0] * 5, "R": np.eye(3).tolist(), "T": [-0.12, 0, 0]}
    for i, joints in enumerate(WALK):
        for side, view in zip(("left", "right"), picture(RIG, joints)):
            (path / side).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path / side / f"{i:04}.png"), view)
    (path / "calibration.yaml").write_text(yaml.safe_dump({**calibration, "image_size": size}))
    return path


def test_a_folder_of_stills_calibrates_too(model, tmp_path):
    stills = still_folder(tmp_path / "stills")
    done = run(model, "--calibration", stills, "-o", tmp_path / "q.onnx", "--no-sensitivity", "--target", "cpu")
    assert done.returncode == 0, done.stderr
    assert "no truth" in done.stdout
    assert "layer alone" not in done.stdout
    assert "tolerance not applied: the held-out windows have no truth" in done.stdout
    record = json.loads((tmp_path / "q.json").read_text())["configuration"]["quantization"]
    assert record["target"] == "cpu"
    assert record["tolerance_mm"] is None and record["within_tolerance"] is None


def test_a_tolerance_that_is_missed_is_said(model, bag, tmp_path):
    arguments = ("--target", "cpu", "--methods", "minmax", "--pairs", 1, "--exclude-at-most", 0, "--tolerance-mm", 0)
    stills = still_folder(tmp_path / "stills")
    done = run(model, "--calibration", bag, "--held-out", stills, "-o", tmp_path / "q.onnx", *arguments)
    assert done.returncode == 0, done.stderr
    assert "tolerance missed: costs +" in done.stdout
    assert "expected at most 0 mm, with 0 layers left out (--exclude-at-most)" in done.stdout
    record = read_card(tmp_path / "q.onnx", STEREO_POSE).configuration["quantization"]
    assert (record["tolerance_mm"], record["within_tolerance"]) == (0.0, False)


def test_unfit_calibration_gets_one_sentence(model, tmp_path):
    empty_room = stereo_messages(RIG, [picture(RIG, None)] * 2)
    cases = {
        "does not exist": tmp_path / "nowhere",
        "nobody was found in 1 pair;": write_messages(tmp_path / "room", empty_room),
        "holds no stereo pairs": write_messages(
            tmp_path / "late", stereo_messages(RIG, [picture(RIG, None)] * 2, skew_ns=15_000_000)
        ),
    }
    for sentence, path in cases.items():
        done = run(model, "--calibration", path, "-o", tmp_path / "q.onnx")
        assert done.returncode == 2
        assert sentence in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "cpu", "--cpu-twin", "other.onnx"], "that is not for CPUs itself"),
        (["--cpu-twin", "other"], "--cpu-twin other: expected the name of another .onnx file beside the output"),
        (["--cpu-twin", "q.onnx"], "--cpu-twin q.onnx: expected the name of another .onnx file"),
        (["--cpu-twin", "models/other.onnx"], "without a folder"),
        (["--exclude-at-most", -1], "--exclude-at-most is -1; expected at least 0"),
        (["--pairs", 0], "--pairs is 0; expected at least 1"),
        (["--tolerance-mm", -0.5], "--tolerance-mm is -0.5; expected millimetres, 0 or more"),
        (["--tolerance-mm", "nan"], "--tolerance-mm is nan"),
        (["--tolerance-mm", "inf"], "--tolerance-mm is inf"),
        (["--keep-fp16", "stage4("], "pattern 'stage4(' is no regular expression"),
        (["--keep-fp16", "stage4"], "no operator that would become INT8 matches stage4"),
        (["--keep-fp16", "backbone", "regressor"], "no convolution is left to quantize"),
    ],
)
def test_arguments_that_make_no_sense_are_told_before_anything_is_read(model, tmp_path, arguments, sentence):
    done = run(model, "--calibration", tmp_path / "nowhere", "-o", tmp_path / "q.onnx", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_none_gets_one_sentence(model, tmp_path):
    text, orphan = tmp_path / "text.onnx", tmp_path / "orphan.onnx"
    text.write_text("no model")
    shutil.copy(model, orphan)
    cases = {
        "text.onnx: is no ONNX file": [text],
        "none.onnx: no such file; expected a float32 .onnx file": [tmp_path / "none.onnx"],
        "orphan.json: cannot be read": [orphan],
        "is the model itself": [model, "-o", model],
        "expected a name that ends in .onnx": [model, "-o", tmp_path / "q.bin"],
    }
    for sentence, arguments in cases.items():
        done = run(*arguments, "--calibration", tmp_path)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["final.pt", "final.pth"])
def test_a_checkpoint_needs_its_configuration(tmp_path, name):
    (tmp_path / name).write_bytes(b"no checkpoint")
    alone = run(tmp_path / name, "--calibration", tmp_path)
    assert alone.returncode == 2
    assert "needs --config" in alone.stderr


def test_a_checkpoint_is_exported_first(tmp_path):
    """Run as a program, as it starts another one."""
    checkpoint = tmp_path / "final.pth"
    checkpoint.write_bytes(b"no checkpoint")
    config = ROOT / "config/models/rsb_pose_edge.yaml"
    command = [ROOT / "tools/quantize.py", checkpoint, "--config", config, "--calibration", tmp_path]
    paths = os.pathsep.join([str(ROOT / "ros2_ws/src"), os.environ.get("PYTHONPATH", "")])
    broken = subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert broken.returncode == 2
    assert "final.pth: cannot be exported" in broken.stderr
    assert "Traceback" not in broken.stderr
