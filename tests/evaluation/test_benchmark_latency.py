"""tools/benchmark.py through its front door, and the clip that it shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.benchmark.clip import load_clip
from rsb_pose_ros.benchmark.node_memory import resident_mb
from rsb_pose_ros.images import to_array
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
    assert "everything but the network" in done.stdout
    assert set(figures["ratios"]) == {f"other vs rsb_pose_edge, {stage}" for stage in ("network", "total")}


def test_models_of_one_name_cannot_be_told_apart():
    command = [sys.executable, str(ROOT / "tools/benchmark.py"), "latency", "--int8", str(MODEL), "--without-mediapipe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "both named rsb_pose_edge" in done.stderr
