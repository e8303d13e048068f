"""People → standard messages: markers to look at, poses and a point cloud to work with.

Positions are metres in the header's frame. Joints that were not found are NaN in poses and cloud, and left out of
markers.
"""

from __future__ import annotations

import array
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseArray
from rclpy.duration import Duration
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from rsb_pose_ros.inference import Person
from rsb_pose_ros.skeleton import BONES, INDEX, JOINT_COUNT, ROOT, bone_rgb, joint_rgb

JOINT_DIAMETER, BONE_WIDTH, TEXT_HEIGHT = 0.055, 0.025, 0.12
"""Metres."""
FAINTEST = 0.15
"""Alpha of a joint with confidence 0: RViz complains of markers that are fully transparent."""
JOINTS_ID, BONES_ID, LABEL_ID = 0, 1, 2

COVARIANCE_FIELDS = tuple(f"cov_{term}" for term in ("xx", "xy", "xz", "yy", "yz", "zz"))
CLOUD_FIELDS = (
    *((name, PointField.FLOAT32) for name in ("x", "y", "z", "confidence")),
    *((name, PointField.UINT32) for name in ("joint", "body")),
    *((name, PointField.FLOAT32) for name in COVARIANCE_FIELDS),
)
CLOUD = np.dtype([(name, {PointField.FLOAT32: "<f4", PointField.UINT32: "<u4"}[kind]) for name, kind in CLOUD_FIELDS])
"""A point of ~/keypoints: position (m), confidence 0…1, index in skeleton.JOINT_NAMES, person's id, covariance (m²)."""
_UPPER = np.triu_indices(3)
_JOINTS = np.arange(JOINT_COUNT)


def header_like(stamp: object, frame_id: str) -> Header:
    """A header with an image's stamp, unchanged."""
    header = Header(frame_id=frame_id)
    header.stamp = stamp
    return header


def pose_array(people: Sequence[Person], header: Header) -> PoseArray:
    """17 poses a person in skeleton order; orientations are the identity, joints have none."""
    poses = PoseArray(header=header)
    for person in people:
        for x, y, z in person.joints.tolist():
            pose = Pose()
            pose.position.x, pose.position.y, pose.position.z = x, y, z
            pose.orientation.w = 1.0
            poses.poses.append(pose)
    return poses


def keypoint_cloud(people: Sequence[Person], header: Header) -> PointCloud2:
    """17 points a person, layout CLOUD: everything that is known in one message."""
    points = np.zeros((len(people), JOINT_COUNT), CLOUD)
    numbers = points.view("<f4").reshape(len(people), JOINT_COUNT, len(CLOUD_FIELDS))
    for row, joint, person in zip(numbers, points, people, strict=True):
        row[:, :3], row[:, 3] = person.joints, person.confidence
        row[:, 6:] = person.covariance[:, _UPPER[0], _UPPER[1]]
        joint["joint"], joint["body"] = _JOINTS, person.id
    cloud = PointCloud2(header=header, height=1, width=points.size, is_bigendian=False, point_step=CLOUD.itemsize)
    cloud.fields = _cloud_fields()
    cloud.row_step = points.nbytes
    cloud.data = array.array("B", points.tobytes())  # an ndarray or a list is checked byte by byte: 100 times slower
    cloud.is_dense = all(bool(person.valid.all()) for person in people)
    return cloud


@lru_cache(maxsize=1)
def _cloud_fields() -> list[PointField]:
    return [
        PointField(name=name, offset=4 * index, datatype=kind, count=1)
        for index, (name, kind) in enumerate(CLOUD_FIELDS)
    ]


def markers(people: Sequence[Person], ended: Iterable[int], header: Header, lifetime: float) -> MarkerArray:
    """Spheres, bones and a label for each person; DELETE for the ids of tracks that have ended. lifetime: seconds."""
    result = MarkerArray()
    for body in ended:
        result.markers += [_marker(body, kind, header, Marker.DELETE) for kind in (JOINTS_ID, BONES_ID, LABEL_ID)]
    shown_for = Duration(seconds=lifetime).to_msg()
    for person in people:
        points = {joint: _point(place) for joint, place in enumerate(person.joints.tolist()) if place[0] == place[0]}
        for marker in (_joints(person, points, header), _bones(person, points, header), _label(person, header)):
            marker.lifetime = shown_for
            result.markers.append(marker)
    return result


def delete_all(header: Header) -> Marker:
    """What removes every marker of this topic: for start and end only, each frame it would flicker."""
    marker = Marker(header=header, action=Marker.DELETEALL)
    marker.pose.orientation.w = 1.0
    return marker


def _marker(body: int, kind: int, header: Header, action: int) -> Marker:
    marker = Marker(header=header, ns=f"body_{body}", id=kind, action=action)
    marker.type = {JOINTS_ID: Marker.SPHERE_LIST, BONES_ID: Marker.LINE_LIST, LABEL_ID: Marker.TEXT_VIEW_FACING}[kind]
    marker.pose.orientation.w = 1.0
    marker.color.a = 1.0
    return marker


def _joints(person: Person, points: dict[int, Point], header: Header) -> Marker:
    # A list marker without points is an error in RViz.
    marker = _marker(person.id, JOINTS_ID, header, Marker.ADD if points else Marker.DELETE)
    marker.scale.x = marker.scale.y = marker.scale.z = JOINT_DIAMETER
    confidence = person.confidence.tolist()
    marker.points = list(points.values())
    marker.colors = [_colour(joint_rgb(joint), confidence[joint]) for joint in points]
    return marker


def _bones(person: Person, points: dict[int, Point], header: Header) -> Marker:
    confidence = person.confidence.tolist()
    bones = [bone for bone in BONES if bone[0] in points and bone[1] in points]
    marker = _marker(person.id, BONES_ID, header, Marker.ADD if bones else Marker.DELETE)
    marker.scale.x = BONE_WIDTH
    colours = [_colour(bone_rgb(bone), min(confidence[bone[0]], confidence[bone[1]])) for bone in bones]
    # Lists are handed over once: a message checks every element of what it is given.
    marker.points = [points[joint] for bone in bones for joint in bone]
    marker.colors = [colour for colour in colours for _ in range(2)]
    return marker


def _label(person: Person, header: Header) -> Marker:
    root, top = person.joints[ROOT].tolist(), person.joints[INDEX["head_top"]].tolist()
    length = math.dist(root, top)
    finite = math.isfinite(length)
    marker = _marker(person.id, LABEL_ID, header, Marker.ADD if finite else Marker.DELETE)
    if finite:
        # Above the head along the body, which is right in any frame.
        up = 1.5 * TEXT_HEIGHT / max(length, 1e-6)
        marker.pose.position = _point([t + up * (t - r) for r, t in zip(root, top, strict=True)])
    marker.scale.z = TEXT_HEIGHT
    marker.color = _colour((1.0, 1.0, 1.0), 1.0)
    marker.text = f"{person.id}: {100 * person.score:.0f} %"
    return marker


def _point(position: Sequence[float]) -> Point:
    x, y, z = position
    return Point(x=x, y=y, z=z)


def _colour(rgb: tuple[float, float, float], confidence: float) -> ColorRGBA:
    return _hundredths_of_colour(rgb, round(100 * min(max(confidence, 0.0), 1.0)))


@lru_cache(maxsize=1024)
def _hundredths_of_colour(rgb: tuple[float, float, float], confidence: int) -> ColorRGBA:
    """Kept, because making a message costs more than finding it: nobody sees a finer step of alpha."""
    return ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=FAINTEST + (1 - FAINTEST) * confidence / 100)
