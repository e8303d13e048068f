"""Both shipped INT8 files against the float32 file that they were made of, on windows of the shipped recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.bags.reader import StereoPair
from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.quantization.graph import Graph
from rsb_pose_ros.quantization.judge import Judge
from rsb_pose_ros.quantization.tail import float_tail, narrow_tail
from rsb_pose_ros.quantization.windows import windows_of
from rsb_pose_ros.stereo import StereoRig

ROOT = Path(__file__).resolve().parents[2]
FLOAT, INT8, INT8_CPU = (ROOT / f"models/rsb_pose_edge{kind}.onnx" for kind in ("", "_int8", "_int8_cpu"))
SHIPPED = pytest.mark.parametrize("model", [INT8, INT8_CPU], ids=lambda m: m.stem)
Scene = tuple[StereoRig, list[StereoPair]]


@pytest.fixture(scope="module")
def scene() -> Scene:
    with StereoBag(ROOT / "tests/fixtures/demo_bag") as bag:
        return bag.rig(), list(bag.pairs(limit=5))[1:4]


@pytest.fixture(scope="module")
def judge(scene: Scene) -> Judge:
    estimator = StereoPoseEstimator(FLOAT, scene[0], threads=1, exact_model=True)
    return Judge(onnx.load(FLOAT), windows_of(estimator, scene[1]), threads=1)


def scores(scene: Scene, model: Path) -> np.ndarray:
    """Of the person found in each pair; 0 where there is nobody."""
    rig, pairs = scene
    estimator = StereoPoseEstimator(model, rig, threads=1, exact_model=True)
    people = [estimator.estimate(pair.left, pair.right) for pair in pairs]
    return np.array([max((person.score for person in found), default=0.0) for found in people])


@pytest.fixture(scope="module")
def float_scores(scene: Scene) -> np.ndarray:
    return scores(scene, FLOAT)


@SHIPPED
def test_sure_joints_stay_within_centimetres_of_the_float_file_s(judge: Judge, model: Path) -> None:
    verdict = judge.verdict(onnx.load(model))
    assert 0 < verdict.moved < 40


@SHIPPED
def test_whoever_the_float_file_finds_is_found_with_a_similar_score(
    scene: Scene, float_scores: np.ndarray, model: Path
) -> None:
    found = scores(scene, model)
    assert max(float_scores) > 0.7, "the float file finds somebody"
    assert np.abs(found - float_scores).max() < 0.15, (found, float_scores)


@SHIPPED
def test_what_follows_the_co_heatmap_computes_in_float32(model: Path) -> None:
    graph = Graph(onnx.load(model))
    tail = float_tail(graph)
    assert any("/second_look/" in node.name for node in tail)
    assert {"joints_initial", "joints", "keypoints", "covariance"} <= {name for node in tail for name in node.output}
    assert list(narrow_tail(graph)) == []
