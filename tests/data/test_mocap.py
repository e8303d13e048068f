"""Motion capture: forward kinematics, resampling, poses for the transformer, retargeting to bodies of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from rsb_pose_ros.data.mocap import Motions, quaternion_matrices
from rsb_pose_ros.data.synthetic.poses import load_poses
from rsb_pose_ros.data.synthetic.posing import bone_positions
from rsb_pose_ros.data.synthetic.retarget import Y_UP_TO_Z_UP, Retarget, halfway, minimal_rotation
from rsb_pose_ros.skeleton import INDEX
from tests.data.conftest import BODIES


def test_quaternion_matrices_turn_as_quaternions_do():
    turn = np.array([[np.sqrt(0.5), 0, 0, np.sqrt(0.5)], [1, 0, 0, 0]])
    matrices = quaternion_matrices(turn)
    assert matrices[0] @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert matrices[1] == pytest.approx(np.eye(3))


def test_minimal_rotation_and_the_way_half_of_it():
    a, b = np.array([1.0, 0, 0]), np.array([0, 2.0, 0])
    whole = minimal_rotation(a, b)
    assert whole @ a == pytest.approx([0, 1, 0])
    half = halfway(np.eye(3), whole)
    assert half @ half == pytest.approx(whole)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        Motions.load(tmp_path / "none.npz")


def test_forward_kinematics_reproduce_the_stored_joints(motions):
    some = np.arange(0, len(motions), 97)
    world = motions.world_rotations(motions.rotations[some])
    rest = motions.rest[motions.subject[some]]
    places = np.zeros((len(some), len(motions.names), 3))
    for joint, parent in enumerate(motions.parents):
        if parent >= 0:
            places[:, joint] = places[:, parent] + (world[:, parent] @ rest[:, joint, :, None])[..., 0]
    pelvis = (places[:, motions.names.index("LeftUpLeg")] + places[:, motions.names.index("RightUpLeg")]) / 2
    ankle = places[:, motions.names.index("RightFoot")] - pelvis
    assert np.abs(ankle - motions.joints17[some, 3]).max() < 2e-3


def test_resampling_keeps_the_stored_poses(motions):
    take = max(motions.takes, key=lambda t: len(motions.takes[t]))
    rotations, roots = motions.resampled(take, 15.0)
    first = motions.takes[take][0]
    assert len(rotations) == len(roots)
    assert np.abs((rotations[0] * motions.rotations[first]).sum(-1)) == pytest.approx(1, abs=1e-4)
    assert roots[0] == pytest.approx(motions.root_position[first], abs=1e-4)


def test_limbs_point_where_the_actor_s_do(motions, pack):
    retarget = Retarget(motions, pack)
    generator = np.random.default_rng(0)
    limbs = (("LeftArm", "LeftForeArm"), ("RightUpLeg", "RightLeg"), ("RightLeg", "RightFoot"), ("LeftLeg", "LeftFoot"))
    for pose in generator.integers(len(motions), size=20):
        subject, body = int(motions.subject[pose]), int(generator.integers(len(pack)))
        world = motions.world_rotations(motions.rotations[pose])
        heads = bone_positions(pack, body, retarget(motions.rotations[pose], subject, body))
        for start, end in limbs:
            actor = Y_UP_TO_Z_UP @ world[motions.names.index(start)] @ motions.rest[subject][motions.names.index(end)]
            ours = heads[pack.bone(end)] - heads[pack.bone(start)]
            cosine = actor @ ours / np.linalg.norm(actor) / np.linalg.norm(ours)
            assert np.degrees(np.arccos(min(cosine, 1.0))) < 0.1


def test_poses_are_people(shared, pack):
    poses = load_poses(shared / "mocap/val.npz", BODIES, split="val")
    assert poses.dtype == np.float32 and np.isfinite(poses).all()
    assert np.abs(poses[:, INDEX["pelvis"]]).max() < 1e-6

    def length(a: str, b: str) -> np.ndarray:
        return np.linalg.norm(poses[:, INDEX[a]] - poses[:, INDEX[b]], axis=-1)

    assert length("r_knee", "r_ankle") == pytest.approx(length("l_knee", "l_ankle"), rel=0.03)
    assert 0.15 < length("r_hip", "l_hip").mean() < 0.22
    assert 0.46 < length("pelvis", "neck").mean() < 0.58
    walk = poses[Motions.load(shared / "mocap/val.npz").takes["49_01"]]
    assert (walk[:, INDEX["head_top"], 1] < -0.3).all(), "heads are up: y points down"
    assert (walk[:, INDEX["r_ankle"], 1] > 0.3).all()
    # The nose lies in front of the head, seen from left and right shoulder.
    across = walk[:, INDEX["l_shoulder"]] - walk[:, INDEX["r_shoulder"]]
    forward = np.cross(across, walk[:, INDEX["neck"]])
    nose = walk[:, INDEX["nose"]] - walk[:, INDEX["neck"]]
    assert ((forward * nose).sum(-1) > 0).mean() > 0.95
