"""TensorRT engines: kept apart by all that they depend on, and built in a process of its own that is heard of.

No TensorRT is needed: the process that builds finds a stand-in for onnxruntime first on its path.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest

from rsb_pose_ros.inference import EngineSettings, ModelError
from rsb_pose_ros.inference import engine as module
from rsb_pose_ros.inference import gpu as nvidia
from rsb_pose_ros.inference.card import STEREO_POSE, read_card
from rsb_pose_ros.inference.engine import TENSORRT, ensure_built
from rsb_pose_ros.inference.session import ModelSession
from tests.inference.blob_model import write_blob_model
from tests.inference.claimed_providers import claim

CPU = "CPUExecutionProvider"
STAND_IN = """
import os, signal, time
from pathlib import Path
__version__ = "0"
class SessionOptions: pass
def set_default_logger_severity(level): pass
class InferenceSession:
    def __init__(self, path, options, providers, enable_fallback):
        assert Path(path).is_file() and enable_fallback == 0
        self.providers = [name for name, _ in providers]
        self.folder = Path(dict(providers)["TensorrtExecutionProvider"]["trt_engine_cache_path"])
        (self.folder / "pid").write_text(str(os.getpid()))
        (self.folder / "built").open("a").write("once ")
        build = os.environ["STAND_IN_BUILD"]
        if build == "fails": raise RuntimeError("no kernel for this layer")
        if build == "out of memory": os.kill(os.getpid(), signal.SIGKILL)
        if build == "hangs": time.sleep(60)
        if build == "slow": time.sleep(0.5)
        said = "and number of subgraphs running on TensorRT execution provider is 3"
        if build == "pieces": print("[TensorRT EP] Graph is partitioned", said)
        if build == "whole": print("[TensorRT EP] Whole graph will run on TensorRT execution provider")
        if build == "dropped": self.providers.remove("TensorrtExecutionProvider")
        self.made = build != "nothing"
    def get_providers(self): return self.providers
    def get_inputs(self): return [type("Value", (), dict(name="x", type="tensor(uint8)", shape=["batch", 3]))]
    def run(self, outputs, feeds):
        assert feeds["x"].shape == (1, 3)
        if self.made: (self.folder / "graph_0_sm87.engine").touch()
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Says what the next build does: slow, fails, out of memory, dropped, nothing."""
    package = tmp_path / "stand_in/onnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(package.parent))
    return lambda build: monkeypatch.setenv("STAND_IN_BUILD", build)


@pytest.fixture
def model(tmp_path):
    return write_blob_model(tmp_path)


@pytest.fixture
def wanted(tmp_path):
    return [(TENSORRT, EngineSettings(tmp_path / "cache").options("a" * 64)), (CPU, {})]


@pytest.fixture
def log(caplog):
    caplog.set_level("INFO", "rsb_pose_ros")
    return caplog


def folder_of(wanted) -> Path:
    return Path(wanted[0][1]["trt_engine_cache_path"])


def test_a_build_is_announced_and_done_once(stand_in, model, wanted, log):
    stand_in("slow")
    ensure_built(model, wanted, every=0.1)
    assert "building the TensorRT engine of blob.onnx" in log.text
    assert "this takes minutes the first time" in log.text
    assert "engine of blob.onnx: 0 s so far" in log.text
    assert "is built, after" in log.text
    log.clear()
    ensure_built(model, wanted)
    assert "building" not in log.text and "from " in log.text
    assert (folder_of(wanted) / "built").read_text() == "once "


def test_a_build_that_was_cut_off_is_done_again(stand_in, model, wanted):
    stand_in("works")
    (folder_of(wanted) / "graph_0_sm87.engine").touch()  # the first of several, perhaps
    ensure_built(model, wanted)
    assert (folder_of(wanted) / "built").read_text() == "once "


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        ("fails", r"failed after .* RuntimeError: no kernel for this layer \(all of it: .*build\.log\)"),
        ("out of memory", "the process was killed, most likely for want of memory"),
        ("dropped", "TensorrtExecutionProvider could not start"),
        ("nothing", "TensorRT made no engine"),
    ],
)
def test_a_build_that_comes_to_nothing_is_an_error(stand_in, model, wanted, build, sentence):
    stand_in(build)
    with pytest.raises(ModelError, match=sentence):
        ensure_built(model, wanted)
    assert not module.is_complete(folder_of(wanted))


@pytest.mark.parametrize(("build", "whole"), [("pieces", False), ("whole", True), ("works", None)])
def test_a_graph_that_tensorrt_takes_in_pieces_is_warned_of_at_every_start(stand_in, model, wanted, log, build, whole):
    stand_in(build)
    assert ensure_built(model, wanted)
    assert json.loads((folder_of(wanted) / "engine.json").read_text())["whole"] is whole
    said = "TensorRT takes blob.onnx in pieces and leaves the rest to the next provider"
    assert (said in log.text) is (build == "pieces")
    log.clear()
    assert not ensure_built(model, wanted)
    assert (said in log.text) is (build == "pieces")


def test_an_engine_that_cannot_be_used_is_built_anew_once(stand_in, monkeypatch, model, tmp_path, log):
    real, tries = onnxruntime.InferenceSession, []

    def session(path, options, providers, enable_fallback):
        tries.append(providers[0][0])
        if len(tries) in (2, 4, 5):
            raise RuntimeError("cannot deserialise the engine")
        made = real(path, options, providers=[CPU])
        made.get_providers = lambda: [name for name, _ in providers]
        return made

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CPU])
    stand_in("works")
    start = partial(
        ModelSession, model, STEREO_POSE, providers=["tensorrt", "cpu"], engines=EngineSettings(tmp_path / "cache")
    )
    start()
    start()
    assert "cannot be used, and is built anew" in log.text and len(tries) == 3
    (folder,) = (tmp_path / "cache").iterdir()
    assert (folder / "built").read_text() == "once once "
    with pytest.raises(ModelError, match="cannot deserialise the engine"):
        start()
    assert len(tries) == 5, "once is enough"


def test_int8_is_allowed_where_the_file_brings_its_ranges(tmp_path, model):
    card = read_card(model, STEREO_POSE)
    engines = EngineSettings(tmp_path)
    assert engines.for_card(card).options("abc")["trt_int8_enable"] is False
    quantized = replace(card, configuration={"quantization": {"target": "jetson"}})
    assert engines.for_card(quantized).options("abc")["trt_int8_enable"] is True
    assert EngineSettings(tmp_path, int8=False).for_card(quantized).int8 is False


def test_other_providers_build_nothing(model, log):
    ensure_built(model, [("CUDAExecutionProvider", {}), (CPU, {})])
    ensure_built(model, [(TENSORRT, {"trt_engine_cache_enable": False})])
    assert log.text == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parent's death is told by Linux")
def test_the_building_process_ends_with_the_one_that_wanted_the_engine(stand_in, model, wanted):
    stand_in("hangs")
    program = (
        f"from pathlib import Path; from {module.__name__} import ensure_built; "
        f"ensure_built(Path({str(model)!r}), {wanted!r})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    node = subprocess.Popen([sys.executable, "-c", program], env=environment)
    note = folder_of(wanted) / "pid"
    until(lambda: note.is_file() and note.read_text())
    node.send_signal(signal.SIGKILL)
    node.wait()
    until(lambda: not alive(int(note.read_text())))


def until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def tensorrt_on_this_computer(monkeypatch):
    """Sessions that report every provider that they are asked for, and run on the CPU."""
    claim(monkeypatch, TENSORRT, CPU)


def test_a_session_builds_its_engine_first(stand_in, tensorrt_on_this_computer, model, tmp_path, log):
    stand_in("works")
    session = ModelSession(model, STEREO_POSE, providers=["auto"], engines=EngineSettings(tmp_path / "cache"))
    assert session.providers == [TENSORRT, CPU]
    assert "is built, after" in log.text
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.name.startswith(session.card.sha256[:16])
    assert json.loads((folder / "engine.json").read_text())["model"] == "blob.onnx"


def test_auto_goes_on_where_no_engine_can_be_built(stand_in, tensorrt_on_this_computer, model, tmp_path, log):
    stand_in("fails")
    engines = EngineSettings(tmp_path / "cache")
    assert ModelSession(model, STEREO_POSE, providers=["auto"], engines=engines).providers == [CPU]
    assert f"{TENSORRT} does not run, trying the next" in log.text
    assert "no kernel for this layer" in log.text
    with pytest.raises(ModelError, match="no kernel for this layer"):
        ModelSession(model, STEREO_POSE, providers=["tensorrt"], engines=engines)


def test_an_engine_is_kept_apart_from_all_that_it_does_not_fit(tmp_path, monkeypatch):
    def folder(model_hash="a" * 64, extra=None, name="", **settings):
        return EngineSettings(tmp_path, **settings).folder(model_hash, extra, name)

    monkeypatch.setattr(module, "gpu", lambda device: f"Orin {device} sm_87")
    monkeypatch.setattr(module, "tensorrt_version", lambda: "10.3.0")
    folders = [
        folder(),
        folder("b" * 64),
        folder(name="a_copy"),
        folder(fp16=False),
        folder(int8=False),
        folder(fp16=False, int8=False),
        folder(extra={"trt_builder_optimization_level": 5}),
        folder(extra={"device_id": 1}),
    ]
    assert folders[0] == folder(), "the same engine is found again"
    assert folders[0].name == f"{'a' * 16}-ort{onnxruntime.__version__}-trt10.3.0-orin-0-sm-87-fp16-int8"
    monkeypatch.setattr(module, "tensorrt_version", lambda: "10.13.3")
    folders.append(folder())
    monkeypatch.setattr(module, "gpu", lambda device: "Thor sm_110")
    folders.append(folder())
    monkeypatch.setattr(onnxruntime, "__version__", "9.9.9")
    folders.append(folder())
    assert len(set(folders)) == 11


def test_engines_lie_in_the_user_s_cache_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert EngineSettings().folder("c" * 64).parent == tmp_path / "rsb_pose_ros"
    assert EngineSettings("~/engines").folder("c" * 64).parent == Path.home() / "engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert EngineSettings().folder("c" * 64).parent == Path.home() / ".cache/rsb_pose_ros"


def test_options_that_are_given_win_over_our_own(tmp_path):
    options = EngineSettings(tmp_path, int8=False).options("abc", {"trt_fp16_enable": False, "device_id": 1})
    assert options["trt_fp16_enable"] is False
    assert options["trt_int8_enable"] is False
    assert options["device_id"] == 1
    assert options["trt_engine_cache_enable"] is True
    assert options["trt_timing_cache_path"] == options["trt_engine_cache_path"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, model, wanted):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"engine cache .*file.*cannot be written .*engine_cache"):
        EngineSettings(tmp_path / "file").options("abc")
    (folder_of(wanted) / "build.log").mkdir()
    with pytest.raises(ModelError, match=r"engine cache .*cannot be written .*engine_cache"):
        ensure_built(model, wanted)


@pytest.mark.parametrize(("number", "version"), [(8601, "8.6.1"), (100300, "10.3.0"), (101303, "10.13.3")])
def test_the_version_of_tensorrt_is_asked_from_its_library(monkeypatch, number, version):
    monkeypatch.setattr(nvidia, "_library", lambda name: SimpleNamespace(getInferLibVersion=lambda: number))
    assert nvidia.tensorrt_version() == version


def fill(reference: object, value: int) -> int:
    reference._obj.value = value
    return 0


def test_the_gpu_is_asked_from_the_driver(monkeypatch):
    driver = SimpleNamespace(
        cuInit=lambda flags: 0,
        cuDeviceGet=lambda handle, device: fill(handle, device),
        cuDeviceGetName=lambda name, size, handle: ctypes.memmove(name, b"Orin\0", 5) and 0,
        cuDeviceGetAttribute=lambda value, attribute, handle: fill(value, {75: 8, 76: 7}[attribute]),
    )
    monkeypatch.setattr(nvidia, "_library", lambda name: driver)
    assert nvidia.gpu() == "Orin sm_87"
    driver.cuInit = lambda flags: 100  # CUDA_ERROR_NO_DEVICE
    assert nvidia.gpu() is None


def test_without_nvidia_s_libraries_there_is_neither(monkeypatch):
    monkeypatch.setattr(nvidia, "_library", lambda name: None)
    assert nvidia.gpu() is None
    assert nvidia.tensorrt_version() is None
