"""Which file a model's name leads to: the twin for CPUs only where its card names one that is there."""

import json
from pathlib import Path

import pytest

from rsb_pose_ros.node.model_file import cpu_twin, find_model
from tests.inference.blob_model import write_blob_model


def named(model: Path, twin: object) -> None:
    card = json.loads(model.with_suffix(".json").read_text())
    card["configuration"]["quantization"] = {"cpu_twin": twin}
    model.with_suffix(".json").write_text(json.dumps(card))


def test_a_twin_is_taken_where_the_card_names_one(tmp_path: Path) -> None:
    model, other = write_blob_model(tmp_path), write_blob_model(tmp_path, "blob_cpu")
    assert cpu_twin(model) is None
    named(model, "blob_cpu.onnx")
    assert cpu_twin(model) == other
    named(model, "gone.onnx")
    assert cpu_twin(model) is None


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"configuration": {"quantization": null}}'])
def test_a_card_that_says_nothing_names_no_twin(tmp_path: Path, content: str) -> None:
    model = write_blob_model(tmp_path)
    model.with_suffix(".json").write_text(content)
    assert cpu_twin(model) is None
    assert cpu_twin(tmp_path / "none.onnx") is None


def test_shipped_models_are_found_by_name(tmp_path: Path) -> None:
    assert find_model("ppt").is_file()
    assert find_model("ppt.onnx") == find_model("ppt")
    assert find_model(str(tmp_path / "mine.onnx")) == tmp_path / "mine.onnx"
