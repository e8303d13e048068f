"""TensorRT's rules: every shipped model meets them, and each of them is seen when it is broken."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rsb_pose_ros.quantization.search import Wishes, quantize
from rsb_pose_ros.quantization.tensorrt_rules import check

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "models").glob("*.onnx"))


def card(model: Path) -> dict:
    return json.loads(model.with_suffix(".json").read_text())


def for_cpus(model: Path) -> bool:
    return card(model)["configuration"].get("quantization", {}).get("target") == "cpu"


@pytest.mark.parametrize("model", [m for m in SHIPPED if not for_cpus(m)], ids=lambda m: m.stem)
def test_shipped_models_meet_the_rules(model):
    report = check(model, variable_batch=card(model)["task"] == "pose_refinement")
    assert report.violations == []
    quantized = "quantization" in card(model)["configuration"]
    assert (report.int8 > 0) == quantized


def test_a_file_for_cpus_does_not(float_model, windows):
    made = quantize(float_model, windows, windows, Wishes("cpu", methods=("minmax",), sensitivity_windows=0))
    assert any("is uint8, expected int8" in v for v in check(made.model).violations)


def small(**changes: object) -> onnx.ModelProto:
    """x → Q → DQ → Conv(DQ of int8 weights per channel) → y, as TensorRT wants it; changes: constants by name."""
    values: dict[str, np.ndarray] = {
        "x_scale": np.array(0.1, np.float32),
        "x_zero": np.array(0, np.int8),
        "weight": np.ones((64, 32, 1, 1), np.int8),
        "w_scale": np.full(64, 0.01, np.float32),
        "w_zero": np.zeros(64, np.int8),
        "bias": np.zeros(64, np.float32),
    } | {k: v for k, v in changes.items() if isinstance(v, np.ndarray)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_q"], name="q"),
        helper.make_node("DequantizeLinear", ["x_q", "x_scale", "x_zero"], ["x_dq"], name="dq"),
        helper.make_node("DequantizeLinear", ["weight", "w_scale", "w_zero"], ["w_dq"], name="w_dq", axis=0),
        helper.make_node("Conv", ["x_dq", "w_dq", "bias"], ["y"], name="conv"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64, 8, 8])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_the_small_graph_is_right():
    report = check(small())
    assert report.violations == []
    assert (report.int8, report.heavy) == (1, 1)
    assert report.alignment == []


def opset_16(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 16


def vendor_domain(model: onnx.ModelProto) -> None:
    model.graph.node[3].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def integer_convolution(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "ConvInteger"


def slice_assignment(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "ScatterND"


def any_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def float_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.ones((64, 32, 1, 1), np.float32), "float_weight"))
    model.graph.node[3].input[1] = "float_weight"


def float_input(model: onnx.ModelProto) -> None:
    model.graph.node[3].input[0] = "x"


def other_axis(model: onnx.ModelProto) -> None:
    model.graph.node[2].attribute[0].i = 1


def computed_scale(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("ReduceMax", ["x"], ["found"], name="max", keepdims=0))
    model.graph.node[1].input[1] = "found"


def antialias(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "sizes"))
    model.graph.node[3].output[0] = "small"
    resize = helper.make_node("Resize", ["small", "", "sizes"], ["y"], name="up", antialias=1, mode="linear")
    model.graph.node.append(resize)


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (opset_16, "opset 16, expected 17 or newer"),
        (vendor_domain, "conv: Conv is of domain com.microsoft"),
        (integer_convolution, "conv: TensorRT has no ConvInteger"),
        (slice_assignment, "use Pad, Slice and Concat"),
        (any_size, "x: dimension 'height' varies, expected static shapes"),
        (float_weight, "conv: its input is INT8 and its weight is not"),
        (float_input, "conv: its weight is INT8 and its input is not"),
        (other_axis, "w_dq: scales along axis 1 of conv's weight, expected axis 0"),
        (computed_scale, "q: its scale is computed, expected a constant"),
        (antialias, "up: Resize with antialias"),
    ],
)
def test_a_broken_graph_is_refused(mistake: Callable[[onnx.ModelProto], None], sentence: str) -> None:
    model = small()
    mistake(model)
    assert any(sentence in violation for violation in check(model).violations), check(model).violations


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"x_zero": np.array(3, np.int8)}, "its zero point is 3, expected 0"),
        ({"x_zero": np.array(128, np.uint8)}, "is uint8, expected int8"),
        ({"x_scale": np.array(0, np.float32)}, "its scale is not positive"),
        ({"x_scale": np.full(32, 0.1, np.float32), "x_zero": np.zeros(32, np.int8)}, "32 scales for activations"),
        ({"w_scale": np.full(32, 0.1, np.float32), "w_zero": np.zeros(32, np.int8)}, "32 scales for 64 channels"),
        ({"bias": np.zeros(64, np.float64)}, "constant bias: is float64"),
    ],
)
def test_a_wrong_constant_is_refused(changes: dict[str, np.ndarray], sentence: str) -> None:
    found = check(small(**changes)).violations
    assert any(sentence in violation for violation in found), found


def test_biases_behind_dequantization_are_refused(float_model, windows):
    made = quantize(float_model, windows, windows, Wishes("cpu", methods=("minmax",), sensitivity_windows=0))
    assert any("INT32 bias" in v for v in check(made.model).violations)


def test_channels_that_fill_no_tensor_core_are_reported():
    weight = {"weight": np.ones((17, 48, 1, 1), np.int8), "w_scale": np.full(17, 0.1, np.float32)}
    report = check(small(**weight, w_zero=np.zeros(17, np.int8), bias=np.zeros(17, np.float32)))
    assert [(a.node, a.inputs, a.outputs) for a in report.alignment] == [("conv", 48, 17)]
    assert report.alignment[0].used == pytest.approx(48 / 64 * 17 / 32)


def run(*arguments: object) -> subprocess.CompletedProcess:
    tool = [sys.executable, str(ROOT / "tools/check_tensorrt.py"), *map(str, arguments)]
    return subprocess.run(tool, capture_output=True, text=True, check=False)


def test_the_tool_s_exit_codes(tmp_path):
    onnx.save(small(), tmp_path / "good.onnx")
    wrong = small(x_zero=np.array(3, np.int8))
    onnx.save(wrong, tmp_path / "wrong.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    good = run(tmp_path / "good.onnx", "--json", tmp_path / "report.json")
    assert good.returncode == 0 and "meets the rules; 1 of 1" in good.stdout
    assert next(iter(json.loads((tmp_path / "report.json").read_text()).values()))["violations"] == []
    bad = run(tmp_path / "good.onnx", tmp_path / "wrong.onnx")
    assert bad.returncode == 1 and "✗ q: its zero point is 3" in bad.stdout
    for name in ("text.onnx", "none.onnx"):
        broken = run(tmp_path / name)
        assert broken.returncode == 2 and name in broken.stderr and len(broken.stderr.splitlines()) == 1
