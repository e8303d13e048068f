"""Which hardware runs a model: the best there is, in steps that are all said aloud; what is asked for, or an error."""

import logging
from importlib import metadata

import onnxruntime
import pytest

from rsb_pose_ros.inference import ModelError, StereoPoseEstimator
from rsb_pose_ros.inference import providers as module
from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.providers import only_cpu, resolve
from rsb_pose_ros.inference.session import ModelSession
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import pinhole_rig

TENSORRT, CUDA, AZURE, CPU = (f"{n}ExecutionProvider" for n in ("Tensorrt", "CUDA", "Azure", "CPU"))
EVERYTHING = [TENSORRT, CUDA, AZURE, CPU]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_blob_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def runtime(monkeypatch):
    """A runtime that was built with `there`, of which only `runs` start; notes what sessions were asked for."""

    def pretend(there, runs=(CPU,), gpu=None, without_code_for=()):
        real, asked = onnxruntime.InferenceSession, []

        def session(path, options, providers, enable_fallback):
            assert enable_fallback == 0, "ONNX Runtime must not choose other providers by itself"
            names = [name for name, _ in providers]
            asked.append(names)
            made = real(path, options, providers=[CPU])
            made.get_providers = lambda: [name for name in names if name in runs]
            if set(names) & set(without_code_for):
                made.run = no_kernel
            return made

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
        monkeypatch.setattr(onnxruntime, "InferenceSession", session)
        monkeypatch.setattr(module, "gpu", lambda: gpu)
        return asked

    return pretend


def no_kernel(outputs, feeds):
    raise RuntimeError("CUDA failure 209: no kernel image is available for execution on the device")


@pytest.fixture
def log(caplog):
    caplog.set_level("INFO", "rsb_pose_ros")
    return caplog


def names(attempts):
    return [[name for name, _ in attempt] for attempt in attempts]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (EVERYTHING, [[TENSORRT, CUDA, CPU], [CUDA, CPU], [CPU]]),
        ([CUDA, CPU], [[CUDA, CPU], [CPU]]),
        ([AZURE, CPU], [[CPU]]),
    ],
)
def test_auto_tries_the_best_there_is_and_then_the_next(runtime, there, expected):
    runtime(there)
    assert names(resolve(["auto"])) == expected


def test_auto_says_what_it_does_not_try(runtime, model, log):
    runtime([CPU])
    assert ModelSession(model, STEREO_POSE, providers=["auto"]).providers == [CPU]
    assert "has CPUExecutionProvider" in log.text
    for name in (TENSORRT, CUDA):
        assert f"{name} is not in this onnxruntime, and is not tried" in log.text
    assert "blob.onnx runs on CPUExecutionProvider" in log.text


def test_a_gpu_that_lies_idle_is_warned_of(runtime, log):
    runtime([CPU], gpu="Orin sm_87")
    resolve(["auto"])
    warnings = [r.getMessage() for r in log.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert all("there is a GPU (Orin sm_87)" in w and "install" in w for w in warnings)


def test_auto_says_why_a_better_provider_does_not_run(runtime, model, log):
    """A runtime that was built with CUDA on a computer without: ONNX Runtime itself would fall back in silence."""
    asked = runtime([CUDA, CPU])
    assert ModelSession(model, STEREO_POSE, providers=["auto"]).providers == [CPU]
    assert asked == [[CUDA, CPU], [CPU]]
    assert f"{CUDA} does not run, trying the next" in log.text
    assert "could not start" in log.text
    assert "the GPU is not to be seen" in log.text


def test_a_runtime_that_was_built_for_other_gpus_is_found_out(runtime, model, log):
    """It has the provider, and starts it."""
    runtime([CUDA, CPU], runs=(CUDA, CPU), without_code_for=(CUDA,))
    assert ModelSession(model, STEREO_POSE, providers=["auto"]).providers == [CPU]
    assert f"starts on {CUDA}, but does not run there (CUDA failure 209" in log.text
    with pytest.raises(ModelError, match="built for this GPU"):
        ModelSession(model, STEREO_POSE, providers=["cuda", "cpu"])


def test_the_best_that_runs_is_taken_and_nothing_else_is_tried(runtime, model, log):
    asked = runtime([CUDA, CPU], runs=(CUDA, CPU))
    assert ModelSession(model, STEREO_POSE, providers=["auto"]).providers == [CUDA, CPU]
    assert asked == [[CUDA, CPU]]
    assert "blob.onnx runs on CUDAExecutionProvider, CPUExecutionProvider" in log.text


@pytest.mark.parametrize("providers", [["cuda"], [CUDA, "cpu"], ["tensorrt", "cuda", "cpu"]])
def test_what_is_asked_for_and_not_installed_is_an_error(runtime, model, providers):
    runtime([AZURE, CPU])
    with pytest.raises(ModelError) as caught:
        ModelSession(model, STEREO_POSE, providers=providers)
    sentence = str(caught.value)
    assert "ExecutionProvider is not in this onnxruntime" in sentence
    assert f"installed: onnxruntime {metadata.version('onnxruntime')}" in sentence
    assert "it has AzureExecutionProvider, CPUExecutionProvider" in sentence
    assert "then install" in sentence


@pytest.mark.parametrize(
    ("machine", "name", "words"),
    [
        ("aarch64", CUDA, "docs/jetson.md"),
        ("x86_64", CUDA, "onnxruntime-gpu"),
        ("x86_64", TENSORRT, "TensorRT 10"),
        ("x86_64", "NoSuchExecutionProvider", "a build of onnxruntime that has it"),
    ],
)
def test_what_to_install_depends_on_the_machine(monkeypatch, machine, name, words):
    monkeypatch.setattr(module.platform, "machine", lambda: machine)
    assert words in module.remedy(name)


def test_what_is_asked_for_and_cannot_start_is_an_error(runtime, model):
    asked = runtime([CUDA, CPU])
    with pytest.raises(ModelError, match=r"CUDAExecutionProvider was asked for but could not start.*ldd "):
        ModelSession(model, STEREO_POSE, providers=["cuda", "cpu"])
    assert asked == [[CUDA, CPU]]


def test_a_file_that_no_provider_can_load_is_an_error_with_auto_too(runtime, tmp_path, model):
    runtime([CPU])
    with pytest.raises(ModelError, match="no such file"):
        ModelSession(tmp_path / "none.onnx", STEREO_POSE, providers=["auto"])


def test_options_go_to_the_provider_that_they_are_for(runtime):
    runtime(EVERYTHING)
    assert resolve([("cuda", {"device_id": 1}), "cpu"]) == [[(CUDA, {"device_id": 1}), (CPU, {})]]
    assert only_cpu(resolve(["cpu"])[0]) and only_cpu(resolve(None)[0])
    assert not only_cpu(resolve(["cuda", "cpu"])[0])


def test_the_estimator_says_what_really_runs(runtime, model):
    runtime([CUDA, CPU], runs=(CUDA, CPU))
    assert StereoPoseEstimator(model, pinhole_rig(), providers=["auto"]).providers == [CUDA, CPU]


def test_one_provider_may_be_given_by_its_name_alone():
    assert resolve("cpu") == [[("CPUExecutionProvider", {})]]
