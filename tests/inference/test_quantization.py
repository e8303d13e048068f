"""What becomes INT8 and what does not, and the command line around it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from rsb_pose_ros.inference import ModelError, StereoPoseEstimator, read_card
from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.quantization import choose_nodes, collect_crops, float32_tail, operator_counts, quantize
from tests.bags.recordings import stereo_messages, write_messages
from tests.inference.blob_model import write_blob_model
from tests.inference.blob_scene import picture, pinhole_rig, standing_at

ROOT = Path(__file__).parents[2]
RIG = pinhole_rig()
WALK = [standing_at(0.1 * i, 0, 2.8) for i in range(3)]
CONVOLUTIONS = ["/backbone/conv/Conv", "/regressor/head/Conv"]


class Shot:
    def __init__(self, joints: np.ndarray | None) -> None:
        self.left, self.right = picture(RIG, joints)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_blob_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def crops(model):
    return collect_crops(StereoPoseEstimator(model, RIG, threads=1), [Shot(j) for j in [*WALK, None]])


def test_crops_are_those_which_the_estimator_cuts(crops):
    samples, found = crops
    assert found == 3
    assert len(samples) == 3 * 3 + 2
    assert samples[0]["crops"].shape == (1, 2, 128, 128, 3)
    assert samples[0]["projections"].dtype == np.float32


def test_only_convolutions_before_the_co_heatmap_are_chosen(model):
    graph = onnx.load(model)
    assert choose_nodes(graph, ("Conv", "Add", "Concat")) == ["/backbone/conv/Conv", "/regressor/Concat"]
    tail = float32_tail(graph)
    assert "/regressor/head/Conv" in tail, "it makes the logits"
    assert "/softargmax/Softmax" in tail
    assert "/triangulation/z" in tail
    assert "/backbone/act/Clip" not in tail


def test_a_graph_without_scopes_is_split_by_reachability_alone(model):
    graph = onnx.load(model)
    for index, node in enumerate(graph.graph.node):
        node.name = f"node_{index}"
    chosen = choose_nodes(graph, ("Conv",))
    assert [n.op_type for n in graph.graph.node if n.name in chosen] == ["Conv"]


def test_an_attention_mask_s_softmax_is_not_taken_for_the_volume_s(model):
    graph = onnx.load(model)
    # A mask over the channels between the two convolutions: a softmax with a convolution behind it.
    clip = next(n for n in graph.graph.node if n.name == "/backbone/act/Clip")
    clip.output[0] = "unmasked"
    mask = onnx.helper.make_node("Softmax", ["unmasked"], ["mask"], name="/attention_mask/Softmax", axis=1)
    masked = onnx.helper.make_node("Mul", ["unmasked", "mask"], ["/backbone/act/Clip"], name="/attention_mask/Mul")
    at = list(graph.graph.node).index(clip) + 1
    graph.graph.node.insert(at, masked)
    graph.graph.node.insert(at, mask)
    assert "/attention_mask/Softmax" not in float32_tail(graph)
    assert "/backbone/conv/Conv" in choose_nodes(graph, ("Conv",))


def test_for_tensorrt_all_zero_points_are_zero_and_biases_stay_float(model, crops, tmp_path):
    record = quantize(model, tmp_path / "q.onnx", crops[0], "jetson")
    assert record["scheme"] == "S8S8 symmetric"
    assert record["int8_operators"] == {"Conv": 1}
    graph = onnx.load(tmp_path / "q.onnx").graph
    zero_points = [i for i in graph.initializer if "zero_point" in i.name]
    assert zero_points
    assert {i.data_type for i in zero_points} == {onnx.TensorProto.INT8}
    assert not any(numpy_helper.to_array(i).any() for i in zero_points)
    weight = next(i for i in graph.initializer if i.name == "backbone.weight_quantized")
    assert weight.data_type == onnx.TensorProto.INT8
    scale = next(i for i in graph.initializer if i.name == "backbone.weight_scale")
    assert scale.dims == [3], "one scale per channel"
    assert any(i.name == "backbone.bias" for i in graph.initializer)
    softmax = next(n for n in graph.node if n.op_type == "Softmax")
    assert "Dequantize" not in softmax.input[0]


def test_weights_may_stay_float_for_old_tensorrt(model, crops, tmp_path):
    quantize(model, tmp_path / "q.onnx", crops[0], "jetson", float_weights=True)
    names = {i.name for i in onnx.load(tmp_path / "q.onnx").graph.initializer}
    assert "backbone.weight" in names
    assert "backbone.weight_quantized" not in names


def test_for_cpus_activations_are_unsigned(model, crops, tmp_path):
    quantize(model, tmp_path / "q.onnx", crops[0], "cpu")
    graph = onnx.load(tmp_path / "q.onnx").graph
    kinds = {i.data_type for i in graph.initializer if "zero_point" in i.name}
    assert onnx.TensorProto.UINT8 in kinds
    assert operator_counts(tmp_path / "q.onnx")["Softmax"] == 1


def test_what_cannot_be_quantized_is_refused(model, crops, tmp_path):
    quantize(model, tmp_path / "q.onnx", crops[0])
    with pytest.raises(ModelError, match="is quantized already"):
        quantize(tmp_path / "q.onnx", tmp_path / "qq.onnx", crops[0])
    with pytest.raises(ModelError, match=r"matches transfromer; expected .*such as /backbone/conv/Conv"):
        quantize(model, tmp_path / "x.onnx", crops[0], keep_float32=["transfromer"])
    with pytest.raises(ModelError, match="no convolution is left"):
        quantize(model, tmp_path / "x.onnx", crops[0], keep_float32=["backbone"])
    graph = onnx.load(model)
    for node in graph.graph.node:
        if node.op_type == "Softmax":
            node.op_type = "LogSoftmax"
    with pytest.raises(ModelError, match="no softmax behind its convolutions"):
        float32_tail(graph)


def run(*arguments: object) -> subprocess.CompletedProcess:
    paths = os.pathsep.join([str(ROOT / "ros2_ws/src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/quantize.py"), *map(str, arguments), "--threads", "1"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_recording_calibrates_and_both_models_are_compared(model, tmp_path):
    bag = write_messages(tmp_path / "bag", stereo_messages(RIG, [picture(RIG, j) for j in WALK], WALK))
    done = run(model, "--calibration", bag, "-o", tmp_path / "int8.onnx", "--pairs", 2)
    assert done.returncode == 0, done.stderr
    assert "MPJPE of the recording, mm" in done.stdout
    card = read_card(tmp_path / "int8.onnx", STEREO_POSE)
    assert card.name == "int8"
    assert card.configuration["quantization"]["calibration_pairs"] == 2
    assert card.measured["against_float32"]["joint_mean_mm"] < 30
    estimator = StereoPoseEstimator(tmp_path / "int8.onnx", RIG, threads=1)
    assert estimator.estimate(*picture(RIG, WALK[0]))

    again = run(tmp_path / "int8.onnx", "--calibration", bag)
    assert again.returncode == 2
    assert again.stderr.strip().endswith("expected the float32 model that it was made from")
    assert len(again.stderr.strip().splitlines()) == 1


def still_folder(path: Path) -> Path:
    K, size = RIG.cameras[0].matrix.tolist(), list(RIG.cameras[0].size)
    calibration = {"K1": K, "D1": [0] * 5, "K2": K, "D2": [0] * 5, "R": np.eye(3).tolist(), "T": [-0.12, 0, 0]}
    for i, joints in enumerate(WALK):
        for side, view in zip(("left", "right"), picture(RIG, joints)):
            (path / side).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path / side / f"{i:04}.png"), view)
    (path / "calibration.yaml").write_text(yaml.safe_dump({**calibration, "image_size": size}))
    return path


def test_a_folder_of_stills_calibrates_too(model, tmp_path):
    done = run(model, "--calibration", still_folder(tmp_path / "stills"), "-o", tmp_path / "q.onnx", "--target", "cpu")
    assert done.returncode == 0, done.stderr
    assert "no truth" in done.stdout
    assert json.loads((tmp_path / "q.json").read_text())["configuration"]["quantization"]["target"] == "cpu"


def test_unfit_calibration_gets_one_sentence(model, tmp_path):
    empty_room = stereo_messages(RIG, [picture(RIG, None)] * 2)
    cases = {
        "does not exist": tmp_path / "nowhere",
        "nobody was found in 2 pairs": write_messages(tmp_path / "room", empty_room),
        "holds no stereo pairs": write_messages(
            tmp_path / "late", stereo_messages(RIG, [picture(RIG, None)] * 2, skew_ns=15_000_000)
        ),
    }
    for sentence, path in cases.items():
        done = run(model, "--calibration", path, "-o", tmp_path / "q.onnx")
        assert done.returncode == 2
        assert sentence in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    same = run(model, "--calibration", tmp_path, "-o", model)
    assert "is the model itself" in same.stderr
