"""tools/quantize.py as its users call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import yaml

from rsb_pose_ros.inference import StereoPoseEstimator, read_card
from rsb_pose_ros.inference.card import STEREO_POSE
from tests.bags.recordings import stereo_messages, write_messages
from tests.inference.blob_scene import picture
from tests.quantization.conftest import RIG, WALK

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess:
    paths = os.pathsep.join([str(ROOT / "ros2_ws/src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/quantize.py"), *map(str, arguments), "--threads", "1"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_recording_calibrates_and_both_models_are_compared(model, tmp_path):
    bag = write_messages(tmp_path / "bag", stereo_messages(RIG, [picture(RIG, j) for j in WALK], WALK))
    arguments = [
        "--pairs",
        2,
        "--held-out-pairs",
        1,
        "--methods",
        "minmax",
        "--keep-fp16",
        "regressor",
        "--target",
        "cpu",
    ]
    done = run(model, "--calibration", bag, "-o", tmp_path / "int8.onnx", *arguments)
    assert done.returncode == 0, done.stderr
    assert "layer alone in INT8" in done.stdout
    card = read_card(tmp_path / "int8.onnx", STEREO_POSE)
    assert card.name == "int8"
    assert card.configuration["quantization"]["calibration_pairs"] == 2
    assert len(card.configuration["quantization"]["calibration_sha256"]) == 64
    assert card.measured["against_float32"]["joint_mean_mm"] < 30
    assert len(card.measured["against_float32"]["mpjpe_mm"]) == 2
    estimator = StereoPoseEstimator(tmp_path / "int8.onnx", RIG, threads=1)
    assert estimator.estimate(*picture(RIG, WALK[0]))

    again = run(tmp_path / "int8.onnx", "--calibration", bag)
    assert again.returncode == 2
    assert again.stderr.strip().endswith("expected the float32 model that it was made from")
    assert len(again.stderr.strip().splitlines()) == 1


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
    done = run(
        model,
        "--calibration",
        still_folder(tmp_path / "stills"),
        "-o",
        tmp_path / "q.onnx",
        "--no-sensitivity",
        "--target",
        "cpu",
    )
    assert done.returncode == 0, done.stderr
    assert "no truth" in done.stdout
    assert "layer alone" not in done.stdout
    assert json.loads((tmp_path / "q.json").read_text())["configuration"]["quantization"]["target"] == "cpu"


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
    twin = run(model, "--calibration", tmp_path, "--target", "cpu", "--cpu-twin", "other.onnx")
    assert "that is not for CPUs itself" in twin.stderr
    same = run(model, "--calibration", tmp_path, "-o", model)
    assert "is the model itself" in same.stderr


def test_a_checkpoint_is_exported_first_and_needs_its_configuration(tmp_path):
    checkpoint = tmp_path / "final.pt"
    checkpoint.write_bytes(b"no checkpoint")
    alone = run(checkpoint, "--calibration", tmp_path)
    assert "needs --config" in alone.stderr
    config = ROOT / "config/models/rsb_pose_edge.yaml"
    broken = run(checkpoint, "--config", config, "--calibration", tmp_path)
    assert broken.returncode == 2
    assert "final.pt: cannot be exported" in broken.stderr
