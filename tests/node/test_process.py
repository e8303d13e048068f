"""The life of the node's process, and what it does with publishers that come late, loop, or lose time."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import Marker

from tests.inference.blob_scene import picture, standing_at
from tests.node.running_node import PATIENCE, SOURCE, RunningNode
from tests.node.stereo_camera import (
    FRAME,
    PERIOD_NS,
    StereoCamera,
    camera_info,
    compressed,
    image,
    stamp_of,
)
from tests.node.test_model_state import set_parameter

pytestmark = pytest.mark.ros
PERSON = standing_at(0, 0, 3)
ROOT = Path(__file__).resolve().parents[2]


def running(tmp_path: Path, namespace: str, model: Path, **parameters: object) -> RunningNode:
    parameters = {"model": model, "diagnostics_period": 0.2, **parameters}
    return RunningNode(tmp_path / "node.log", "-r", f"__ns:=/{namespace}", **parameters)


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)],
    ids=lambda signals: "+".join(s.name for s in signals),
)
def test_signals_end_it_cleanly(
    tmp_path: Path, namespace: str, model: Path, signals: tuple[signal.Signals, ...]
) -> None:
    with running(tmp_path, namespace, model) as node:
        node.wait_for_log("waiting for")
        assert node.signal(*signals) == 0, node.log
        assert "Traceback" not in node.log


def test_opencv_leaves_the_cores_to_onnx_runtime(tmp_path: Path) -> None:
    program = (
        "import threading, cv2\n"
        "from rsb_pose_ros.node.process import _run\n"
        "cv2.setNumThreads(4)\n"
        "stop = threading.Event()\n"
        "stop.set()\n"
        "print(_run(['--ros-args', '-p', 'model:=/none.onnx'], stop), cv2.getNumThreads())\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines()[-1:] == ["0 1"], done.stdout + done.stderr


def test_the_markers_are_taken_off_the_screen_at_the_end(tmp_path: Path, camera: StereoCamera, model: Path) -> None:
    with running(tmp_path, camera.namespace, model) as node:
        camera.until(lambda: camera.received["markers"], lambda: camera.send_person(PERSON))
        assert node.signal(signal.SIGINT) == 0, node.log
        camera.until(lambda: camera.received["markers"][-1].markers[0].action == Marker.DELETEALL)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("transport", "pigeon", "expected one of raw, compressed"),
        ("slop", "1", "DOUBLE"),
        ("slop", "7.0", "slop"),
        ("providers", "[]", "providers"),
        ("providers", "cpu", "[cpu] is a list"),
        ("target_frame", "", "'-p target_frame:='"),
    ],
)
def test_a_parameter_that_cannot_be_ends_it_with_a_sentence(
    tmp_path: Path, namespace: str, model: Path, name: str, value: str, sentence: str
) -> None:
    with running(tmp_path, namespace, model, **{name: value}) as node:
        assert node.process.wait(PATIENCE) == 1
        assert "cannot start" in node.log and sentence in node.log
        assert "Traceback" not in node.log


def test_compressed_images(tmp_path: Path, namespace: str, model: Path) -> None:
    camera = StereoCamera(namespace, kind=CompressedImage)
    with running(tmp_path, namespace, model, transport="compressed"):
        camera.until(
            lambda: any(p.poses for p in camera.received["poses"]), lambda: camera.send_person(PERSON, compressed)
        )
    camera.close()


def test_the_shared_memory_profile_is_understood_and_reaches_publishers_without_it(
    tmp_path: Path, camera: StereoCamera, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        monkeypatch.setenv(variable, str(ROOT / "config/fastdds_shm.xml"))
    with running(tmp_path, camera.namespace, model) as node:
        camera.until(lambda: camera.received["poses"], lambda: camera.send_person(PERSON))
        assert "XMLPARSER" not in node.log and "Error" not in node.log


def test_camera_info_that_was_published_once_before_the_node_came(tmp_path: Path, namespace: str, model: Path) -> None:
    camera = StereoCamera(namespace, latched_infos=True)
    camera.send_infos()
    left, right = (image(view) for view in picture(camera.rig, PERSON))
    with running(tmp_path, namespace, model):
        camera.until(lambda: camera.received["poses"], lambda: camera.send(left, right))
    camera.close()


def test_a_listener_that_comes_late_is_served(tmp_path: Path, camera: StereoCamera, model: Path) -> None:
    with running(tmp_path, camera.namespace, model):
        camera.until(lambda: camera.received["poses"], lambda: camera.send_person(PERSON))
        late = StereoCamera(camera.namespace)
        for _ in range(200):
            camera.send_person(PERSON)
            late.spin(0.05)
            if late.received["markers"] and late.received["keypoints"]:
                break
        assert late.received["markers"] and late.received["keypoints"]
        late.close()


def test_a_camera_that_comes_back_with_another_calibration(tmp_path: Path, camera: StereoCamera, model: Path) -> None:
    with running(tmp_path, camera.namespace, model) as node:
        camera.until(lambda: camera.received["poses"], lambda: camera.send_person(PERSON))
        infos = [camera_info(camera.rig, side, "another_frame") for side in (0, 1)]
        infos[1].p[3] *= 2  # twice the baseline: everything is twice as far away
        left, right = (image(view) for view in picture(camera.rig, PERSON))
        found = camera.until(
            lambda: [p for p in camera.received["poses"] if p.poses and abs(p.poses[6].position.z - 6.0) < 0.5],
            lambda: (camera.send_infos(*infos), camera.send(left, right)),
        )
        assert {p.header.frame_id for p in found} == {"another_frame"}
        assert {p.header.frame_id for p in camera.received["poses"]} == {FRAME, "another_frame"}
        assert "focal length 260.0 px, frame 'another_frame'" in node.log


def test_a_recording_that_loops_goes_on_and_ids_start_over(tmp_path: Path, camera: StereoCamera, model: Path) -> None:
    with running(tmp_path, camera.namespace, model) as node:
        start = camera.stamp_ns
        for _ in range(3):
            camera.forget()
            camera.stamp_ns = start
            camera.until(
                lambda: (
                    len([p for p in camera.received["poses"] if p.poses]) > 2
                    and camera.stamp_ns > start + 20 * PERIOD_NS
                ),
                lambda: camera.send_person(PERSON),
            )
            # On a slow machine a gap may end the track, and a later id follows; without a new start 0 never comes back.
            assert "body_0" in {m.ns for a in camera.received["markers"] for m in a.markers if m.action == Marker.ADD}
        assert "jumped back" in node.log


def test_pairs_older_than_max_latency_are_dropped(tmp_path: Path, camera: StereoCamera, model: Path) -> None:
    """The camera's stamps are years old."""
    with running(tmp_path, camera.namespace, model, max_latency=0.5):
        camera.until(
            lambda: "refused: too old" in camera.values("images"),
            lambda: camera.send_person(PERSON),
        )
        assert not camera.received["poses"]


def test_reliable_subscription_to_a_best_effort_camera_is_said_on_the_log(
    tmp_path: Path, camera: StereoCamera, model: Path
) -> None:
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    for side in ("left", "right"):
        camera.node.create_publisher(Image, f"{side}/image_raw", profile)
    with running(tmp_path, camera.namespace, model, reliability="reliable") as node:
        node.wait_for_log("left/image_raw: a publisher offers a QoS", "set reliability to best_effort")


def test_live_parameters_take_effect_and_others_are_refused(tmp_path: Path, camera: StereoCamera, model: Path) -> None:
    with running(tmp_path, camera.namespace, model):
        camera.until(lambda: camera.received["poses"], lambda: camera.send_person(PERSON))
        assert not set_parameter(camera, "transport", "compressed").successful  # read at the start only
        assert not set_parameter(camera, "min_confidence", 7.0).successful  # out of range
        assert set_parameter(camera, "publish_poses", False).successful
        camera.forget()
        camera.until(lambda: len(camera.received["keypoints"]) > 3, lambda: camera.send_person(PERSON))
        last = max(stamp_of(p) for p in camera.received["poses"]) if camera.received["poses"] else 0
        assert last < stamp_of(camera.received["keypoints"][-1])


def test_target_frame_without_tf2_is_said_and_nothing_goes_out_in_the_wrong_frame(
    tmp_path: Path, camera: StereoCamera, model: Path
) -> None:
    if importlib.util.find_spec("tf2_ros"):
        pytest.skip("tf2_ros is installed")
    with running(tmp_path, camera.namespace, model, target_frame="base_link") as node:
        camera.until(lambda: "tf2_ros is not installed" in node.log, lambda: camera.send_person(PERSON))
        assert not camera.received["poses"]
