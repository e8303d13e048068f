"""A model whose card is missing, stale or for something else is not run."""

import json
from pathlib import Path

import pytest

from rsb_pose_ros.inference import ModelError, read_card, write_card
from rsb_pose_ros.inference.card import STEREO_POSE, card_path
from tests.inference.blob_model import write_blob_model, write_blob_refiner


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_blob_model(tmp_path)


def rewrite(model: Path, **changes: object) -> None:
    content = json.loads(card_path(model).read_text())
    content.update(changes)
    card_path(model).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_a_card_survives_writing_and_reading(model):
    rewrite(model, measured={"mpjpe_mm": 31.5}, attribution=["BlazePose GHUM, Apache-2.0"], note="kept")
    card = read_card(model, STEREO_POSE)
    assert card.measured == {"mpjpe_mm": 31.5}
    assert card.other == {"note": "kept"}
    write_card(card, model)
    assert read_card(model, STEREO_POSE) == card


def test_the_model_itself_is_missing(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such file; expected an \.onnx file"):
        read_card(tmp_path / "nothing.onnx", STEREO_POSE)


def test_a_missing_card(model):
    card_path(model).unlink()
    with pytest.raises(ModelError, match=r"blob\.json: cannot be read .*copy both files"):
        read_card(model, STEREO_POSE)


def test_a_model_that_was_changed(model):
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"blob\.json: it is for a model with SHA-256 .* but blob\.onnx has"):
        read_card(model, STEREO_POSE)


def test_a_model_for_another_task(tmp_path):
    with pytest.raises(ModelError, match="task is 'pose_refinement', expected 'stereo_pose'"):
        read_card(write_blob_refiner(tmp_path), STEREO_POSE)


def test_another_joint_order(model):
    names = json.loads(card_path(model).read_text())["joint_names"]
    rewrite(model, joint_names=[names[1], names[0], *names[2:]])
    with pytest.raises(ModelError, match=r"its joints are r_knee, r_ankle.*expected r_ankle, r_knee"):
        read_card(model, STEREO_POSE)


@pytest.mark.parametrize(
    "key", ["name", "task", "sha256", "contract", "joint_names", "image_size", "disparity_range_px"]
)
def test_a_card_with_a_gap(model, key):
    content = json.loads(card_path(model).read_text())
    content[key] = "" if key == "task" else None
    if key == "task":
        rewrite(model, task="")
    else:
        card_path(model).write_text(json.dumps({k: v for k, v in content.items() if k != key}))
    with pytest.raises(ModelError, match=f"has no {key}"):
        read_card(model, STEREO_POSE)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sha256", 5),
        ("image_size", "256"),
        ("contract", [1]),
        ("contract", {"inputs": [1], "outputs": {}}),
        ("contract", {"inputs": {"crops": 1}, "outputs": {}}),
        ("joint_names", 17),
        ("disparity_range_px", 3),
        ("disparity_range_px", ["low", "high"]),
        ("disparity_range_px", [1.0]),
        ("uncertainty", 0.5),
        ("uncertainty", {"confidence": [0.1]}),
        ("uncertainty", {"confidence": [0.5, 0.1], "factors": [[1, 1, 1], [1, 1, 1]]}),
        ("uncertainty", {"confidence": [0.1, 0.5], "factors": [[1, 1, 1], [1, 1, 0]]}),
        ("uncertainty", {"confidence": [0.1], "factors": [[1, 1, "wide"]]}),
        ("uncertainty", {"confidence": [], "factors": []}),
        ("uncertainty", {"confidence": [0.1], "factors": [[1, 1, 1]], "correlation": 2}),
        ("presence", 0.5),
        ("presence", {"bias": 1.0}),
        ("presence", {"bias": 1.0, "weights": {"confidence": 1.0}}),
    ],
)
def test_a_card_with_a_value_of_another_kind(model, key, value):
    rewrite(model, **{key: value})
    with pytest.raises(ModelError, match=f"{key} is .*; expected"):
        read_card(model, STEREO_POSE)


@pytest.mark.parametrize(("text", "sentence"), [("{", "is no JSON"), ("[1]", "holds a list")])
def test_a_file_that_is_no_card(model, text, sentence):
    card_path(model).write_text(text)
    with pytest.raises(ModelError, match=sentence):
        read_card(model, STEREO_POSE)


@pytest.mark.parametrize(
    ("kind", "name", "tensor", "sentence"),
    [
        ("inputs", "crops", {"dtype": "float32", "shape": [1, 2, 128, 128, 3]}, "input crops is float32"),
        (
            "inputs",
            "projections",
            {"dtype": "float32", "shape": [1, 2, 3, 3]},
            r"projections is float32 \(1, 2, 3, 3\)",
        ),
        ("inputs", "surplus", {"dtype": "float32", "shape": [1]}, "its inputs are crops, projections, surplus"),
        ("outputs", "joints", None, "its outputs are joints_initial"),
        ("outputs", "covariance", {"dtype": "float32", "shape": [1, 17, 3]}, "output covariance"),
    ],
)
def test_another_contract(model, kind, name, tensor, sentence):
    contract = json.loads(card_path(model).read_text())["contract"]
    if tensor is None:
        del contract[kind][name]
    else:
        contract[kind][name] = tensor
    rewrite(model, contract=contract)
    with pytest.raises(ModelError, match=sentence):
        read_card(model, STEREO_POSE)


def test_dimensions_that_may_vary_fit_and_further_outputs_do_no_harm(model):
    contract = json.loads(card_path(model).read_text())["contract"]
    contract["inputs"]["crops"]["shape"][0] = "batch"
    contract["outputs"]["heatmaps"] = {"dtype": "float32", "shape": [1, 17, 32, 32]}
    rewrite(model, contract=contract)
    assert read_card(model, STEREO_POSE).contract == contract
