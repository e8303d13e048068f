"""The search for what costs least: the method, the layers that stay float, and the verdicts it goes by."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from rsb_pose_ros.quantization.judge import Judge
from rsb_pose_ros.quantization.search import Wishes, quantize
from rsb_pose_ros.quantization.storage import compute_in_half, store_weights_as_int8, store_weights_in_half
from rsb_pose_ros.quantization.windows import Windows


def test_windows_are_those_which_the_estimator_cuts(windows):
    assert (windows.found, windows.pairs) == (3, 4)
    assert len(windows) == 3 * 3 + 2
    assert windows.feeds[0]["crops"].shape == (1, 2, 128, 128, 3)
    assert windows.feeds[0]["projections"].dtype == np.float32
    known = np.isfinite(windows.truth).all((1, 2))
    assert 3 <= known.sum() < len(windows), "coarse windows and an empty room have no truth"


def test_a_verdict_tells_change_and_move_apart(float_model, windows):
    judge = Judge(float_model, windows)
    same = judge.verdict(float_model)
    assert same.change == same.moved == 0
    moved = onnx.ModelProto()
    moved.CopyFrom(float_model)
    # Everything a centimetre to the right: joints that were right are off by that much.
    last = next(n for n in moved.graph.node if "joints" in n.output)
    last.op_type = "Add"
    last.input.append("step")
    moved.graph.initializer.append(numpy_helper.from_array(np.array([0.01, 0, 0], np.float32), "step"))
    verdict = judge.verdict(moved)
    assert verdict.moved == pytest.approx(10, abs=0.1)
    assert 0 < verdict.change < 10.1
    blind = Judge(float_model, Windows(windows.feeds, np.full_like(windows.truth, np.nan), 4, 3))
    assert np.isnan(blind.mpjpe)
    assert blind.verdict(moved).cost == pytest.approx(10, abs=0.1), "without a truth, moves are what counts"


def test_methods_are_compared_and_every_layer_is_judged_alone(float_model, windows):
    told = []
    wishes = Wishes(target="cpu", tolerance_mm=1e6, sensitivity_windows=4)
    result = quantize(float_model, windows, windows, wishes, progress=lambda *step: told.append(step))
    assert set(result.methods) == {"minmax", "percentile", "entropy"}
    assert result.methods[result.method].cost == min(v.cost for v in result.methods.values())
    assert set(result.sensitivity) == {"backbone/conv", "regressor/head"}
    assert result.excluded == []
    assert {stage for stage, _, _ in told} >= {"calibration", "calibration methods", "sensitivity"}
    record = result.record(wishes, windows, windows)
    assert record["scheme"] == "U8S8 asymmetric"
    assert (record["tolerance_mm"], record["within_tolerance"]) == (1e6, True)
    assert record["calibration_pairs"] == 4


def test_what_costs_most_stays_float_until_the_rest_is_cheap_enough(float_model, windows):
    wishes = Wishes(target="cpu", methods=("minmax",), tolerance_mm=-1e6, exclude_at_most=1, sensitivity_windows=4)
    result = quantize(float_model, windows, windows, wishes)
    worst = next(iter(result.sensitivity))
    assert result.excluded == [worst]
    assert result.sensitivity[worst].moved == max(v.moved for v in result.sensitivity.values())
    assert result.within_tolerance is False, "no more layers may be left out, and it still costs too much"


@pytest.mark.parametrize(("given", "left_out", "within"), [(None, 0, None), (0.001, 1, False), (1e6, 0, True)])
def test_without_truth_layers_are_left_out_only_for_a_tolerance_that_was_given(
    float_model, windows, given, left_out, within
):
    """How far joints move is many times what their error changes by: 1 mm of it would always leave out the worst."""
    blind = Windows(windows.feeds[:4], np.full_like(windows.truth[:4], np.nan), 2, 2)
    wishes = Wishes(target="cpu", methods=("minmax",), tolerance_mm=given, exclude_at_most=1, sensitivity_windows=2)
    assert not blind.has_truth and windows.has_truth
    result = quantize(float_model, blind, blind, wishes)
    assert len(result.excluded) == left_out
    assert (result.tolerance_mm, result.within_tolerance) == (given, within)
    assert len(result.sensitivity) == 2, "layers are judged either way"
    assert (
        quantize(
            float_model,
            blind,
            windows,
            Wishes(target="cpu", methods=("minmax",), exclude_at_most=0, sensitivity_windows=0),
        ).tolerance_mm
        == 1.0
    )


def test_int8_weights_are_within_half_a_step_of_their_channel(float_model):
    weight = np.random.default_rng(0).normal(size=(3, 64, 4, 4)).astype(np.float32)
    node = next(n for n in float_model.graph.node if n.op_type == "Conv")
    name = node.input[1]
    old = next(t for t in float_model.graph.initializer if t.name == name)
    old.CopyFrom(numpy_helper.from_array(weight, name))
    saved = store_weights_as_int8(float_model, [node.name])
    assert saved == 3 * weight.size - 3 * 4
    stored = {t.name: numpy_helper.to_array(t) for t in float_model.graph.initializer}
    scale = stored[f"{name}_int8_scale"]
    restored = stored[f"{name}_int8"] * scale[:, None, None, None]
    assert (np.abs(restored - weight) <= scale[:, None, None, None] * 0.5001).all()


def test_half_precision_stands_between_casts(float_model, windows):
    judge = Judge(float_model, windows)
    compute_in_half(float_model, ["/regressor/head/Conv", "/regressor/head/Relu"])
    onnx.checker.check_model(float_model, full_check=True)
    inserted = [n.name for n in float_model.graph.node if n.name.endswith(("_narrow", "_to_float32"))]
    assert inserted == ["/regressor/Concat_narrow", "/regressor/head/Relu_to_float32"]
    assert judge.verdict(float_model).moved < 5


def test_products_keep_their_weights_as_halves_and_compute_in_float():
    weight = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32)
    tensor = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "one product",
        [tensor("x", onnx.TensorProto.FLOAT, [2, 64])],
        [tensor("y", onnx.TensorProto.FLOAT, [2, 48])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    store_weights_in_half(model)
    onnx.checker.check_model(model, full_check=True)
    assert [t.data_type for t in model.graph.initializer] == [onnx.TensorProto.FLOAT16]
    x = np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)
    found = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )
    np.testing.assert_allclose(found[0], x @ weight.astype(np.float16).astype(np.float32), rtol=1e-5, atol=1e-5)
