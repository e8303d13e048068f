"""Every method is judged on the same pairs, and ratios compare what both found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rsb_pose_ros.benchmark import ablation
from rsb_pose_ros.benchmark.accuracy import (
    enlarged,
    judged,
    markdown,
    marker,
    mean_up_to_4_m,
    observe_all,
    targets,
    text,
    verdict,
)
from rsb_pose_ros.benchmark.heatmaps import peaks
from rsb_pose_ros.benchmark.intervals import ratio
from rsb_pose_ros.benchmark.markdown import insert
from rsb_pose_ros.benchmark.methods import MEDIAPIPE, OURS, PER_VIEW, WITHOUT_PPT, MediaPipeOnEachView, OurNetwork
from rsb_pose_ros.benchmark.whole_pictures import upper_rate
from rsb_pose_ros.evaluation.onnx_windows import OnnxWindows
from rsb_pose_ros.landmarks import LANDMARKS_OF_JOINTS
from rsb_pose_ros.skeleton import JOINT_COUNT
from rsb_pose_ros.stereo import project
from tests.inference.blob_scene import standing_at

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/rsb_pose_edge.onnx"
SIZE = 256


def batch(pairs: int = 6) -> dict[str, np.ndarray]:
    """A standing person at 2 and 3 m; the right leg is hidden by an object in every other pair; the last pair is empty."""
    cameras = np.zeros((pairs, 2, 3, 4))
    cameras[:, :, [0, 1], [0, 1]], cameras[:, :, [0, 1], 2], cameras[:, :, 2, 2] = 300, 128, 1
    cameras[:, 1, 0, 3] = -300 * 0.12
    joints = np.stack([standing_at(0, 0, 2.0 + k % 2).astype(np.float64) for k in range(pairs)])
    visibility = np.full((pairs, 2, JOINT_COUNT), 3, np.uint8)
    visibility[::2, 0, :3] = 1
    keypoints = project(joints, cameras)
    joints[-1], keypoints[-1], visibility[-1] = np.nan, np.nan, 0
    return {
        "crops": np.zeros((pairs, 2, 8, 8, 3), np.uint8),
        "projections": cameras,
        "joints": joints,
        "keypoints": keypoints,
        "visibility": visibility,
        "present": np.arange(pairs) < pairs - 1,
        "search": np.zeros(pairs, bool),
    }


def off_by(truth: dict[str, np.ndarray], metres: float, pixels: float, lost: int = 0):
    """An answer that is `metres` too far to the right and whose disparity is `pixels` too high; `lost` pairs are nobody."""
    joints, keypoints = np.nan_to_num(truth["joints"]) + np.array([metres, 0, 0]), np.nan_to_num(truth["keypoints"])
    keypoints[:, 0, :, 0] += pixels
    joints[:lost], keypoints[:lost] = np.nan, np.nan
    return joints, keypoints, np.full(joints.shape[:2], 0.9)


@pytest.fixture(scope="module")
def result():
    truth = batch()

    def ours(crops, projections):
        return {OURS: off_by(truth, 0.05, 0.5), WITHOUT_PPT: off_by(truth, 0.1, 0.5), PER_VIEW: off_by(truth, 0.2, 1.0)}

    return judged(observe_all([ours, lambda *_: {MEDIAPIPE: off_by(truth, 0.1, 2.0, lost=2)}], iter([truth])))


def test_figures_are_those_of_each_method(result):
    assert result["pairs"] == 5
    rows = {name: method["compared_joints"]["all"] for name, method in result["methods"].items()}
    assert [rows[name]["mpjpe_mm"] for name in rows] == pytest.approx([50, 100, 200, 100])
    assert [rows[name]["disparity_median_px"] for name in rows] == pytest.approx([0.5, 0.5, 1.0, 2.0])
    assert rows[MEDIAPIPE]["coverage"] == pytest.approx(3 / 5)
    assert rows[OURS]["joints"] == 5 * 15
    assert result["methods"][OURS]["all_joints"]["all"]["joints"] == 5 * 17
    assert result["methods"][MEDIAPIPE]["all_joints"] is None
    assert result["methods"][OURS]["target_range"]["pairs"] == 5


def test_ratios_are_of_what_both_found(result):
    found = result["comparisons"]
    assert found["disparity error, co-keypoints / per-view heatmaps, median"]["ratio"] == pytest.approx(0.5)
    against = found["3D error, ours / MediaPipe ×2, median"]
    assert (against["ratio"], against["joints"]) == (pytest.approx(0.5), 3 * 15)
    hidden = found["3D error of hidden joints, with PPT / without, mean"]
    assert (hidden["ratio"], hidden["joints"]) == (pytest.approx(0.5), 3 * 3)


def test_targets_are_met_or_missed_and_all_can_be_read(result, tmp_path):
    empty = {"pairs": 500, "found": 1, "rate": 0.002, "rate_below_95": 0.01}
    judged_targets = targets(result, {"pairs": 5, "mpjpe_mm": 50.0, "low": 48.0, "high": 52.0}, empty)
    assert [t["met"] for t in judged_targets] == [False, True, True, True, False]
    assert verdict({"met": True, "certain": False}) == "met, though not with 95 % certainty"
    assert judged_targets[0]["measured"] == pytest.approx(50) and "48 to 52" in judged_targets[0]["target"]
    record = {**result, "model": "m", "synthetic_test_version": 2, "false_people": empty, "targets": judged_targets}
    assert MEDIAPIPE in text(record) and "missed" in text(record)
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- {marker(record)} -->\nold\n<!-- end -->\nafter\n<!-- end -->\n")
    insert(page, marker(record), markdown(record))
    written = page.read_text()
    assert written.startswith("before\n<!--") and written.endswith("<!-- end -->\nafter\n<!-- end -->\n")
    assert "old" not in written and "| 0.50 |" in written and "10.0 in 1 000" in written
    with pytest.raises(ValueError, match="no lines <!-- another -->"):
        insert(page, "another", "")


def test_a_ratio_has_an_interval_that_holds_it():
    generator = np.random.default_rng(0)
    other = generator.lognormal(0, 1, (60, JOINT_COUNT))
    found = ratio(other * 0.7 * generator.lognormal(0, 0.2, other.shape), other, "median", resamples=200)
    assert found["low"] < 0.7 < found["high"] and found["low"] < found["ratio"] < found["high"]
    assert np.isnan(ratio(np.full((3, 17), np.nan), other[:3], "mean")["ratio"])


def test_peaks_are_found_between_cells():
    u, v = np.meshgrid(np.arange(64), np.arange(64))
    places = np.array([[20.3, 31.6], [0.2, 62.9]])
    maps = np.stack([-((u - x) ** 2 + (v - y) ** 2) / 2 for x, y in places])
    maps[0] -= 3 * np.exp(-((u - 50) ** 2))  # elsewhere nothing pulls
    keypoints, sure = peaks(maps)
    np.testing.assert_allclose(keypoints[0], (places[0] + 0.5) * 4 - 0.5, atol=0.05)
    assert np.abs(keypoints[1] - ((places[1] + 0.5) * 4 - 0.5)).max() < 2  # half of it lies outside the map
    assert (sure > 0.95).all()


def test_the_shipped_graph_answers_as_it_does_without_its_heatmaps():
    network = OurNetwork(MODEL, threads=1)
    crops = np.random.default_rng(0).integers(0, 255, (1, 2, network.size, network.size, 3)).astype(np.uint8)
    cameras = batch(1)["projections"]
    found = network(crops, cameras)
    assert set(found) == {OURS, WITHOUT_PPT, PER_VIEW}
    for ours, plain in zip(found[OURS], OnnxWindows(MODEL, ["cpu"], 1)(crops, cameras)):
        np.testing.assert_allclose(ours, plain, atol=1e-4)
    assert found[PER_VIEW][1].shape == (1, 2, JOINT_COUNT, 2)


def test_the_target_counts_people_up_to_four_metres_and_knows_how_sure_it_is():
    table = observe_all([lambda *_: {OURS: off_by(batch(40), 0.0, 0.0)}], iter([batch(40)]))[OURS]
    wrong = np.random.default_rng(0).uniform(0, 0.2, 40)
    table.joints[:, :, 0] += wrong[:, None]
    table.distance[:] = np.where(np.arange(40) < 30, 3.9, 4.1)
    found = mean_up_to_4_m(table)
    assert found["pairs"] == 30 and found["mpjpe_mm"] == pytest.approx(1000 * wrong[:30].mean(), rel=1e-3)
    assert found["low"] < found["mpjpe_mm"] < found["high"]
    deviation = 1000 * wrong[:30].std() / np.sqrt(30)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * deviation, rel=0.2)
    assert mean_up_to_4_m(table.only(np.zeros(40, bool)))["pairs"] == 0


def test_larger_windows_show_the_same_pairs():
    small, large = batch(3), batch(3)
    size, side = small["crops"].shape[2], 2 * small["crops"].shape[2]
    generator = np.random.default_rng(0)
    small["crops"] = generator.integers(0, 255, small["crops"].shape).astype(np.uint8)
    large["crops"] = generator.integers(0, 255, (3, 2, side, side, 3)).astype(np.uint8)
    large["projections"][:, :, :2] *= 2
    large["projections"][:, :, :2, 2] += 0.5
    large["joints"][1] += 0.5  # another person
    crops, cameras = enlarged(small, large).values()
    np.testing.assert_array_equal(crops[[0, 2]], large["crops"][[0, 2]])
    np.testing.assert_allclose(cameras, large["projections"])
    assert (crops[1] != large["crops"][1]).any()
    for view in range(2):
        again = cv2.resize(crops[1, view], (size, size), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(again - small["crops"][1, view]).mean() < 25


def test_mediapipe_s_answer_comes_in_the_pixels_of_our_windows():
    truth = batch(2)
    cameras = truth["projections"].copy()
    cameras[:, :, :2] *= 2
    cameras[:, :, :2, 2] += 0.5
    seen = iter(2 * truth["keypoints"] + 0.5)
    landmarks = list(LANDMARKS_OF_JOINTS.values())

    class Process:
        def ask(self, left, right):
            assert left.shape == (2 * SIZE, 2 * SIZE, 3)
            found = np.zeros((2, 33, 3))
            keypoints = next(seen)
            for joint, of in enumerate(landmarks):
                if len(of) == 1:
                    found[:, of[0]] = np.concatenate([keypoints[:, joint], np.ones((2, 1))], 1)
            return SimpleNamespace(landmarks=found)

    method = MediaPipeOnEachView(Process(), SIZE)
    joints, keypoints, _ = method(np.zeros((1, 2, 2 * SIZE, 2 * SIZE, 3), np.uint8), cameras[:1])[MEDIAPIPE]
    single = [joint for joint, of in enumerate(landmarks) if len(of) == 1]
    np.testing.assert_allclose(keypoints[0][:, single], truth["keypoints"][0][:, single], atol=1e-3)
    np.testing.assert_allclose(joints[0, single], truth["joints"][0, single], atol=1e-3)


def test_a_rate_of_nothing_is_known_from_below():
    assert upper_rate(0, 3000) == pytest.approx(0.001)
    assert 0.02 < upper_rate(5, 300) < 0.05
    assert upper_rate(3, 3) == 1


def test_the_ablation_s_table_has_a_row_per_baseline(result):
    parts = {name: method["compared_joints"] for name, method in result["methods"].items() if name != MEDIAPIPE}
    found = {"model": "m", "pairs": 6, "synthetic_test_version": 2, "baselines": {"0.06": parts, "0.12": parts}}
    page = ablation.markdown(found)
    assert page.count("| visible, 0.") == 2
    row = next(line for line in page.splitlines() if line.startswith("| all joints, 0.12 m"))
    assert "| 50 / 0 / 0.50 |" in row
    assert "| –" in page, "no joint of this batch lies in some of the parts"
    assert "all joints, 0.06 m" in ablation.text(found)
