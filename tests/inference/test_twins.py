"""The twin for CPUs: only where nothing but the CPU runs, where the card names one that is there, and unless forbidden."""

import json
import shutil
from pathlib import Path

import onnxruntime
import pytest

from rsb_pose_ros.inference import ModelError, StereoPoseEstimator, read_card, write_card
from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.session import ModelSession
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import pinhole_rig
from tests.inference.claimed_providers import claim

SHIPPED = Path(__file__).resolve().parents[2] / "models/rsb_pose_edge.onnx"
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def edit(model: Path, **changes: object) -> Path:
    card = json.loads(model.with_suffix(".json").read_text())
    model.with_suffix(".json").write_text(json.dumps(card | changes))
    return model


def copied(folder: Path, name: str, **changes: object) -> Path:
    for suffix in (".onnx", ".json"):
        shutil.copy(SHIPPED.with_suffix(suffix), folder / f"{name}{suffix}")
    return edit(folder / f"{name}.onnx", name=name, **changes)


@pytest.fixture
def model(tmp_path):
    write_blob_model(tmp_path, "int8_cpu")
    return edit(write_blob_model(tmp_path, "int8"), cpu_twin="int8_cpu.onnx")


def ran(model: Path, exact: bool = False, **options: object) -> str:
    return ModelSession(model, STEREO_POSE, exact_model=exact, **options).path.name


def test_the_shipped_model_s_twin_runs_on_a_cpu(tmp_path, caplog):
    model = copied(tmp_path, "rsb_pose_edge_int8", cpu_twin="rsb_pose_edge_int8_cpu.onnx")
    twin = copied(tmp_path, "rsb_pose_edge_int8_cpu")
    caplog.set_level("INFO", "rsb_pose_ros")
    estimator = StereoPoseEstimator(model, pinhole_rig(), threads=1)
    assert estimator.model == twin
    assert estimator.card.name == "rsb_pose_edge_int8_cpu"
    assert "taking rsb_pose_edge_int8_cpu.onnx instead of rsb_pose_edge_int8.onnx" in caplog.text
    assert StereoPoseEstimator(model, pinhole_rig(), threads=1, exact_model=True).model == model


def test_sessions_run_what_they_are_given_unless_told_otherwise(model):
    assert ModelSession(model, STEREO_POSE).path == model


@pytest.mark.parametrize("providers", [None, ["cpu"], ["auto"], [CPU]])
def test_it_is_taken_where_nothing_but_the_cpu_runs(model, monkeypatch, providers):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert ran(model, providers=providers) == "int8_cpu.onnx"


@pytest.mark.parametrize(("starts", "expected"), [(True, "int8.onnx"), (False, "int8_cpu.onnx")])
def test_whether_a_gpu_really_runs_decides(model, monkeypatch, starts, expected):
    claim(monkeypatch, CUDA, CPU, starts=lambda name: starts or name == CPU)
    assert ran(model, providers=["auto"]) == expected


def test_a_twin_of_other_weights_is_refused(model):
    edit(model, configuration={"quantization": {"float32_sha256": "a" * 64}})
    assert ran(model) == "int8_cpu.onnx", "nothing is known of the other's"
    edit(model.with_name("int8_cpu.onnx"), configuration={"quantization": {"float32_sha256": "a" * 64}})
    assert ran(model) == "int8_cpu.onnx"
    edit(model.with_name("int8_cpu.onnx"), configuration={"quantization": {"float32_sha256": "b" * 64}})
    with pytest.raises(ModelError, match=r"int8_cpu\.onnx: was quantized from other weights \(bbb.*quantize both"):
        ran(model)


def test_cuda_without_tensorrt_runs_the_float_file(tmp_path, model, monkeypatch, caplog):
    claim(monkeypatch, CUDA, CPU)
    caplog.set_level("INFO", "rsb_pose_ros")
    assert ran(model, providers=["auto"]) == "int8.onnx", "it is not known what the file was made of"
    origin = write_blob_model(tmp_path, "float")
    sha256 = json.loads(origin.with_suffix(".json").read_text())["sha256"]
    edit(model, configuration={"quantization": {"float32_sha256": "0" * 64}})
    assert ran(model, providers=["auto"]) == "int8.onnx", "that file is not here"
    edit(model, configuration={"quantization": {"float32_sha256": sha256}})
    (tmp_path / "broken.json").write_text("[")
    assert sha256 in {json.loads(p.read_text())["sha256"] for p in tmp_path.glob("[!b]*.json")}
    assert ran(model, providers=["auto"]) in ("float.onnx", "int8_cpu.onnx")  # one graph in all of these files
    assert "CUDA without TensorRT computes no INT8: taking" in caplog.text
    assert ran(model, providers=["auto"], exact=True) == "int8.onnx"


def test_the_key_may_stand_with_what_is_said_of_the_quantization(tmp_path):
    write_blob_model(tmp_path, "other")
    model = edit(write_blob_model(tmp_path), configuration={"quantization": {"cpu_twin": "other.onnx"}})
    assert ran(model) == "other.onnx"


def test_a_card_that_names_no_twin_changes_nothing(tmp_path):
    model = write_blob_model(tmp_path)
    assert ran(model) == "blob.onnx"
    assert ran(edit(model, cpu_twin=None, configuration={"quantization": None})) == "blob.onnx"


def test_a_twin_that_is_not_there_is_warned_of_and_the_model_runs(model, caplog):
    model.with_name("int8_cpu.onnx").unlink()
    assert ran(model) == "int8.onnx"
    assert "not beside it; int8.onnx itself runs, slowly" in caplog.text


@pytest.mark.parametrize("name", ["../other.onnx", "int8.onnx", "int8_cpu", 3])
def test_a_name_that_is_no_other_file_of_the_folder_is_an_error(model, name):
    with pytest.raises(
        ModelError, match=r"cpu_twin is .*; expected the name of another \.onnx file in the same folder"
    ):
        ran(edit(model, cpu_twin=name))


def test_a_twin_is_verified_as_every_model_is(model):
    with open(model.with_name("int8_cpu.onnx"), "ab") as file:
        file.write(b"changed")
    with pytest.raises(ModelError, match=r"int8_cpu.*SHA-256"):
        ran(model)


def test_the_key_survives_reading_and_writing_and_is_not_written_where_there_is_none(tmp_path, model):
    card = read_card(model, STEREO_POSE)
    write_card(card, model)
    assert json.loads(model.with_suffix(".json").read_text())["cpu_twin"] == "int8_cpu.onnx"
    other = write_blob_model(tmp_path, "plain")
    write_card(read_card(other, STEREO_POSE), other)
    assert "cpu_twin" not in json.loads(other.with_suffix(".json").read_text())
