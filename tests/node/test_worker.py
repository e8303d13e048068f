"""What the worker says of a model while it is being loaded."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rcl_interfaces")

from rsb_pose_ros.node import worker as module
from rsb_pose_ros.node.complaints import Complaints
from rsb_pose_ros.node.log_bridge import forwarded
from rsb_pose_ros.node.parameters import Parameters
from tests.node.stereo_camera import small_rig

pytestmark = pytest.mark.ros
ENGINE_LOG = logging.getLogger("rsb_pose_ros.inference.engine")


class Log:
    """A logger of ROS, as far as the worker needs one."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, severity: str) -> Any:
        return lambda sentence: self.lines.append((severity, sentence))


def worker(log: Log, parameters: Parameters) -> module.PoseWorker:
    return module.PoseWorker(
        lambda: parameters, lambda *_: None, ("left", "right"), Complaints(log.warning), log, time.monotonic
    )


def test_diagnostics_know_how_long_an_engine_has_been_in_the_making(monkeypatch: pytest.MonkeyPatch) -> None:
    log, seen, asked = Log(), [], []

    def session(path: Path, task: str, **runtime: Any) -> SimpleNamespace:
        asked.append(runtime)
        ENGINE_LOG.warning("building the TensorRT engine of %s: %d s so far", path.name, 30)
        seen.append(work.model)
        return SimpleNamespace(path=path.with_name("twin.onnx"), providers=["TensorrtExecutionProvider"])

    monkeypatch.setattr(module, "ModelSession", session)
    work = worker(log, Parameters(engine_cache="/cache", tensorrt_fp16=False, exact_model=True, providers=["tensorrt"]))
    work.start()
    end = time.monotonic() + 10
    while work.model.phase != module.WAITING and time.monotonic() < end:
        time.sleep(0.01)
    work.stop(5)
    assert [state.phase for state in seen] == [module.LOADING]
    assert seen[0].sentence == "building the TensorRT engine of rsb_pose_edge_int8.onnx: 30 s so far"
    assert ("warning", seen[0].sentence) in log.lines
    assert Path(work.model.path).name == "twin.onnx", "what really runs is said"
    assert work.model.sentence == ""
    (engines,) = (runtime.pop("engines") for runtime in asked)
    assert (engines.cache, engines.fp16, engines.int8) == ("/cache", False, True)
    assert asked == [{"providers": ["tensorrt"], "threads": 0, "exact_model": True}]


def test_what_the_package_says_goes_to_the_node_s_log_only_meanwhile() -> None:
    log, heard = Log(), []
    with forwarded(log, heard.append):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            ENGINE_LOG.log(level, "level %d", level)
    ENGINE_LOG.error("later")
    assert log.lines == [("info", "level 20"), ("warning", "level 30"), ("error", "level 40")]
    assert heard == ["level 20", "level 30", "level 40"]


def test_another_calibration_keeps_the_model(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    made = []

    class Counted(module.StereoPoseEstimator):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            made.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(module, "StereoPoseEstimator", Counted)
    log = Log()
    work = worker(log, Parameters(model=str(model), threads=1))
    work.use_rig(small_rig(), "left")
    work.start()
    end = time.monotonic() + 20
    while work.model.phase != module.READY and time.monotonic() < end:
        time.sleep(0.01)
    work.use_rig(None)
    time.sleep(3 * module.IDLE)
    work.use_rig(small_rig(), "other")
    while not any("another calibration" in line for _, line in log.lines) and time.monotonic() < end:
        time.sleep(0.01)
    work.stop(5)
    assert len(made) == 1
    assert work.model.phase == module.READY
    assert ("info", "another calibration: 0.120 m of baseline; nobody is followed any more") in log.lines
