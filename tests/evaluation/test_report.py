"""From a recording to numbers and pictures, with the stand-in network."""

import json

import numpy as np
import pytest

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.evaluation.drawing import draw_skeleton, rectified_views
from rsb_pose_ros.evaluation.figures import PairStrip, write_figure
from rsb_pose_ros.evaluation.report import summarise, table_text, write_json
from rsb_pose_ros.evaluation.run import observe, tabulate
from rsb_pose_ros.inference import StereoPoseEstimator
from rsb_pose_ros.stereo import project
from tests.bags.recordings import stereo_messages, write_messages
from tests.inference.blob_model import COLOURS_BGR, write_blob_model
from tests.inference.blob_scene import picture, standing_at
from tests.stereo.rigs import verged

RIG = verged()
WALK = [standing_at(-0.3 + 0.05 * i, 0, 2.8) for i in range(6)]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Six pairs, in the fourth of which nobody is to be seen though the truth says otherwise."""
    folder = tmp_path_factory.mktemp("evaluated")
    pictures = [picture(RIG, joints if i != 3 else None) for i, joints in enumerate(WALK)]
    write_messages(folder / "bag", stereo_messages(RIG, pictures, WALK))
    with StereoBag(folder / "bag") as bag:
        rig = bag.rig()
        estimator = StereoPoseEstimator(write_blob_model(folder), rig, threads=1)
        strip = PairStrip(rig, bag.pair_count, wanted=3)
        first = observe(estimator, bag.pairs(), strip)
        second = observe(estimator, bag.pairs())
    return rig, first, second, strip


def without_times(record: dict) -> dict:
    return {key: value for key, value in record.items() if key != "timing"}


def test_a_record_says_what_was_found_and_what_was_missed(evaluated):
    rig, observations, _, _ = evaluated
    record = summarise(observations, tabulate(observations, rig))
    assert record["detection"]["pairs"] == 6
    assert record["detection"]["found"] == 5
    assert record["detection"]["ids"] == 1
    refined = record["refined"]
    assert refined["joints_expected"] == 6 * 17
    assert refined["joints_missing"] == 17
    assert refined["coverage"] == pytest.approx(5 / 6)
    assert refined["pck_150mm"] <= 5 / 6
    assert 0 < refined["pa_mpjpe_mm"] < refined["mpjpe_mm"] < 60
    assert len(refined["per_joint_mm"]) == 17
    assert record["image"]["keypoint_px"] < 2
    assert 0 <= record["honesty"]["within_95"] <= 1


def test_it_is_the_same_from_run_to_run(evaluated, tmp_path):
    rig, first, second, _ = evaluated
    for name, observations in (("a", first), ("b", second)):
        write_json(without_times(summarise(observations, tabulate(observations, rig))), tmp_path / name)
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_json_is_strict_and_the_table_readable(evaluated, tmp_path):
    rig, observations, _, _ = evaluated
    record = summarise(observations, tabulate(observations, rig))
    record["nothing"] = float("nan")
    write_json(record, tmp_path / "record.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads((tmp_path / "record.json").read_text(), parse_constant=refuse)["nothing"] is None
    text = table_text(record)
    assert "somebody found in 5" in text
    assert "MPJPE absolute" in text


def test_without_truth_there_is_no_accuracy_and_it_is_said(evaluated):
    rig, observations, _, _ = evaluated
    blind = [type(o)(o.stamp_ns, o.person, None, o.runs, o.elapsed_s, o.cut_s, o.network_s) for o in observations]
    record = summarise(blind, tabulate(blind, rig))
    assert "refined" not in record
    assert "no ground truth" in table_text(record)
    assert table_text(summarise([], tabulate([], rig))).startswith("pairs 0")


def test_the_picture_shows_three_pairs(evaluated, tmp_path):
    rig, observations, _, strip = evaluated
    assert len(strip.tiles) == 3
    assert strip.picture().shape == (480, 4 * 320, 3)
    record = summarise(observations, tabulate(observations, rig))
    poses = np.array([o.person.joints for o in observations if o.person is not None])
    write_figure(tmp_path / "figure.png", strip.picture(), poses, record, "title")
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    write_figure(tmp_path / "empty.png", None, np.zeros((0, 17, 3)), {"detection": {}}, "nobody")
    assert PairStrip(rig, 0).picture() is None


def test_rectified_views_show_joints_where_they_are_projected():
    joints = standing_at(0, 0, 2.5)
    views = rectified_views(RIG, *picture(RIG, joints))
    pixels = project(joints.astype(np.float64), RIG.projections).round().astype(int)
    for view, (x, y) in zip(views, pixels[:, 0]):
        np.testing.assert_allclose(view[y, x].astype(int), COLOURS_BGR[0].astype(int), atol=12)


def test_uncertain_and_unknown_joints_are_not_drawn():
    keypoints = np.full((17, 2), np.nan)
    keypoints[0], keypoints[5] = (20, 20), (50, 50)
    confidence = np.zeros(17)
    confidence[0] = 0.9
    view = np.zeros((80, 80, 3), np.uint8)
    draw_skeleton(view, keypoints, confidence)
    assert view[20, 20].any()
    assert not view[50, 50].any()
    draw_skeleton(view, keypoints * 1e6)
