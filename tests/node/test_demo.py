"""The demo and the player as programs: a short recording goes over DDS, and a report comes out."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.bags.recordings import START_NS, build, image, stereo_messages, write_messages
from tests.inference.blob_scene import picture, pinhole_rig, standing_at
from tests.node.stereo_camera import StereoCamera

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 45
TIME_LIMIT = 150

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person who walks, for a second and a half."""
    rig = pinhole_rig()
    truth = [standing_at(0.01 * i, 0, 3) for i in range(PAIRS)]
    messages = stereo_messages(rig, [picture(rig, joints) for joints in truth], truth)
    return write_messages(tmp_path_factory.mktemp("recording") / "bag", messages)


def chat() -> list[tuple[str, int, Any]]:
    """A recording without pictures, and with a type that the environment from PyPI does not have."""
    text = build("std_msgs/msg/String", data="hello")
    transforms = build("tf2_msgs/msg/TFMessage", transforms=[])
    return [("/chat", START_NS, text), ("/tf", START_NS + 1000, transforms)]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """A program of tools/, with what it printed."""
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=TIME_LIMIT, cwd=ROOT
    )


def test_demo_measures_the_chain(bag: Path, model: Path, tmp_path: Path) -> None:
    # At a third of the pace, and whatever share of the pairs this machine managed: a test of the report, not of speed.
    done = run("tools/demo.py", "--bag", bag, "--model", model, "--output", tmp_path, "--rate", "0.33")
    report = json.loads((tmp_path / "report.json").read_text())
    if report["poses_published"] >= 0.9 * PAIRS:
        assert done.returncode == 0, done.stdout + done.stderr
    assert report["provider"] == "CPUExecutionProvider"
    assert report["pairs_published"] == PAIRS >= report["pairs_received"] >= report["poses_published"] > 0
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"]
    assert 0 < report["rate_hz"] < 12
    error = report["mpjpe_mm"]
    assert 0 < error["pa"] < error["absolute"] < 80
    assert f"MPJPE absolute             {error['absolute']} mm" in done.stdout
    strip = cv2.imread(str(tmp_path / "strip.png"))
    assert strip is not None and strip.shape[0] == 3 * 240
    assert cv2.imread(str(tmp_path / "skeleton_3d.png")) is not None


def test_demo_fails_with_a_sentence_when_poses_are_missing(model: Path, tmp_path: Path) -> None:
    rig = pinhole_rig()
    empty = [picture(rig, None)] * 10
    bag = write_messages(tmp_path / "empty_room", stereo_messages(rig, empty, [standing_at(0, 0, 3)] * 10))
    done = run("tools/demo.py", "--bag", bag, "--model", model, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "0 of 10 pairs got a pose (0 %), expected at least 90 %" in done.stderr
    assert json.loads((tmp_path / "out/report.json").read_text())["mpjpe_mm"]["absolute"] is None


@pytest.mark.parametrize(
    ("poses", "dropped", "enough"), [(95, 0, True), (60, 38, True), (60, 9, False), (85, 0, False)]
)
def test_pairs_that_a_slow_machine_drops_do_not_count(
    poses: int, dropped: int, enough: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "tools/demo.py")
    assert spec is not None and spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    state = SimpleNamespace(values=[SimpleNamespace(key="pairs_dropped_for_newer", value=str(dropped))])
    with nullcontext() if enough else pytest.raises(demo.DemoError, match=f"{poses} of 100 pairs got a pose"):
        demo.judge({"poses_published": poses, "pairs_published": 100}, state)
    assert ("slow or busy" in capsys.readouterr().out) == (dropped > 30)


def test_demo_says_which_part_did_not_run(bag: Path, tmp_path: Path) -> None:
    done = run("tools/demo.py", "--bag", bag, "--model", tmp_path / "none.onnx", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "none.onnx: no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_player_names_topics_that_a_recording_lacks(bag: Path) -> None:
    done = run("tools/play_bag.py", bag, "--topics", "/nowhere")
    assert done.returncode == 1
    assert "has no topic /nowhere; it has /stereo/" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_says_at_once_what_the_recording_lacks(tmp_path: Path) -> None:
    bag = write_messages(tmp_path / "chat", chat())
    done = run("tools/demo.py", "--bag", bag, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "no pair of left and right images was recognised" in done.stderr and "/chat" in done.stderr


def test_demo_listens_where_the_recording_has_its_pictures(model: Path, tmp_path: Path) -> None:
    rig, truth = pinhole_rig(), [standing_at(0, 0, 3)] * 12
    pictures = [picture(rig, joints) for joints in truth]
    messages = stereo_messages(rig, pictures, truth, encode=image, suffix="/image_raw")
    elsewhere = [(topic.replace("/stereo/", "/robot/zed/"), *rest) for topic, *rest in messages]
    bag = write_messages(tmp_path / "robot", elsewhere)
    run("tools/demo.py", "--bag", bag, "--model", model, "--output", tmp_path / "out", "--rate", "0.1")
    assert json.loads((tmp_path / "out/report.json").read_text())["poses_published"] > 0


def test_the_player_leaves_out_what_it_cannot_publish(tmp_path: Path) -> None:
    """PyPI has no tf2_msgs, and most recordings of robots have /tf."""
    bag, log = write_messages(tmp_path / "chat", chat()), tmp_path / "log"
    done = run("tools/play_bag.py", bag, "--log", log)
    assert done.returncode == 0, done.stderr
    assert log.read_text() == ""  # of messages with a header alone
    done = run("tools/play_bag.py", bag, "--topics", "/tf", "/nowhere")
    assert done.returncode == 1
    assert "has no topic /nowhere; it has /chat" in done.stderr and "Traceback" not in done.stderr


def test_the_player_sends_the_recording_as_it_is_and_loops(bag: Path) -> None:
    camera = StereoCamera("elsewhere")
    from sensor_msgs.msg import CompressedImage

    received: list[CompressedImage] = []
    camera.node.create_subscription(CompressedImage, "/stereo/left/image_raw/compressed", received.append, 10)
    command = [sys.executable, str(ROOT / "tools/play_bag.py"), str(bag), "--loop"]
    player = subprocess.Popen(command, env=os.environ.copy(), stderr=subprocess.PIPE, text=True)
    try:
        camera.until(lambda: len(received) > PAIRS)
        assert received[0].header.stamp.sec >= 1_700_000_000
        decoded = cv2.imdecode(np.frombuffer(bytes(received[0].data), np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == (480, 640, 3)
    finally:
        player.terminate()
        _, errors = player.communicate(timeout=30)
        camera.close()
    assert player.returncode == 0, errors


def test_the_player_names_a_recording_that_is_not_there(tmp_path: Path) -> None:
    done = run("tools/play_bag.py", tmp_path / "nothing")
    assert done.returncode == 1
    assert "nothing: cannot be opened" in done.stderr and "Traceback" not in done.stderr
