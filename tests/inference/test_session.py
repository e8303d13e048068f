"""Sessions say what really runs, and refuse what does not fit."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from rsb_pose_ros.inference import ModelError
from rsb_pose_ros.inference.card import STEREO_POSE, card_path, sha256_of
from rsb_pose_ros.inference.providers import check_running, resolve, tensorrt_options
from rsb_pose_ros.inference.session import ModelSession
from tests.inference.blob_model import SIZE, write_blob_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_blob_model(tmp_path_factory.mktemp("model"))


def rehash(path):
    content = json.loads(card_path(path).read_text())
    content["sha256"] = sha256_of(path)
    card_path(path).write_text(json.dumps(content))


def test_the_cpu_runs_and_says_so(model):
    assert ModelSession(model, STEREO_POSE, threads=1).providers == ["CPUExecutionProvider"]
    assert ModelSession(model, STEREO_POSE, providers=["cpu"]).providers == ["CPUExecutionProvider"]


def test_a_bound_session_gives_what_a_plain_one_gives(model):
    session = ModelSession(model, STEREO_POSE, threads=1)
    bound = session.bind()
    rng = np.random.default_rng(0)
    bound.inputs["crops"][:] = rng.integers(0, 255, (1, 2, SIZE, SIZE, 3))
    bound.inputs["projections"][:] = rng.uniform(1, 5, (1, 2, 3, 4))
    found = {name: array.copy() for name, array in bound.run().items()}
    expected = session.run(**bound.inputs)
    assert set(found) == set(expected) == {"joints", "joints_initial", "keypoints", "confidence", "covariance"}
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this runtime has CUDA")
@pytest.mark.parametrize("providers", [["cuda"], ["CUDAExecutionProvider", "cpu"], ["tensorrt", "cuda", "cpu"]])
def test_a_provider_that_is_not_there_is_an_error(model, providers):
    with pytest.raises(
        ModelError, match=r"ExecutionProvider is not in this onnxruntime .*it has .*CPUExecutionProvider"
    ):
        ModelSession(model, STEREO_POSE, providers=providers)


def test_a_provider_that_onnxruntime_dropped_is_an_error():
    wanted = [("CUDAExecutionProvider", {}), ("CPUExecutionProvider", {})]
    with pytest.raises(ModelError, match="CUDAExecutionProvider was asked for but could not start"):
        check_running(wanted, ["CPUExecutionProvider"], "m.onnx")
    check_running(wanted[1:], ["CPUExecutionProvider"], "m.onnx")


def test_one_provider_may_be_given_by_its_name_alone(tmp_path):
    assert resolve("cpu", "0" * 64, tmp_path) == [("CPUExecutionProvider", {})]


def test_auto_takes_the_best_there_is(monkeypatch, tmp_path):
    everything = [
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "AzureExecutionProvider",
        "CPUExecutionProvider",
    ]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: everything)
    names = [name for name, _ in resolve(["auto"], "0" * 64, tmp_path)]
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def test_options_that_are_given_win_over_our_own(monkeypatch, tmp_path):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider"])
    given = ("tensorrt", {"trt_fp16_enable": False, "device_id": 1})
    name, options = resolve([given], "abc", tmp_path)[0]
    assert name == "TensorrtExecutionProvider"
    assert options["trt_fp16_enable"] is False
    assert options["device_id"] == 1
    assert options["trt_engine_cache_enable"] is True


def test_engines_of_different_models_lie_apart(tmp_path, monkeypatch):
    folders = {tensorrt_options(model_hash, tmp_path)["trt_engine_cache_path"] for model_hash in ("a" * 64, "b" * 64)}
    assert len(folders) == 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert str(tmp_path / "xdg" / "rsb_pose_ros") in tensorrt_options("c" * 64)["trt_timing_cache_path"]


def test_negative_threads_are_refused(model):
    with pytest.raises(ValueError, match="threads is -1"):
        ModelSession(model, STEREO_POSE, threads=-1)


def test_a_file_that_is_no_onnx(tmp_path):
    path = write_blob_model(tmp_path)
    path.write_bytes(b"this is no model")
    rehash(path)
    with pytest.raises(ModelError, match=r"blob\.onnx: ONNX Runtime .* cannot load it"):
        ModelSession(path, STEREO_POSE)


def test_a_graph_that_is_not_what_its_card_says(tmp_path):
    path = write_blob_model(tmp_path, size=64)
    graph = onnx.load(path)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(graph, path)
    rehash(path)
    with pytest.raises(
        ModelError, match=r"model .*blob\.onnx: input crops is uint8 \(3, 2, 64, 64, 3\); expected uint8"
    ):
        ModelSession(path, STEREO_POSE)
