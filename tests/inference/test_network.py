"""What the network answers is read as unknown where it cannot be true."""

import numpy as np

from rsb_pose_ros.inference.network import read_person
from rsb_pose_ros.stereo import StereoCrop, project
from tests.inference.blob_scene import pinhole_rig, standing_at

RIG = pinhole_rig()
JOINTS = standing_at(0, 0, 2.5)
CROP = StereoCrop.around(JOINTS, RIG.projections, 128)
CAMERAS = CROP.projections(RIG.projections)


def answer() -> dict[str, np.ndarray]:
    return {
        "joints": JOINTS.copy(),
        "joints_initial": JOINTS.copy(),
        "keypoints": project(JOINTS.astype(np.float64), CAMERAS).astype(np.float32),
        "confidence": np.full(17, 0.9, np.float32),
        "covariance": np.tile(np.eye(3, dtype=np.float32), (17, 1, 1)),
    }


def test_a_good_answer_is_handed_on_with_keypoints_of_the_full_view():
    person = read_person(answer(), CAMERAS, CROP)
    np.testing.assert_array_equal(person.joints, JOINTS)
    np.testing.assert_allclose(person.keypoints, project(JOINTS.astype(np.float64), RIG.projections), atol=1e-3)
    assert person.valid.all()


def test_joints_behind_infinity_or_the_cameras_are_unknown():
    outputs = answer()
    outputs["keypoints"][1, 0, 0] = outputs["keypoints"][0, 0, 0] + 50
    outputs["joints"][1, 2] = -1
    outputs["joints_initial"][2] = np.inf
    outputs["joints"][3, 0] = np.nan
    outputs["confidence"][4] = np.nan
    outputs["covariance"][5, 0, 0] = np.nan
    person = read_person(outputs, CAMERAS, CROP)
    assert person.valid.tolist() == [False] * 4 + [True] * 13
    assert np.isnan(person.joints[:4]).all()
    assert np.isnan(person.joints_initial[:4]).all()
    assert person.confidence[:5].tolist() == [0] * 5
    assert np.isnan(person.covariance[:4]).all()
    assert np.isnan(person.covariance[5]).all()
    assert np.isfinite(person.covariance[6:]).all()


def test_answers_are_copies():
    outputs = answer()
    person = read_person(outputs, CAMERAS, CROP)
    for array in outputs.values():
        array[:] = 0
    np.testing.assert_array_equal(person.joints, JOINTS)
    assert person.confidence.min() > 0.8


def test_a_joint_far_behind_the_body_is_not_part_of_it():
    outputs = answer()
    outputs["joints"][4, 2] += 4.0
    person = read_person(outputs, CAMERAS, CROP)
    assert np.isnan(person.joints[4]).all() and person.confidence[4] == 0
    assert np.isfinite(np.delete(person.joints, 4, 0)).all()
