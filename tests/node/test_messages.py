"""People → messages where joints are missing, and the frames that tf needs."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import Transform
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from rsb_pose_ros.inference import Person
from rsb_pose_ros.node.frames import body_frame, moved, quaternion, rigid
from rsb_pose_ros.node.messages import CLOUD, keypoint_cloud, markers, pose_array
from rsb_pose_ros.skeleton import BONES, INDEX, JOINT_COUNT
from rsb_pose_ros.stereo import StereoCrop
from tests.inference.blob_scene import standing_at

HEADER = Header(frame_id="left")
RANDOM = np.random.default_rng(5)


def person(joints: np.ndarray, number: int = 3) -> Person:
    covariance = RANDOM.normal(size=(JOINT_COUNT, 3, 3)).astype(np.float32)
    return Person(
        id=number,
        joints=joints.astype(np.float32),
        joints_initial=joints.astype(np.float32),
        confidence=np.linspace(0, 1, JOINT_COUNT, dtype=np.float32),
        covariance=covariance @ covariance.swapaxes(1, 2),
        keypoints=np.zeros((2, JOINT_COUNT, 2), np.float32),
        crop=StereoCrop(0, 0, 0, 100, 100),
    )


def without(*names: str) -> np.ndarray:
    joints = standing_at(0, 0, 3)
    joints[[INDEX[name] for name in names]] = np.nan
    return joints


def test_missing_joints_are_nan_in_poses_and_cloud() -> None:
    someone = person(without("l_wrist"))
    poses = pose_array([someone], HEADER).poses
    assert len(poses) == JOINT_COUNT
    assert np.isnan(poses[INDEX["l_wrist"]].position.x) and not np.isnan(poses[INDEX["l_elbow"]].position.x)
    cloud = keypoint_cloud([someone], HEADER)
    points = np.frombuffer(bytes(cloud.data), CLOUD)
    assert np.isnan(points["z"][INDEX["l_wrist"]]) and not cloud.is_dense
    assert keypoint_cloud([person(standing_at(0, 0, 3))], HEADER).is_dense


def test_missing_joints_and_their_bones_are_left_out_of_markers() -> None:
    spheres, bones, _ = markers([person(without("l_elbow"))], [], HEADER, 0.4).markers
    assert len(spheres.points) == len(spheres.colors) == JOINT_COUNT - 1
    assert len(bones.points) == len(bones.colors) == 2 * (len(BONES) - 2)
    assert np.isfinite([(p.x, p.y, p.z) for p in spheres.points + bones.points]).all()


def test_a_person_without_any_joint_leaves_no_empty_marker() -> None:
    """RViz takes a list marker without points for an error."""
    nobody = person(np.full((JOINT_COUNT, 3), np.nan))
    assert {m.action for m in markers([nobody], [], HEADER, 0.4).markers} == {Marker.DELETE}


def test_two_people_keep_apart() -> None:
    people = [person(standing_at(0, 0, 3), 1), person(standing_at(1, 0, 3), 2)]
    message = markers(people, [7], HEADER, 0.4)
    keys = [(m.ns, m.id) for m in message.markers]
    assert len(keys) == len(set(keys)) == 9
    assert {m.ns for m in message.markers if m.action == Marker.DELETE} == {"body_7"}
    points = np.frombuffer(bytes(keypoint_cloud(people, HEADER).data), CLOUD)
    assert points["body"].tolist() == [1] * JOINT_COUNT + [2] * JOINT_COUNT
    assert len(pose_array(people, HEADER).poses) == 2 * JOINT_COUNT


def test_covariance_terms_are_in_their_places() -> None:
    someone = person(standing_at(0, 0, 3))
    points = np.frombuffer(bytes(keypoint_cloud([someone], HEADER).data), CLOUD)
    for i, first in enumerate("xyz"):
        for j, second in list(enumerate("xyz"))[i:]:
            np.testing.assert_array_equal(points[f"cov_{first}{second}"], someone.covariance[:, i, j])


def test_the_label_is_above_the_head() -> None:
    label = markers([person(standing_at(0, 0, 3))], [], HEADER, 0.4).markers[-1]
    head = standing_at(0, 0, 3)[INDEX["head_top"]]
    assert label.pose.position.y < head[1] - 0.1  # y points down
    assert label.text.startswith("3: ")


@pytest.mark.parametrize("trial", range(20))
def test_quaternion_and_rotation_agree(trial: int) -> None:
    q = RANDOM.normal(size=4)
    q /= np.linalg.norm(q) * (1 if q[3] > 0 else -1)
    transform = Transform()
    transform.rotation.x, transform.rotation.y, transform.rotation.z, transform.rotation.w = q.tolist()
    rotation, translation = rigid(transform)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0
    np.testing.assert_allclose(quaternion(rotation), q, atol=1e-9)
    np.testing.assert_array_equal(translation, 0)


def test_the_optical_frame_becomes_the_bodys_frame_of_the_robot() -> None:
    """REP-103: optical z is forward; base_link's x is."""
    transform = Transform()
    transform.rotation.x, transform.rotation.y, transform.rotation.z, transform.rotation.w = -0.5, 0.5, -0.5, 0.5
    transform.translation.z = 1.2
    someone = person(standing_at(0.3, 0.1, 3))
    seen = moved(someone, *rigid(transform))
    pelvis = seen.joints[INDEX["pelvis"]]
    np.testing.assert_allclose(pelvis, [3, -0.3, 1.1], atol=1e-5)
    np.testing.assert_allclose(seen.covariance[:, 0, 0], someone.covariance[:, 2, 2], rtol=1e-4)
    assert np.isnan(moved(person(without("nose")), *rigid(transform)).joints[INDEX["nose"]]).all()


def test_body_frame_is_rep_155s() -> None:
    """The person looks at the camera: its forward is the camera's −z, its left the camera's +x, its up −y."""
    rotation, origin = body_frame(standing_at(0.2, 0.1, 3))
    np.testing.assert_allclose(origin, [0.2, 0.1, 3], atol=1e-6)
    np.testing.assert_allclose(rotation, np.array([[0, 1, 0], [0, 0, -1], [-1, 0, 0]]), atol=0.02)
    assert body_frame(without("neck")) is None
    assert body_frame(np.zeros((JOINT_COUNT, 3))) is None
