"""Fixtures: a node over the stand-in network, and a camera for it. Skipped where ROS 2 is not installed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from tests.inference.blob_model import write_blob_model
from tests.node.running_node import RunningNode
from tests.node.stereo_camera import StereoCamera

_numbers = itertools.count()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in network, as a file with its card."""
    return write_blob_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"rig{next(_numbers)}"


@pytest.fixture
def camera(namespace: str) -> Iterator[StereoCamera]:
    """A camera in the namespace."""
    with closing(StereoCamera(namespace)) as camera:
        yield camera


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[tuple[RunningNode, StereoCamera]]:
    """One running node and its camera for all tests of a file: the node has to survive them all."""
    namespace = f"shared{next(_numbers)}"
    log = tmp_path_factory.mktemp("node") / "node.log"
    options = {"model": model, "diagnostics_period": 0.2, "smoothing": False}
    with RunningNode(log, "-r", f"__ns:=/{namespace}", **options) as node, closing(StereoCamera(namespace)) as camera:
        node.wait_for_log("waiting for")
        yield node, camera
