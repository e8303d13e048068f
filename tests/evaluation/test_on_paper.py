"""What a graph costs on paper: counted as by hand, and as the network's own summary counts."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rsb_pose_ros.benchmark.on_paper import BOARDS, LAUNCH_S, Board, Kernel, kernels, summary
from rsb_pose_ros.inference import ModelError
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.summary import summarise
from tests.quantization.test_tensorrt_rules import small

ROOT = Path(__file__).parents[2]
EDGE = ROOT / "models/rsb_pose_edge.onnx"
NANO = BOARDS[0]


def graph_of(nodes, inputs, outputs, **constants) -> onnx.ModelProto:
    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", values(inputs), values(outputs), stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def weight(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_an_int8_convolution_is_counted_as_by_hand():
    (kernel,) = kernels(small())
    assert kernel.unit == "int8"
    assert kernel.macs == kernel.padded == 64 * 64 * 32  # places, outputs, inputs
    # The picture and the weight in int8; bias and result, which nobody quantizes, in FP16.
    assert dict(kernel.bytes) == {"int8": 32 * 64 + 64 * 32, "fp16": 2 * 64 + 2 * 64 * 64}
    (kernel,) = kernels(small(), half=False)
    assert dict(kernel.bytes) == {"int8": 4096, "fp32": 4 * 64 + 4 * 64 * 64}


def test_channels_that_fill_no_tensor_core_cost_what_full_ones_do():
    model = graph_of(
        [helper.make_node("Conv", ["x", "w"], ["y"])], {"x": [1, 8, 4, 4]}, {"y": [1, 17, 4, 4]}, w=weight(17, 8, 1, 1)
    )
    (kernel,) = kernels(model)
    assert (kernel.unit, kernel.macs) == ("fp16", 16 * 17 * 8)
    assert kernel.padded == pytest.approx(16 * 24 * 8)


@pytest.mark.parametrize(
    ("operator", "attributes", "shape", "expected", "macs"),
    [
        ("Conv", {"group": 8}, (8, 1, 3, 3), [1, 8, 2, 2], 4 * 8 * 9),
        ("ConvTranspose", {"strides": [2, 2]}, (8, 16, 2, 2), [1, 16, 8, 8], 16 * 8 * 16 * 4),
        ("MatMul", {}, (4, 16), [1, 8, 4, 16], 8 * 4 * 4 * 16),
    ],
)
def test_products_by_operator(operator, attributes, shape, expected, macs):
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    (kernel,) = kernels(graph_of([node], {"x": [1, 8, 4, 4]}, {"y": expected}, w=weight(*shape)))
    assert kernel.macs == macs
    assert kernel.unit == ("fp16 plain" if attributes.get("group") else "fp16")


def test_what_reads_a_result_alone_runs_with_it():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),  # with the convolution
        helper.make_node("Reshape", ["b", "shape"], ["c"]),  # nothing
        helper.make_node("Exp", ["c"], ["d"]),  # with the convolution
        helper.make_node("Sqrt", ["d"], ["e"]),  # d has two readers: by itself
        helper.make_node("Softmax", ["d"], ["f"]),  # by itself
        helper.make_node("Add", ["e", "f"], ["y"]),  # with the softmax
    ]
    model = graph_of(nodes, {"x": [1, 8, 4, 4]}, {"y": [8, 16]}, w=weight(8, 8, 1, 1), shape=np.array([8, 16]))
    found = [[name.split("_")[0] for name in kernel.nodes] for kernel in kernels(model)]
    assert found == [["Conv", "Relu", "Exp"], ["Sqrt"], ["Softmax", "Add"]]


def test_the_slowest_of_three_limits_sets_the_time():
    board = Board("half a nano", 4, 0.5, 10)
    assert board.peak("int8") == 4 * 512 * 4 * 0.5e9
    assert Kernel([], "int8", padded=4.096e12).seconds(board) == (pytest.approx(1.0), "arithmetic")
    busy = Kernel([])
    busy.bytes["fp16"] = 10**9
    assert busy.seconds(board) == (pytest.approx(0.1), "memory")
    assert Kernel([]).seconds(board) == (LAUNCH_S, "launch")


@pytest.mark.parametrize(
    ("board", "sparse_tops"), [("Orin Nano 8 GB", 40), ("Orin Nano 8 GB Super", 67), ("AGX Orin 64 GB", 171)]
)
def test_peaks_are_half_of_nvidia_s_sparse_figures(board, sparse_tops):
    """NVIDIA's figures: of the modules (Nano, Super: GPU alone), and of the GPU's part (Deep-Learning-Accelerator-SW)."""
    peak = next(b for b in BOARDS if b.name == board).peak("int8")
    assert 2 * 2 * peak / 1e12 == pytest.approx(sparse_tops, rel=0.03)


def test_the_shipped_model_is_counted_as_the_network_s_own_summary_does():
    parts = summarise(RSBPose(ModelConfig.from_yaml(ROOT / "config/models/rsb_pose_edge.yaml")))
    budget = summary(kernels(onnx.load(EDGE)))
    assert sum(budget["gmac"].values()) == pytest.approx(sum(p.macs for p in parts.values()) / 1e9, rel=0.01)
    for times in budget["milliseconds"].values():
        assert times["sum"] == pytest.approx(times["arithmetic"] + times["memory"] + times["launch"], abs=0.002)
        assert times["sum"] >= 1e3 * LAUNCH_S * budget["kernels"]


def test_shapes_that_vary_are_refused():
    with pytest.raises(ModelError, match="shape is not known; expected a graph with static shapes"):
        kernels(onnx.load(ROOT / "models/ppt.onnx"))


def run(*arguments: object) -> subprocess.CompletedProcess:
    tool = [sys.executable, str(ROOT / "tools/jetson_budget.py"), *map(str, arguments)]
    return subprocess.run(tool, capture_output=True, text=True, check=False)


def test_the_tool(tmp_path):
    onnx.save(small(), tmp_path / "small.onnx")
    done = run(tmp_path / "small.onnx", "--worst", 1, "--json", tmp_path / "budget.json")
    assert done.returncode == 0, done.stderr
    assert "computed, not measured" in done.stdout and "Orin NX 16 GB" in done.stdout
    assert " MMAC int8 " in done.stdout
    assert next(iter(json.loads((tmp_path / "budget.json").read_text()).values()))["kernels"] == 1
    (tmp_path / "text.onnx").write_text("no model")
    for path in (tmp_path / "text.onnx", tmp_path / "none.onnx", ROOT / "models/ppt.onnx"):
        failed = run(path)
        assert failed.returncode == 2 and str(path) in failed.stderr and len(failed.stderr.splitlines()) == 1
