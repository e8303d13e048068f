"""A robot installs NumPy, OpenCV and onnxruntime; nothing heavier may be needed to run."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "inference",
        "images",
        "bags",
        "stereo",
        "evaluation.run",
        "benchmark.latency",
        "benchmark.operators",
        "benchmark.accuracy",
    ],
)
def test_running_needs_neither_torch_nor_ros_nor_onnx(module):
    code = (
        f"import sys, rsb_pose_ros.{module}\n"
        "print(sorted({'torch', 'rclpy', 'onnx', 'matplotlib', 'scipy', 'yaml', 'rosbags'} & set(sys.modules)))"
    )
    path = [p for p in sys.path if p]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
