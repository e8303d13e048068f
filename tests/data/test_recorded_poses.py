"""Recorded poses are split by time: no frame of one half has a neighbour in the other, whatever the camera pair."""

import numpy as np
import pytest

from rsb_pose_ros.data.recorded_poses import GUARD, RecordedPoses
from rsb_pose_ros.evaluation.refinement import before_and_after, on_clean_poses, oracles
from rsb_pose_ros.skeleton import JOINT_NAMES


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(430, 17, 3)) * 0.3 + [0, 0, 3]
    bias = rng.normal(size=(17, 3)) * 0.05
    seen = np.concatenate([truth, truth]) + bias + rng.normal(size=(860, 17, 3)) * 0.005
    # Groups one after the other or interleaved: frames are counted within each.
    group = np.repeat([0, 1], 430)
    np.savez(tmp_path / "poses.npz", triangulated=seen, ground_truth=np.concatenate([truth, truth]), group=group)
    return tmp_path / "poses.npz"


def test_halves_share_no_frame_and_no_neighbour(path):
    poses = RecordedPoses.load(path)
    training, held_out = poses.part("training"), poses.part("held-out")
    distance = np.abs(training.frame[:, None] - held_out.frame[None])
    assert distance.min() > GUARD
    assert set(training.group) == set(held_out.group) == {0, 1}
    assert 0.3 < len(held_out) / len(poses) < 0.6 and len(poses.part("all")) == 860
    with pytest.raises(ValueError, match="part 'half' is unknown"):
        poses.part("half")


def test_poses_that_do_not_follow_each_other_are_split_one_by_one(path, tmp_path):
    poses = RecordedPoses.load(path)
    apart = RecordedPoses(poses.triangulated, poses.truth, np.zeros(860, int), np.arange(860), sequence=False)
    apart.save(tmp_path / "apart.npz")
    again = RecordedPoses.load(tmp_path / "apart.npz")
    assert len(again.part("training")) == 774 and len(again.part("held-out")) == 86
    assert not set(again.part("training").frame) & set(again.part("held-out").frame)


def test_what_is_missing_is_named(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        RecordedPoses.load(tmp_path / "none.npz")
    np.savez(tmp_path / "bad.npz", group=np.zeros(3))
    with pytest.raises(ValueError, match="lacks ground_truth, triangulated"):
        RecordedPoses.load(tmp_path / "bad.npz")
    np.savez(
        tmp_path / "odd.npz", triangulated=np.zeros((3, 16, 3)), ground_truth=np.zeros((3, 16, 3)), group=np.zeros(3)
    )
    with pytest.raises(ValueError, match=r"shapes \(3, 16, 3\)"):
        RecordedPoses.load(tmp_path / "odd.npz")


def test_oracles_remove_what_they_know(path):
    poses = RecordedPoses.load(path)
    figures = before_and_after(poses, lambda joints: joints)
    assert figures["triangulated"]["mpjpe_mm"] == figures["refined"]["mpjpe_mm"] > 50
    best = oracles(poses)
    offset = np.linalg.norm(best["best constant offset per joint, camera axes"] - poses.truth, axis=-1)
    assert 1000 * offset.mean() == pytest.approx(5 * np.sqrt(8 / np.pi), rel=0.05)
    regression = next(value for name, value in best.items() if "regression" in name)
    assert 1000 * np.linalg.norm(regression - poses.truth, axis=-1).mean() < 15


def test_clean_poses_are_measured_where_they_are_masked():
    poses = np.random.default_rng(0).normal(size=(300, 17, 3)) * 0.3

    def refine(joints):
        return np.where(np.isnan(joints), 0.0, joints + np.float32([0.003, 0, 0]))

    figures = on_clean_poses(poses, refine)
    assert figures["moved_mm"] == pytest.approx(3, abs=1e-2)
    # Three metres and the joint's own offset away.
    assert figures["masked_median_mm"] == pytest.approx(3000, rel=0.1)
    assert set(figures["masked_per_joint_mm"]) == set(JOINT_NAMES)
