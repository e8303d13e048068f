"""The breakdown puts every pair and joint where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from rsb_pose_ros.evaluation.breakdown import WindowTable, breakdown, figures, observe, text
from rsb_pose_ros.skeleton import JOINT_COUNT, ROOT


def batch(distance: float, baseline: float, visibility: int = 3, present: bool = True, search: bool = False):
    """One pair of a person (a random pose) at a distance."""
    joints = np.random.default_rng(0).normal(0, 0.3, (1, JOINT_COUNT, 3)) + np.array([0, 0, distance])
    joints[0, ROOT] = [0, 0, distance]
    cameras = np.zeros((1, 2, 3, 4))
    cameras[:, :, [0, 1], [0, 1]], cameras[:, 1, 0, 3] = 300, -300 * baseline
    return {
        "crops": np.zeros((1, 2, 8, 8, 3), np.uint8),
        "projections": cameras,
        "joints": joints if present else np.full_like(joints, np.nan),
        "keypoints": np.zeros((1, 2, JOINT_COUNT, 2)) if present else np.full((1, 2, JOINT_COUNT, 2), np.nan),
        "visibility": np.full((1, 2, JOINT_COUNT), visibility if present else 0),
        "present": np.array([present]),
        "search": np.array([search]),
    }


def off_by(metres: float):
    """A model that knows the truth of `batch` at 2 m and misses by so much to the side."""

    def predict(crops, projections):
        joints = batch(2.0, 0.1)["joints"] + [metres, 0, 0]
        return joints, np.zeros((1, 2, JOINT_COUNT, 2)), np.full((1, JOINT_COUNT), 0.8)

    return predict


def test_pairs_fall_into_their_parts():
    table = observe(off_by(0.1), [batch(2.0, 0.12), batch(3.0, 0.22, search=True), batch(2.0, 0.1, present=False)])
    result = breakdown(table)
    assert result["all"]["pairs"] == 2
    assert {k: v["pairs"] for k, v in result["distance"].items()} == {"1.5–2.5 m": 1, "2.5–3.5 m": 1}
    assert {k: v["pairs"] for k, v in result["baseline"].items()} == {"0.1–0.15 m": 1, "0.2–0.4 m": 1}
    assert result["distance"]["1.5–2.5 m"]["mpjpe_mm"] == pytest.approx(100)
    assert result["distance"]["1.5–2.5 m"]["root_relative_mm"] == pytest.approx(0, abs=1e-6)
    assert result["distance"]["2.5–3.5 m"]["mpjpe_mm"] == pytest.approx(1000 * np.hypot(0.1, 1.0), rel=1e-6)
    assert result["window"]["search"]["pairs"] == 1
    assert result["score"] == {"person": pytest.approx(0.8), "nobody": pytest.approx(0.8)}
    assert "1.5–2.5 m" in text(result)


def test_joints_are_split_by_what_hides_them():
    pair = batch(2.0, 0.1)
    pair["visibility"][0, 1, :5] = 1  # behind an object in the right view alone
    pair["visibility"][0, 0, 5:7] = 2
    pair["visibility"][0, 0, 7] = 0
    result = breakdown(observe(off_by(0.0), [pair]))
    joints = {name: row["joints"] for name, row in result["joint"].items()}
    assert joints == {"visible": 9, "behind the body": 2, "behind an object": 5}
    assert result["all"]["joints"] == 16  # what a window does not show cannot be judged
    assert list(result["occlusion"]) == ["40%–100% hidden"]
    assert result["border"]["cut off"]["pairs"] == 1 and result["border"]["whole"]["pairs"] == 0


def test_missing_joints_cost_coverage_and_pck():
    def blind(crops, projections):
        joints, keypoints, confidence = off_by(0.0)(crops, projections)
        joints[0, 3] = np.nan
        return joints, keypoints, confidence

    table: WindowTable = observe(blind, [batch(2.0, 0.1)])
    assert figures(table)["coverage"] == figures(table)["pck_150mm"] == pytest.approx(16 / 17)
