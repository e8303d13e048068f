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

from rsb_pose_ros.quantization.graph import Graph
from rsb_pose_ros.quantization.search import Wishes, quantize
from rsb_pose_ros.quantization.storage import compute_in_half
from rsb_pose_ros.quantization.tail import float_tail
from rsb_pose_ros.quantization.tensorrt_rules import check

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "models").glob("*.onnx"))


def card(model: Path) -> dict:
    return json.loads(model.with_suffix(".json").read_text())


def for_cpus(model: Path) -> bool:
    return card(model)["configuration"].get("quantization", {}).get("target") == "cpu"


@pytest.mark.parametrize("model", [m for m in SHIPPED if not for_cpus(m)], ids=lambda m: m.stem)
def test_shipped_models_meet_the_rules(model):
    report = check(model)
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


def opset_21(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 21


def behind(model: onnx.ModelProto, *nodes: onnx.NodeProto, **constants: np.ndarray) -> None:
    """More nodes between the convolution (`small`) and the output."""
    model.graph.node[3].output[0] = "small"
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())


def cubic(model: onnx.ModelProto) -> None:
    sizes = np.array([1, 1, 2, 2], np.float32)
    behind(model, helper.make_node("Resize", ["small", "", "sizes"], ["y"], name="up", mode="cubic"), sizes=sizes)


def crop_and_resize(model: onnx.ModelProto) -> None:
    mode = {"coordinate_transformation_mode": "tf_crop_and_resize", "mode": "linear"}
    node = helper.make_node("Resize", ["small", "roi", "sizes"], ["y"], name="up", **mode)
    behind(model, node, roi=np.zeros(8, np.float32), sizes=np.array([1, 1, 2, 2], np.float32))


def unknown_operator(model: onnx.ModelProto) -> None:
    behind(model, helper.make_node("Bernoulli", ["small"], ["y"], name="dice"))


def sampling_of_volumes(model: onnx.ModelProto) -> None:
    behind(
        model,
        helper.make_node("Unsqueeze", ["small", "axis"], ["volume"], name="deeper"),
        helper.make_node("GridSample", ["volume", "grid"], ["y"], name="sample"),
        axis=np.array([2]),
        grid=np.zeros((1, 1, 8, 8, 3), np.float32),
    )


def pooling_of_lines(model: onnx.ModelProto) -> None:
    behind(
        model,
        helper.make_node("Reshape", ["small", "shape"], ["line"], name="flat"),
        helper.make_node("MaxPool", ["line"], ["y"], name="pool", kernel_shape=[2]),
        shape=np.array([1, 64, 64]),
    )


def pooling_with_places(model: onnx.ModelProto) -> None:
    behind(model, helper.make_node("MaxPool", ["small"], ["y", "places"], name="pool", kernel_shape=[2, 2]))


def computed_axes(model: onnx.ModelProto) -> None:
    behind(
        model,
        helper.make_node("Identity", ["axis"], ["computed"], name="axes"),
        helper.make_node("ReduceSum", ["small", "computed"], ["y"], name="sum"),
        axis=np.array([1]),
    )


def double(model: onnx.ModelProto) -> None:
    behind(model, helper.make_node("Cast", ["small"], ["y"], name="wide", to=TensorProto.DOUBLE))


def no_zero_point(model: onnx.ModelProto) -> None:
    del model.graph.node[0].input[2]


def unsigned_weights_without_zero_point(model: onnx.ModelProto) -> None:
    del model.graph.node[2].input[2]
    weight = next(t for t in model.graph.initializer if t.name == "weight")
    weight.CopyFrom(numpy_helper.from_array(np.ones((64, 32, 1, 1), np.uint8), "weight"))


def quantized_bias_without_zero_point(model: onnx.ModelProto) -> None:
    bias = next(t for t in model.graph.initializer if t.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.zeros(64, np.int32), "bias"))
    node = helper.make_node("DequantizeLinear", ["bias", "w_scale"], ["bias_dq"], name="bias_dq", axis=0)
    model.graph.node.insert(0, node)
    model.graph.node[4].input[2] = "bias_dq"


def transposed(axis: int) -> Callable[[onnx.ModelProto], None]:
    """The convolution as a transposed one: its weight is (inputs, outputs, …)."""

    def change(model: onnx.ModelProto) -> None:
        weight = next(t for t in model.graph.initializer if t.name == "weight")
        weight.CopyFrom(numpy_helper.from_array(np.ones((32, 64, 1, 1), np.int8), "weight"))
        for name, kind in (("w_scale", np.float32), ("w_zero", np.int8)):
            value = np.full((32, 64)[axis], 1 if kind is np.float32 else 0, kind)
            next(t for t in model.graph.initializer if t.name == name).CopyFrom(numpy_helper.from_array(value, name))
        model.graph.node[2].attribute[0].i = axis
        model.graph.node[3].op_type = "ConvTranspose"

    return change


def shape_from_values(model: onnx.ModelProto) -> None:
    """The output's last side is the largest value of the picture."""
    behind(
        model,
        helper.make_node("ReduceMax", ["x"], ["largest"], name="max", keepdims=0),
        helper.make_node("Cast", ["largest"], ["whole"], name="whole", to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["whole", "axis"], ["side"], name="side"),
        helper.make_node("Concat", ["lead", "side"], ["shape"], name="shape", axis=0),
        helper.make_node("Reshape", ["small", "shape"], ["any"], name="flat"),
        helper.make_node("ReduceSum", ["any", "last"], ["sum"], name="sum"),
        helper.make_node("Reshape", ["sum", "whole_shape"], ["y"], name="back"),
        axis=np.array([0]),
        lead=np.array([64, -1]),
        last=np.array([2]),
        whole_shape=np.array([1, 64, 8, 8]),
    )


def as_many_as_are_found(model: onnx.ModelProto) -> None:
    behind(
        model, helper.make_node("NonMaxSuppression", ["boxes", "small"], ["y"], name="nms"), boxes=np.zeros((1, 8, 4))
    )


def halves_and_floats(model: onnx.ModelProto) -> None:
    behind(model, helper.make_node("Add", ["small", "half"], ["y"], name="add"), half=np.ones(1, np.float16))


def half_scales_at_opset_17(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 17
    for tensor in [t for t in model.graph.initializer if t.name in ("x_scale", "w_scale")]:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (
            shape_from_values,
            "flat: Reshape's shape hangs on the values that are fed (through shape), expected a static",
        ),
        (as_many_as_are_found, "nms: NonMaxSuppression's output has as many rows as are found"),
        (halves_and_floats, "not valid ONNX: (op_type:Add, node name: add): B has inconsistent type tensor(float16)"),
        (half_scales_at_opset_17, "not valid ONNX: (op_type:QuantizeLinear, node name: q): y_scale typestr"),
        (opset_16, "opset 16, expected 17 or newer"),
        (opset_21, "opset 21, expected 20 or older"),
        (cubic, "up: Resize with mode cubic, expected nearest or linear"),
        (crop_and_resize, "up: Resize with coordinate_transformation_mode tf_crop_and_resize"),
        (unknown_operator, "dice: TensorRT has no Bernoulli"),
        (sampling_of_volumes, "sample: GridSample of 5 dimensions, expected 4"),
        (pooling_of_lines, "pool: MaxPool of 3 dimensions, expected 4 or 5"),
        (pooling_with_places, "pool: MaxPool with 2 outputs"),
        (computed_axes, "sum: ReduceSum's axes are computed"),
        (double, "wide: casts to float64"),
        (no_zero_point, "q: quantizes to uint8 (no zero point given)"),
        (unsigned_weights_without_zero_point, "w_dq: is uint8, expected int8"),
        (quantized_bias_without_zero_point, "bias_dq: an INT32 bias stands behind DequantizeLinear"),
        (transposed(1), "w_dq: scales along axis 1 of conv's weight, expected axis 0"),
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


def test_transposed_convolutions_are_scaled_by_input_channel() -> None:
    model = small()
    transposed(0)(model)
    assert check(model).violations == []


@pytest.mark.parametrize(
    ("operator", "attributes", "axis"), [("MatMul", {}, 1), ("Gemm", {}, 1), ("Gemm", {"transB": 1}, 0)]
)
@pytest.mark.parametrize("along_outputs", [True, False])
def test_matrix_products_are_scaled_by_output_channel(
    operator: str, attributes: dict[str, int], axis: int, along_outputs: bool
) -> None:
    shape = (64, 32) if attributes else (32, 64)
    given = axis if along_outputs else 1 - axis
    values = {
        "s": np.array(0.1, np.float32),
        "z": np.array(0, np.int8),
        "w": np.ones(shape, np.int8),
        "ws": np.full(shape[given], 0.1, np.float32),
        "wz": np.zeros(shape[given], np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"], name="dq"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["w_dq"], name="w_dq", axis=given),
        helper.make_node(operator, ["dq", "w_dq"], ["y"], name="product", **attributes),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5, 64])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    found = check(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)).violations
    expected = f"w_dq: scales along axis {given} of product's weight, expected axis {axis}: quantize along that one"
    assert found == ([] if along_outputs else [expected])


def computed_shape(model: onnx.ModelProto) -> None:
    """A shape that is computed, though from shapes alone, as exporters of a batch that varies write it."""
    behind(
        model,
        helper.make_node("Shape", ["small"], ["shape"], name="shape"),
        helper.make_node("Mul", ["shape", "one"], ["same"], name="same"),
        helper.make_node("Reshape", ["small", "same"], ["y"], name="back"),
        one=np.array([1, 1, 1, 1]),
    )


def test_a_shape_may_be_computed_from_shapes() -> None:
    model = small()
    computed_shape(model)
    report = check(model)
    assert report.violations == report.notes == []


def test_shapes_that_the_file_does_not_tell_are_noted() -> None:
    model = small()
    computed_shape(model)
    # ONNX follows a shape's values through few operators.
    model.graph.node[5].CopyFrom(helper.make_node("Abs", ["shape"], ["same"], name="same"))
    model.graph.node[-1].output[0] = "again"
    model.graph.node.append(helper.make_node("Relu", ["again"], ["y"], name="relu"))
    report = check(model)
    assert report.violations == []
    assert any("back: the first of 1 operators whose output's shape the file does not tell" in n for n in report.notes)


@pytest.mark.parametrize("plural", [False, True])
def test_constants_may_be_nodes(plural: bool) -> None:
    """As some exporters write scales and zero points, in either way of writing numbers."""
    model = small()
    for name in ("x_scale", "x_zero", *(["w_scale"] if plural else [])):
        tensor = next(t for t in model.graph.initializer if t.name == name)
        value = numpy_helper.to_array(tensor)
        given: dict[str, object] = {"value": tensor}
        if name == "w_scale":
            given = {"value_floats": value.tolist()}
        elif name == "x_scale" and plural:
            given = {"value_float": float(value)}
        model.graph.node.insert(0, helper.make_node("Constant", [], [name], name=f"{name}_node", **given))
        model.graph.initializer.remove(tensor)
    before = model.SerializeToString()
    assert check(model).violations == []
    assert model.SerializeToString() == before, "what is checked stays as it is"


@pytest.mark.parametrize("kept", [True, False])
def test_a_batch_may_vary_where_the_card_says_so(tmp_path: Path, kept: bool) -> None:
    path = tmp_path / "refiner.onnx"
    shipped = ROOT / "models/ppt.onnx"
    path.write_bytes(shipped.read_bytes())
    if kept:
        path.with_suffix(".json").write_text(json.dumps(card(shipped)))
    report = check(path)
    assert report.violations == [] if kept else any("'batch' varies" in v for v in report.violations)
    assert any("'batch' varies" in note for note in report.notes) == kept
    assert check(path, variable_batch=True).violations == []


def test_pictures_that_are_turned_before_they_are_cast_are_noted() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], name="turn", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["turned"], ["y"], name="cast", to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "picture",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 8, 8, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    report = check(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert report.violations == []
    assert len(report.notes) == 1 and "turn: Transpose reads uint8" in report.notes[0]


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


def half(*names: str) -> Callable[[onnx.ModelProto], None]:
    return lambda model: compute_in_half(model, names)


def rounded(name: str) -> Callable[[onnx.ModelProto], None]:
    """Q/DQ in front of a node and behind it, as where it computes in INT8."""

    def change(model: onnx.ModelProto) -> None:
        nodes = {node.name: node for node in model.graph.node}
        place, node = list(nodes).index(name), nodes[name]
        before, after = node.input[0], node.output[0]
        node.input[0], node.output[0] = "in_dq", "out"
        for source, end, to, at in (("out", "out", after, place + 1), (before, "in", "in_dq", place)):
            quantized = [source, "step", "zero_point"], [f"{end}_q"]
            model.graph.node.insert(at, helper.make_node("QuantizeLinear", *quantized, name=f"{end}_q"))
            restored = helper.make_node("DequantizeLinear", [f"{end}_q", "step", "zero_point"], [to], name=f"{end}_dq")
            model.graph.node.insert(at + 1, restored)
        for key, value in (("step", np.float32(0.01)), ("zero_point", np.int8(0))):
            model.graph.initializer.append(numpy_helper.from_array(np.array(value), key))

    return change


def product_in_int8(model: onnx.ModelProto) -> None:
    """The expectation over the volume as the product of int8 probabilities and int8 places, its result in float."""
    rounded("/softargmax/MatMul")(model)
    node = next(n for n in model.graph.node if n.name == "/softargmax/MatMul")
    values = next(n for n in model.graph.node if n.name == "out_dq")
    for n in [n for n in model.graph.node if n.name in ("out_q", "out_dq")]:
        model.graph.node.remove(n)
    node.output[0] = values.output[0]
    grid = next(t for t in model.graph.initializer if t.name == node.input[1])
    grid.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(grid).astype(np.int8), grid.name))
    weight = helper.make_node("DequantizeLinear", [grid.name, "step", "zero_point"], ["grid_dq"], name="grid_dq")
    model.graph.node.insert(0, weight)
    node.input[1] = "grid_dq"


def second_look(change: Callable[[onnx.ModelProto], None], name: str) -> Callable[[onnx.ModelProto], None]:
    """A node that does not depend on the softmax is made one of the second look's."""

    def changed(model: onnx.ModelProto) -> None:
        next(n for n in model.graph.node if n.name == name).name = "/second_look/cells"
        change(model)

    return changed


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (half("/softargmax/Softmax"), "/softargmax/Softmax: Softmax at the network's end computes in float16"),
        (
            rounded("/softargmax/Softmax"),
            "/softargmax/Softmax: Softmax at the network's end is rounded to 8 bits by out_q",
        ),
        (half("/triangulation/z"), "/triangulation/z: Div at the network's end computes in float16, expected float32"),
        (rounded("/triangulation/z"), "/triangulation/z: Div at the network's end is rounded to 8 bits"),
        (product_in_int8, "/softargmax/MatMul: MatMul at the network's end computes in INT8"),
        (
            second_look(half("/second_look/cells"), "/uncertainty/mass"),
            "/second_look/cells: ReduceSum at the network's end",
        ),
        (
            second_look(rounded("/second_look/cells"), "/uncertainty/mass"),
            "cells: ReduceSum at the network's end is rounded",
        ),
    ],
)
def test_the_network_s_end_stays_in_float32(
    float_model: onnx.ModelProto, mistake: Callable[[onnx.ModelProto], None], sentence: str
) -> None:
    assert check(float_model).violations == []
    mistake(float_model)
    found = check(float_model).violations
    assert any(sentence in violation for violation in found), found
    assert not [violation for violation in found if "not valid ONNX" in violation], found


def test_what_leads_to_the_co_heatmap_may_be_rounded(float_model: onnx.ModelProto) -> None:
    half("/regressor/head/Conv", "/regressor/head/Relu")(float_model)
    rounded("/regressor/Concat")(float_model)
    assert not [violation for violation in check(float_model).violations if "network's end" in violation]


def test_only_between_its_products_the_pose_transformer_is_free_of_that(float_model: onnx.ModelProto) -> None:
    nodes = {node.name: node for node in float_model.graph.node}
    renamed = {"/softargmax/MatMul": "/transformer/embed/MatMul", "/triangulation/z": "/transformer/Sub"}
    for old, new in renamed.items():
        nodes[old].name = new
    tail = {node.name for node in float_tail(Graph(float_model))}
    assert tail & set(renamed.values()) == {"/transformer/Sub"}


def test_biases_behind_dequantization_are_refused(float_model, windows):
    made = quantize(float_model, windows, windows, Wishes("cpu", methods=("minmax",), sensitivity_windows=0))
    assert any("INT32 bias" in v for v in check(made.model).violations)


def test_channels_that_fill_no_tensor_core_are_reported():
    weight = {"weight": np.ones((17, 48, 1, 1), np.int8), "w_scale": np.full(17, 0.1, np.float32)}
    report = check(small(**weight, w_zero=np.zeros(17, np.int8), bias=np.zeros(17, np.float32)))
    assert [(a.node, a.inputs, a.outputs) for a in report.alignment] == [("conv", 48, 17)]
    assert report.alignment[0].used == pytest.approx(48 / 64 * 17 / 32)


def test_channels_of_what_may_run_in_half_precision_are_reported_too():
    model = small(bias=np.zeros(17, np.float32))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((17, 32, 1, 1), np.float32), "float_weight"))
    model.graph.node[3].input[0], model.graph.node[3].input[1] = "x", "float_weight"
    report = check(model)
    assert [(a.precision, a.inputs, a.outputs) for a in report.alignment] == [("fp16", 32, 17)]
    assert report.alignment[0].used == pytest.approx(17 / 24)


def test_transposed_3d_convolutions_in_int8_are_noted():
    weight = {"weight": np.ones((32, 64, 1, 1, 1), np.int8), "w_scale": np.full(32, 0.1, np.float32)}
    model = small(**weight, w_zero=np.zeros(32, np.int8))
    model.graph.node[3].op_type = "ConvTranspose"
    for value, channels in ((model.graph.input[0], 32), (model.graph.output[0], 64)):
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [1, channels, 4, 4, 4]))
    report = check(model)
    assert report.violations == []
    assert any("conv: TensorRT has no INT8 for transposed 3D convolutions" in note for note in report.notes)


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
