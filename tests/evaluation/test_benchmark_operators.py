"""tools/benchmark.py operators: reading a profile, and one of a small graph."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rsb_pose_ros.benchmark import BenchmarkError
from rsb_pose_ros.benchmark.operators import (
    BETWEEN,
    RENAMED,
    Node,
    markdown,
    marker,
    part_of,
    read_nodes,
    rows,
    run_spans,
    text,
    window_pair,
)
from tests.inference.blob_model import SIZE, write_blob_model

ROOT = Path(__file__).resolve().parents[2]
BAG = ROOT / "tests/fixtures/demo_bag"


def session_event(start, duration, name="model_run"):
    return {"cat": "Session", "name": name, "ts": start, "dur": duration, "args": {}}


def node_event(start, duration, name, operator, index):
    about = {"op_name": operator, "node_index": str(index), "provider": "CPUExecutionProvider"}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration, "args": about}


def profile(conv):
    """A profile in which a convolution takes these microseconds, run by run, and two nodes of no name 10 each."""
    events = [session_event(0, 50, "session_initialization")]
    for k, duration in enumerate(conv):
        start = 1000 * (k + 1)
        events += [
            node_event(start + 1, duration, "/network/stage4/stage4.0/Conv", "Conv", 3),
            node_event(start + 600, 10, "", "Add", 4),
            node_event(start + 700, 10, "", "Add", 5),
            {**node_event(start + 1, 999, "/network/stage4/stage4.0/Conv", "Conv", 3), "name": "Conv_fence_before"},
            session_event(start, 900),
        ]
    return events


def test_runs_after_the_first_ones_count_and_a_node_counts_with_its_median():
    events = profile([500, 400, 20, 30, 100])
    spans = run_spans(events, warm_up=2, runs=3)
    assert spans == [(3000, 3900), (4000, 4900), (5000, 5900)]
    assert read_nodes(events, spans) == [
        Node("/network/stage4/stage4.0/Conv", "Conv", 0.03),
        Node("", "Add", 0.01),
        Node("", "Add", 0.01),
    ]


def test_a_node_that_works_twice_in_a_run_counts_with_the_sum():
    events = profile([20, 20])
    events += [node_event(start + 500, 5, "/network/stage4/stage4.0/Conv", "Conv", 3) for start in (1000, 2000)]
    assert read_nodes(events, run_spans(events, 0, 2))[0].ms == pytest.approx(0.025)


def test_a_profile_that_lost_runs_is_refused():
    with pytest.raises(BenchmarkError, match=r"holds 4 runs; expected 7.*lower --runs"):
        run_spans(profile([1, 1, 1, 1]), warm_up=2, runs=5)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("/network/co_keypoints/regressor/stem/Conv", "network/co_keypoints"),
        ("/network/heatmaps/Conv_quant", "network/heatmaps"),
        ("/network/second_look/Gather_3/GatherSliceToSplitFusion", "network/second_look"),
        ("/network/stage4/Clip_output_0_nchwc", "network/stage4"),
        ("/network/Softmax", BETWEEN),
        ("/network/MatMul/MatMulAddFusion", BETWEEN),
        ("/Split", BETWEEN),
        ("/network/Clip_output_0_nchwc", RENAMED),
        ("t5d6_nchwc", RENAMED),
        ("ReorderOutput_token_242", RENAMED),
        ("network.second_look.outer.weight_restored_dq", RENAMED),
        ("", RENAMED),
    ],
)
def test_nodes_belong_to_the_part_that_their_name_tells(name, part):
    assert part_of(name) == part


def groups(**parts):
    return {name: {"ms": ms, "nodes": nodes} for name, (ms, nodes) in parts.items()}


MODELS = {
    "one": {"run_ms": 9.0, "profiled_run_ms": 9.5, "ms": 10.0, "nodes": 8},
    "two": {"run_ms": 4.0, "profiled_run_ms": 4.5, "ms": 5.0, "nodes": 5},
}
MODELS["one"]["by_part"] = MODELS["one"]["by_operator"] = groups(Conv=(7.0, 2), Add=(2.0, 4), Mul=(1.0, 2))
MODELS["two"]["by_part"] = MODELS["two"]["by_operator"] = groups(QLinearConv=(3.0, 2), Mul=(1.5, 2), Add=(0.5, 1))
RESULT = {
    "models": MODELS,
    "runs": 3,
    "threads": 1,
    "load_average": 0.5,
    "onnxruntime": "1.20",
    "machine": "a machine",
}


def test_the_longest_rows_come_first_and_the_others_are_one_row():
    first, second, rest = rows(MODELS, "by_operator", top=2)
    assert first[0] == "Conv" and first[1][1] == {"ms": 0.0, "nodes": 0}
    assert second[0] == "QLinearConv"
    assert rest == ("the other 2", [{"ms": 3.0, "nodes": 6}, {"ms": 2.0, "nodes": 3}])
    # A rest of one is that one.
    assert [name for name, _ in rows(MODELS, "by_operator", top=3)] == ["Conv", "QLinearConv", "Add", "Mul"]


def test_tables_show_milliseconds_shares_and_nodes():
    page = markdown(RESULT)
    assert "| Conv | 7.00 ms, 70 %, 2 | – |" in page
    assert "| all | 10.00 ms, 100 %, 8 | 5.00 ms, 100 %, 5 |" in page
    assert "one 9.0 ms (profiled 9.5 ms)" in page and "part of the network" in page
    assert "QLinearConv" in text(RESULT)
    assert marker(RESULT) == "benchmark operators, threads: 1"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_blob_model(tmp_path_factory.mktemp("model"))


def test_what_is_shown_is_a_window_of_the_recording(model):
    feed = window_pair(model, BAG)
    assert feed["crops"].shape == (1, 2, SIZE, SIZE, 3) and feed["crops"].std() > 5
    assert feed["projections"].shape == (1, 2, 3, 4) and feed["projections"].dtype == np.float32


def test_a_model_is_profiled_and_the_figures_are_written(model, tmp_path):
    page, target = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text("before\n<!-- benchmark operators, threads: 1 -->\n<!-- end -->\nafter\n")
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), "operators", "--model", str(model), "--runs", "3"]
    command += ["--json", str(target), "--into", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())["models"]["blob"]
    assert figures["nodes"] > 5 and 0 < figures["ms"] < figures["profiled_run_ms"] * 1.5
    for view in ("by_operator", "by_part"):
        assert sum(group["nodes"] for group in figures[view].values()) == figures["nodes"]
        assert sum(group["ms"] for group in figures[view].values()) == pytest.approx(figures["ms"])
    assert page.read_text().startswith("before\n") and "| operator | `blob` |" in page.read_text()
    # The profile itself leaves nothing behind.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.json", "page.md"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--runs", "0"], "--runs is 0; expected 1 to"),
        (["--threads", "-1"], "--threads is -1"),
        (["--model", "a/x.onnx", "b/x.onnx"], "expected different names"),
        (["--model", "none.onnx"], "no such file"),
    ],
)
def test_what_cannot_be_measured_is_named(words, sentence, tmp_path):
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), "operators", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and sentence in done.stderr
