"""A small network of the real one's contract, and windows of it with and without people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.quantization.windows import Windows, windows_of
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import picture, pinhole_rig, standing_at

RIG = pinhole_rig()
WALK = [standing_at(0.1 * i, 0, 2.8) for i in range(3)]


class Shot:
    """A stereo pair with its truth."""

    def __init__(self, joints: np.ndarray | None) -> None:
        self.left, self.right = picture(RIG, joints)
        self.truth = joints


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blob_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def float_model(model: Path) -> onnx.ModelProto:
    return onnx.load(model)


@pytest.fixture(scope="session")
def windows(model: Path) -> Windows:
    return windows_of(StereoPoseEstimator(model, RIG, threads=1), [Shot(j) for j in [*WALK, None]])
