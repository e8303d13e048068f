"""tools/benchmark.py through its front door, and the clip that it shows."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.benchmark import latency
from rsb_pose_ros.benchmark.clip import load_clip
from rsb_pose_ros.benchmark.latency import columns
from rsb_pose_ros.benchmark.node_memory import node_command, resident_mb
from rsb_pose_ros.benchmark.stages import AROUND
from rsb_pose_ros.images import to_array
from rsb_pose_ros.inference import ModelError
from rsb_pose_ros.stereo import project, triangulate

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/rsb_pose_edge.onnx"
BAG = ROOT / "tests/fixtures/demo_bag"


def test_a_clip_of_another_size_shows_the_same_through_a_rig_that_fits_it():
    with StereoBag(BAG) as bag:
        before = bag.rig()
        pair = next(bag.pairs())
    clip = load_clip(BAG, (1280, 720), 1)
    picture = to_array(clip.pairs[0].raw[0])
    assert picture.shape == (720, 1280, 3)
    assert to_array(clip.pairs[0].compressed[1]).shape == (720, 1280, 3)
    assert clip.rig.baseline == pytest.approx(before.baseline)
    points = np.array([[0.2, -0.1, 2.5], [-0.5, 0.3, 4.0]])
    keypoints = project(points, clip.rig.projections)
    np.testing.assert_allclose(triangulate(keypoints, clip.rig.projections), points, atol=1e-9)
    # 1.5 times the size, 160 columns on either side.
    np.testing.assert_allclose(keypoints, 1.5 * (project(points, before.projections) + 0.5) - 0.5 + [160, 0])
    directions = [
        camera.rays(p) for camera, p in ((before.cameras[0], [[100, 50]]), (clip.rig.cameras[0], [[310.25, 75.25]]))
    ]
    np.testing.assert_allclose(directions[0], directions[1], atol=1e-9)
    small = picture[:, 160:-160].reshape(240, 3, 320, 3, 3).mean((1, 3))
    area = pair.left.reshape(240, 2, 320, 2, 3).mean((1, 3))
    assert np.abs(small - area).mean() < 1.5


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
def test_resident_memory_is_megabytes():
    import resource

    assert 10 < resident_mb() <= resident_mb(os.getpid(), peak=True)
    assert resident_mb(peak=True) == pytest.approx(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, rel=0.1
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["accuracy", "--model", "no.onnx"], "no such file"),
        (["accuracy", "--pairs", "0"], "--pairs 0"),
        (["latency", "--int8", "no.onnx", "--pairs", "1", "--without-mediapipe", "--without-node"], "no such file"),
        (["latency", "--pairs", "0"], "--pairs is 0"),
    ],
)
def test_what_is_missing_is_named(arguments, words, tmp_path):
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), *arguments, "--json", str(tmp_path / "r.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and words in done.stderr
    assert not (tmp_path / "r.json").exists()


def test_latency_is_measured_and_written(tmp_path):
    for suffix in (".onnx", ".json"):
        shutil.copy(MODEL.with_suffix(suffix), tmp_path / f"other{suffix}")
    target = tmp_path / "r.json"
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), "latency", "--pairs", "2", "--sizes", "320x240"]
    command += ["--int8", str(tmp_path / "other.onnx"), "--threads", "1", "--without-mediapipe", "--without-node"]
    done = subprocess.run([*command, "--json", str(target)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())["sizes"]["320x240"]
    for model in ("rsb_pose_edge", "other"):
        stages = figures[model]["ms"]
        parts = [stages[name]["p50"] for name in ("view", "remap", "track", "smooth", "messages")]
        assert min(parts) >= 0 and max(parts) <= stages["around"]["max"]
        assert stages["total"]["max"] >= stages["network"]["max"]
        assert stages["around"]["p50"] + stages["network"]["p50"] == pytest.approx(
            stages["total"]["p50"]
        )  # of two pairs
        assert figures[model]["providers"] == ["CPUExecutionProvider"]
    assert "everything but the network" in done.stdout
    assert set(figures["ratios"]) == {f"other vs rsb_pose_edge, {stage}" for stage in ("network", "total")}


def test_models_of_one_name_cannot_be_told_apart():
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), "latency", "--int8", str(MODEL), "--without-mediapipe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "both named rsb_pose_edge" in done.stderr


def asked(*words):
    parser = argparse.ArgumentParser()
    latency.add_arguments(parser)
    return parser.parse_args(words)


def figures(*words):
    """(name, file, providers) of every column that a command line asks for."""
    arguments = asked(*words)
    found = columns(arguments.model, arguments.int8, arguments.provider)
    return [(column.name, column.model.name, column.providers) for column in found]


FLOAT, SIGNED, UNSIGNED = (f"rsb_pose_edge{suffix}.onnx" for suffix in ("", "_int8", "_int8_cpu"))
TENSORRT = ("tensorrt", "cuda", "cpu")


def test_on_the_cpu_alone_columns_are_named_after_files():
    assert figures() == [("rsb_pose_edge", FLOAT, ("cpu",)), ("rsb_pose_edge_int8_cpu", UNSIGNED, ("cpu",))]
    assert figures("--provider", "cpu", "cpu") == figures()


def test_every_provider_gets_the_file_that_was_made_for_it_and_those_behind_it():
    assert figures("--provider", "tensorrt", "cuda", "cpu") == [
        ("rsb_pose_edge on tensorrt", FLOAT, TENSORRT),
        ("rsb_pose_edge_int8 on tensorrt", SIGNED, TENSORRT),
        ("rsb_pose_edge on cuda", FLOAT, ("cuda", "cpu")),
        ("rsb_pose_edge on cpu", FLOAT, ("cpu",)),
        ("rsb_pose_edge_int8_cpu on cpu", UNSIGNED, ("cpu",)),
    ]
    assert [name for name, *_ in figures("--provider", "cuda")] == ["rsb_pose_edge on cuda"]


def test_an_int8_file_that_is_named_runs_wherever_int8_does():
    found = figures("--int8", "mine.onnx", "--provider", "tensorrt", "cuda", "cpu")
    assert [name for name, *_ in found if "mine" in name] == ["mine on tensorrt", "mine on cpu"]
    assert SIGNED not in {file for _, file, _ in found} and UNSIGNED not in {file for _, file, _ in found}


def test_a_shipped_int8_file_that_is_not_there_or_is_the_model_itself_has_no_column(tmp_path):
    assert [column.name for column in columns(MODEL, None, ["cpu"], shipped=tmp_path)] == ["rsb_pose_edge"]
    (tmp_path / UNSIGNED).touch()
    assert [column.name for column in columns(tmp_path / UNSIGNED, None, ["cpu"], shipped=tmp_path)] == [
        "rsb_pose_edge_int8_cpu"
    ]


@pytest.fixture
def gpu_runtime(monkeypatch):
    names = [f"{name}ExecutionProvider" for name in ("Tensorrt", "CUDA", "CPU")]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)


def test_a_provider_that_this_onnxruntime_lacks_is_an_error(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ModelError, match="TensorrtExecutionProvider is not in this onnxruntime"):
        latency.run(asked("--provider", "cpu", "tensorrt", "--without-mediapipe", "--without-node"))
    with pytest.raises(SystemExit):
        asked("--provider", "quantum")


def test_a_file_for_cpus_is_not_given_to_a_gpu(gpu_runtime):
    latency.check(columns(MODEL, None, ["tensorrt", "cuda", "cpu"]))
    with pytest.raises(ValueError, match=r"was quantized for CPUs.*tensorrt.*--target jetson"):
        latency.check(columns(MODEL, MODEL.with_name(UNSIGNED), ["tensorrt"]))


def test_the_node_is_asked_for_the_same_file_and_providers():
    words = node_command(MODEL, TENSORRT)
    assert {"providers:=[tensorrt, cuda, cpu]", f"model:={MODEL}", "exact_model:=true"} <= set(words)


def pretended(providers):
    """What run() returns, with 1, 2 and 3 ms everywhere."""
    spread = {"p50": 1.0, "p95": 2.0, "max": 3.0}
    names = [column.name for column in columns(MODEL, None, providers)]
    own = {
        "ms": dict.fromkeys((*AROUND, "around", "network", "total"), spread),
        "pairs_per_s": 9.0,
        "network_runs_per_pair": 1.0,
        "found": 1.0,
    }
    size = {"decode_ms": spread, **dict.fromkeys(names, own)}
    return {
        "columns": {name: {} for name in names},
        "pairs": 7,
        "providers": providers,
        "cores": 2,
        "sizes": {"640x480": {**size, "ratios": latency.ratios(size, names)}},
        "refine_alone_ms": dict.fromkeys(providers, spread),
        "node_rss_mb": None,
        "load_average": 0.5,
        "machine": "a machine",
    }


def test_tables_show_median_tail_and_worst():
    page = latency.markdown(pretended(["cpu"]))
    assert "ms, p50 / p95 / max of 7 pairs" in page
    assert "| network | 1.00 / 2.00 / 3.00 | 1.00 / 2.00 / 3.00 |" in page
    rows = [line.split() for line in latency.text(pretended(["cpu"])).splitlines()]
    assert ["640x480", "p50", "p95", "max", "ms"] in rows
    assert ["network", "1.00", "2.00", "3.00"] in rows
    assert any(row[:3] == ["pose", "transformer", "alone"] and row[-3:] == ["1.00", "2.00", "3.00"] for row in rows)


def test_tables_of_other_providers_have_a_place_of_their_own():
    assert latency.marker(pretended(["cpu"])) == "benchmark latency, cores: 2"
    result = pretended(["tensorrt", "cpu"])
    assert latency.marker(result) == "benchmark latency, cores: 2, providers: tensorrt cpu"
    assert "640x480 `rsb_pose_edge_int8 on tensorrt`" in latency.markdown(result)
    assert "pose transformer alone on tensorrt" in latency.text(result)
    assert (
        "rsb_pose_edge_int8 on tensorrt vs rsb_pose_edge on tensorrt, network" in result["sizes"]["640x480"]["ratios"]
    )
