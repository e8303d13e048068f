"""Frames: people in another frame than the camera's, and a frame of their own for each of them. tf2 where installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from std_msgs.msg import Header

from rsb_pose_ros.inference import Person
from rsb_pose_ros.node.complaints import Refused
from rsb_pose_ros.skeleton import INDEX

try:
    import tf2_ros
except ImportError:  # rclpy from PyPI comes without it
    tf2_ros = None

PATIENCE = 0.05
"""Seconds for which a transform is waited for: it often arrives a little after the images."""
MISSING = "tf2_ros is not installed; install ros-$ROS_DISTRO-tf2-ros, or leave {parameter} at its default"


class Frames:
    """Listens to tf only when it is needed, and broadcasts."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._buffer: Any = None
        self._broadcaster: Any = None

    def transform(self, people: Sequence[Person], header: Header, target: str) -> list[Person]:
        """People in frame `target` at the header's stamp; header.frame_id becomes `target`. Refused without tf."""
        if not target or target == header.frame_id:
            return list(people)
        if tf2_ros is None:
            raise Refused("no transform", MISSING.format(parameter="target_frame"))
        if self._buffer is None:
            self._buffer = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._buffer, self._node)
        try:
            found = self._buffer.lookup_transform(
                target, header.frame_id, Time.from_msg(header.stamp), timeout=Duration(seconds=PATIENCE)
            )
        except tf2_ros.TransformException as error:
            raise Refused(
                "no transform",
                f"no transform from {header.frame_id} to target_frame {target}: {error}; "
                "publish it, or set target_frame to an empty string",
            ) from error
        rotation, translation = rigid(found.transform)
        header.frame_id = target
        return [moved(person, rotation, translation) for person in people]

    def broadcast(self, people: Sequence[Person], header: Header) -> None:
        """One transform header.frame_id → body_<id> for each person with known hips and neck."""
        if tf2_ros is None:
            raise Refused("no transform", MISSING.format(parameter="publish_tf"))
        if self._broadcaster is None:
            self._broadcaster = tf2_ros.TransformBroadcaster(self._node)
        for person in people:
            frame = body_frame(person.joints)
            if frame is not None:
                self._broadcaster.sendTransform(_stamped(frame, header, f"body_{person.id}"))


def moved(person: Person, rotation: np.ndarray, translation: np.ndarray) -> Person:
    """The person's joints and covariance after x' = R·x + t. Keypoints are pixels and stay."""
    return replace(
        person,
        joints=(person.joints @ rotation.T + translation).astype(np.float32),
        joints_initial=(person.joints_initial @ rotation.T + translation).astype(np.float32),
        covariance=(rotation @ person.covariance @ rotation.T).astype(np.float32),
    )


def rigid(transform: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and translation (3,) of a geometry_msgs/Transform."""
    q, t = transform.rotation, transform.translation
    axis, w = np.array([q.x, q.y, q.z]), q.w
    cross = np.array([[0, -q.z, q.y], [q.z, 0, -q.x], [-q.y, q.x, 0]])
    rotation = (w * w - axis @ axis) * np.eye(3) + 2 * np.outer(axis, axis) + 2 * w * cross
    return rotation, np.array([t.x, t.y, t.z])


def body_frame(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotation (3, 3) and origin (3,) of a body (REP-155): mid-hip, x forward, y to the body's left, z up to the neck.

    joints: (17, 3) metres. None when hips or neck are unknown or in one line.
    """
    left, right, neck = (np.float64(joints[INDEX[name]]) for name in ("l_hip", "r_hip", "neck"))
    origin = (left + right) / 2
    up, across = neck - origin, left - right
    forward = np.cross(across, up)
    if not np.linalg.norm(forward) > 1e-4:  # NaN fails this, too
        return None
    z = up / np.linalg.norm(up)
    x = forward / np.linalg.norm(forward)
    return np.column_stack([x, np.cross(z, x), z]), origin


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """(x, y, z, w) of a rotation matrix: the eigenvector of Bar-Itzhack's symmetric matrix; stable at every angle."""
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    vector = np.linalg.eigh(symmetric)[1][:, -1]
    return vector if vector[3] >= 0 else -vector


def _stamped(frame: tuple[np.ndarray, np.ndarray], header: Header, child: str) -> TransformStamped:
    rotation, origin = frame
    result = TransformStamped(header=header, child_frame_id=child)
    t, q = result.transform.translation, result.transform.rotation
    t.x, t.y, t.z = origin.tolist()
    q.x, q.y, q.z, q.w = quaternion(rotation).tolist()
    return result
