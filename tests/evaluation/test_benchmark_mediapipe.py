"""MediaPipe as a partner process: its protocol with a stand-in, its landmarks as joints; the real one where installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rsb_pose_ros.benchmark import mediapipe_process
from rsb_pose_ros.benchmark.mediapipe_process import MediaPipeError, MediaPipePose, environment_python, make_environment
from rsb_pose_ros.benchmark.methods import MEDIAPIPE, MediaPipeOnEachView
from rsb_pose_ros.landmarks import COMPARED, LANDMARK_COUNT, LANDMARKS_OF_JOINTS, OWN_LANDMARK, joints_of_landmarks
from rsb_pose_ros.skeleton import INDEX, JOINT_NAMES, MIRROR

STAND_IN = '''
"""Answers as mediapipe_worker.py does: landmark k of a view lies at (k + the view's first pixel, 2 k); black: nobody."""
import json, sys
import numpy as np
print(json.dumps({"mediapipe": "stand-in " + " ".join(sys.argv[1:])}), flush=True)
for head in iter(sys.stdin.buffer.readline, b""):
    shape = json.loads(head)["shape"]
    views = np.frombuffer(sys.stdin.buffer.read(int(np.prod(shape))), np.uint8).reshape(shape)
    marks = [
        [[k + int(v[0, 0, 0]), 2.0 * k, 0.5] for k in range(33)] if v.any() else None for v in views
    ]
    if views.max() == 255:
        sys.exit("the stand-in gives up")
    print(json.dumps({"landmarks": marks, "seconds": 0.25}), flush=True)
'''


@pytest.fixture
def stand_in(tmp_path) -> Path:
    path = tmp_path / "worker.py"
    path.write_text(STAND_IN)
    return path


def views(left: int, right: int, size: int = 64) -> np.ndarray:
    return np.stack([np.full((size, size, 3), level, np.uint8) for level in (left, right)])


def test_every_joint_has_landmarks_of_its_own_side():
    assert tuple(LANDMARKS_OF_JOINTS) == JOINT_NAMES
    for joint, name in enumerate(JOINT_NAMES):
        # MediaPipe's left landmarks of the body are odd, its right ones even and one higher.
        mirrored = {k + 1 if k % 2 else k - 1 for k in LANDMARKS_OF_JOINTS[name] if k >= 11}
        assert mirrored <= set(LANDMARKS_OF_JOINTS[JOINT_NAMES[MIRROR[joint]]])
    assert (~COMPARED).sum() == 2 and OWN_LANDMARK.sum() == 13
    assert not OWN_LANDMARK[INDEX["pelvis"]]


def test_midpoints_are_means():
    landmarks = np.random.default_rng(0).normal(0, 1, (2, LANDMARK_COUNT, 3))
    joints = joints_of_landmarks(landmarks)
    np.testing.assert_allclose(joints[:, INDEX["l_wrist"]], landmarks[:, 15])
    np.testing.assert_allclose(joints[:, INDEX["pelvis"]], (landmarks[:, 23] + landmarks[:, 24]) / 2)
    with pytest.raises(ValueError, match="33"):
        joints_of_landmarks(landmarks[:, :17])


def test_questions_and_answers(stand_in):
    with MediaPipePose(sys.executable, still=True, worker=stand_in) as pose:
        assert pose.version == "stand-in --still"
        both = pose.ask(*views(20, 10))
        assert both.found and both.seconds == 0.25
        np.testing.assert_array_equal(both.landmarks[0, 5], [25, 10, 0.5])
        one = pose.ask(*views(20, 0))
        assert not one.found
        assert np.isfinite(one.landmarks[0]).all() and np.isnan(one.landmarks[1]).all()


def test_a_process_that_ends_is_an_error_with_its_last_words(stand_in):
    with (
        MediaPipePose(sys.executable, still=False, worker=stand_in) as pose,
        pytest.raises(MediaPipeError, match="gives up"),
    ):
        pose.ask(*views(255, 1))
    with pytest.raises(MediaPipeError, match="ended with code 2"):
        MediaPipePose(sys.executable, still=False, worker=Path("no/such/worker.py")).__enter__()


def test_landmarks_are_triangulated(stand_in):
    cameras = np.zeros((2, 3, 4))
    cameras[:, [0, 1], [0, 1]], cameras[:, 2, 2], cameras[1, 0, 3] = 300, 1, -300 * 0.1
    crops = np.stack([views(20, 10), views(20, 0)])
    with MediaPipePose(sys.executable, still=True, worker=stand_in) as pose:
        joints, keypoints, confidence = MediaPipeOnEachView(pose, crops.shape[2])(crops, np.stack([cameras] * 2))[
            MEDIAPIPE
        ]
    np.testing.assert_allclose(joints[0, :, 2], 3.0, rtol=1e-6)  # f · B / 10 px
    np.testing.assert_allclose(keypoints[0, :, INDEX["nose"]], [[20, 0], [10, 0]])
    assert np.isnan(joints[1]).all() and not confidence[1].any()


def test_an_environment_that_is_half_made_is_none(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").touch()
    assert environment_python(tmp_path) is None
    (tmp_path / ".complete").touch()
    assert make_environment(tmp_path) == tmp_path / "bin/python"
    monkeypatch.setattr(mediapipe_process, "VERSIONS", ("3.1",))
    with pytest.raises(MediaPipeError, match="--without-mediapipe"):
        make_environment(tmp_path / "other")


@pytest.mark.skipif(environment_python() is None, reason="tools/benchmark.py makes cache/mediapipe-venv")
def test_the_real_one_sees_nobody_in_black():
    with MediaPipePose(make_environment(), still=True) as pose:
        assert pose.version.startswith("0.10")
        assert not pose.ask(*views(0, 0)).found
