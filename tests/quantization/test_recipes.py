"""Q/DQ nodes as each target wants them, in a graph that onnxruntime runs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from rsb_pose_ros.inference import ModelError
from rsb_pose_ros.quantization.graph import Graph, precisions
from rsb_pose_ros.quantization.search import Wishes, prepare, quantize
from rsb_pose_ros.quantization.windows import Windows

MODELS = Path(__file__).resolve().parents[2] / "models"
QUICK = {"methods": ("minmax",), "sensitivity_windows": 0}


def made(model, windows, **wishes) -> Graph:
    result = quantize(model, windows, windows, Wishes(**QUICK, **wishes))
    onnx.checker.check_model(result.model)
    return Graph(result.model)


def zero_points(graph: Graph) -> list[np.ndarray]:
    nodes = graph.of("QuantizeLinear", "DequantizeLinear")
    assert nodes
    return [numpy_helper.to_array(graph.constants[n.input[2]]) for n in nodes if len(n.input) > 2]


def test_for_tensorrt_all_zero_points_are_zero_and_biases_stay_float(float_model, windows):
    graph = made(float_model, windows, target="jetson")
    assert {z.dtype for z in zero_points(graph)} == {np.dtype(np.int8)}
    assert not any(z.any() for z in zero_points(graph))
    convolutions = graph.of("Conv")
    assert len(convolutions) == 2
    for node in convolutions:
        weight = graph.producer[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        stored = graph.constant(weight.input[0])
        assert stored is not None and stored.dtype == np.int8
        assert graph.constants[weight.input[1]].dims == [stored.shape[0]], "one scale per channel"
        assert graph.constant(node.input[2]).dtype == np.float32
    assert graph.producer[graph.of("Softmax")[0].input[0]].op_type == "Mul", "logits are scaled in float"


def test_weights_may_stay_float_for_old_tensorrt(float_model, windows):
    graph = made(float_model, windows, target="jetson", float_weights=True)
    weight = graph.producer[graph.of("Conv")[0].input[1]]
    assert graph.producer[weight.input[0]].op_type == "QuantizeLinear"


def test_for_cpus_activations_are_unsigned(float_model, windows):
    graph = made(float_model, windows, target="cpu")
    assert np.dtype(np.uint8) in {z.dtype for z in zero_points(graph)}
    cast = [n for n in graph.of("Cast") if n.input[0] == "crops"]
    assert not cast or not [n for n in graph.consumers[cast[0].output[0]] if n.op_type == "QuantizeLinear"]


def test_file_names_no_tensors_but_keeps_inputs_outputs_and_nodes(float_model, windows, tmp_path):
    before = {n.name for n in float_model.graph.node}
    graph = made(float_model, windows, target="cpu").model.graph
    assert {v.name for v in graph.input} == {"crops", "projections"}
    assert {v.name for v in graph.output} == {v.name for v in float_model.graph.output}
    assert "/regressor/head/Conv" in {n.name for n in graph.node} & before
    assert max(len(t.name) for t in graph.initializer) < 6


def test_precisions_are_counted_per_operator(float_model, windows, tmp_path):
    onnx.save(made(float_model, windows, target="cpu").model, tmp_path / "q.onnx")
    count = precisions(tmp_path / "q.onnx")
    assert count["int8 operators"] == 2
    assert "float16 operators" not in count
    assert count["int8 parameters"] >= 3 * 3 + 17 * 6


def test_what_is_quantized_already_is_refused(float_model, windows):
    quantized = made(float_model, windows).model
    with pytest.raises(ModelError, match="mine: is quantized already; expected the float32 model"):
        prepare(quantized, "mine")
    empty = Windows([], windows.truth[:0], 0, 0)
    with pytest.raises(ModelError, match="0 windows to calibrate with and 11 to judge"):
        quantize(float_model, empty, windows, Wishes())


@pytest.mark.parametrize("target", ["jetson", "cpu"])
def test_both_run_and_answer_nearly_as_the_float_model(float_model, windows, target):
    # Its second convolution takes differences of squares, which bear no rounding at all.
    result = quantize(float_model, windows, windows, Wishes(target=target, keep=["regressor"], **QUICK))
    assert abs(result.verdict.change) < 15
    session = onnxruntime.InferenceSession(result.model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, windows.feeds[0])
    assert all(np.isfinite(value).all() for value in found)


def test_shipped_file_for_tensorrt_has_the_transformer_s_mlps_in_int8_and_its_attention_in_half():
    """Two thirds of the transformer's weights; the file is at most 0.30 of the float one for it."""
    files = [MODELS / f"rsb_pose_edge{kind}.onnx" for kind in ("_int8", "")]
    graph = Graph(onnx.load(files[0]))
    products = [n for n in graph.of("Gemm", "MatMul") if "/transformer/blocks." in n.name]
    assert len(products) > 24

    def in_int8(node):
        return all(i in graph.producer and graph.producer[i].op_type == "DequantizeLinear" for i in node.input[:2])

    for node in products:
        assert in_int8(node) == ("/mlp/" in node.name or "/attention/out/" in node.name), node.name
    assert files[0].stat().st_size <= 0.30 * files[1].stat().st_size
