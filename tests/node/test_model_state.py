"""Models that are missing, damaged or do not fit their card: the node says so, lives, and tries again when told to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import rclpy
from rcl_interfaces.srv import SetParameters

from tests.inference.blob_scene import standing_at
from tests.node.running_node import RunningNode
from tests.node.stereo_camera import StereoCamera

pytestmark = pytest.mark.ros
ERROR = b"\x02"


def missing(model: Path) -> None:
    model.unlink()


def without_card(model: Path) -> None:
    model.with_suffix(".json").unlink()


def cut_short(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:1000])


def rubbish_with_a_fitting_card(model: Path) -> None:
    from rsb_pose_ros.inference.card import sha256_of

    model.write_bytes(b"this is no onnx")
    card = json.loads(model.with_suffix(".json").read_text())
    model.with_suffix(".json").write_text(json.dumps(card | {"sha256": sha256_of(model)}))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (missing, "no such file"),
        (without_card, "expected the model's card beside it"),
        (cut_short, "SHA-256"),
        (rubbish_with_a_fitting_card, "cannot load it"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_bad_model_is_reported_and_a_mended_one_is_taken_up(
    tmp_path: Path, model: Path, camera: StereoCamera, damage: Callable[[Path], None], sentence: str
) -> None:
    mine = tmp_path / model.name
    for suffix in (".onnx", ".json"):
        shutil.copy(model.with_suffix(suffix), mine.with_suffix(suffix))
    damage(mine)
    options = {"model": mine, "diagnostics_period": 0.2}
    with RunningNode(tmp_path / "node.log", "-r", f"__ns:=/{camera.namespace}", **options) as node:
        node.wait_for_log(sentence, mine.stem)
        camera.until(
            lambda: "model" in camera.states and camera.states["model"].level == ERROR,
            lambda: camera.send_person(standing_at(0, 0, 3)),
        )
        assert sentence in camera.states["model"].message
        assert not camera.received["poses"]
        for suffix in (".onnx", ".json"):
            shutil.copy(model.with_suffix(suffix), mine.with_suffix(suffix))
        set_parameter(camera, "model", str(mine))
        camera.until(lambda: camera.received["poses"], lambda: camera.send_person(standing_at(0, 0, 3)))
        assert camera.until(lambda: camera.states["model"].level == b"\x00")
        assert node.alive


def test_a_provider_that_is_not_there_is_an_error_and_no_silent_fall_back(
    tmp_path: Path, model: Path, camera: StereoCamera
) -> None:
    options = {"model": model, "providers": "[tensorrt]", "diagnostics_period": 0.2}
    with RunningNode(tmp_path / "node.log", "-r", f"__ns:=/{camera.namespace}", **options) as node:
        node.wait_for_log("TensorrtExecutionProvider is not in this onnxruntime")
        camera.until(lambda: camera.states.get("model") and camera.states["model"].level == ERROR)


def set_parameter(camera: StereoCamera, name: str, value: object) -> object:
    """Through the parameter service, as `ros2 param set` does. Returns the result."""
    client = camera.node.create_client(SetParameters, f"/{camera.namespace}/rsb_pose/set_parameters")
    camera.until(client.service_is_ready)
    parameter = rclpy.parameter.Parameter(name, value=value).to_parameter_msg()
    future = client.call_async(SetParameters.Request(parameters=[parameter]))
    camera.until(future.done)
    return future.result().results[0]


@pytest.mark.parametrize("exact", [False, True])
def test_on_a_cpu_the_twin_for_cpus_runs_unless_that_is_forbidden(
    tmp_path: Path, model: Path, camera: StereoCamera, exact: bool
) -> None:
    for name in ("gpu", "cpu"):
        shutil.copy(model, tmp_path / f"{name}.onnx")
        card = json.loads(model.with_suffix(".json").read_text())
        card["configuration"]["quantization"] = {"cpu_twin": "cpu.onnx"} if name == "gpu" else {}
        (tmp_path / f"{name}.json").write_text(json.dumps(card))
    options = {"model": tmp_path / "gpu.onnx", "diagnostics_period": 0.2, "exact_model": str(exact).lower()}
    with RunningNode(tmp_path / "node.log", "-r", f"__ns:=/{camera.namespace}", **options) as node:
        node.wait_for_log("gpu.onnx runs on CPUExecutionProvider" if exact else "taking cpu.onnx")
