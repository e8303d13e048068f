"""Small rosbag2 recordings for the tests, written with rosbags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from rsb_pose_ros.stereo import StereoRig
from tests.stereo.rigs import camera_infos

STORE = get_typestore(Stores.ROS2_HUMBLE)
PERIOD_NS = 33_333_333
START_NS = 1_700_000_000_000_000_000


def build(kind: str, /, **fields: Any) -> Any:
    """A message of a type such as "sensor_msgs/msg/Image"."""
    return STORE.types[kind](**fields)


def header(stamp_ns: int, frame: str = "left_optical") -> Any:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = build("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return build("std_msgs/msg/Header", stamp=stamp, frame_id=frame)


def image(picture: np.ndarray, stamp_ns: int) -> Any:
    grey = picture.ndim == 2
    return build(
        "sensor_msgs/msg/Image",
        header=header(stamp_ns),
        height=picture.shape[0],
        width=picture.shape[1],
        encoding="mono8" if grey else "bgr8",
        is_bigendian=0,
        step=picture.shape[1] * (1 if grey else 3),
        data=picture.reshape(-1),
    )


def compressed(picture: np.ndarray, stamp_ns: int) -> Any:
    data = cv2.imencode(".png", picture)[1].reshape(-1)
    return build(
        "sensor_msgs/msg/CompressedImage", header=header(stamp_ns), format="bgr8; png compressed bgr8", data=data
    )


def camera_info(info: Any, stamp_ns: int) -> Any:
    region = build("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return build(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp_ns),
        height=info.height,
        width=info.width,
        distortion_model=info.distortion_model,
        d=np.asarray(info.d, np.float64),
        k=np.asarray(info.k, np.float64),
        r=np.asarray(info.r, np.float64),
        p=np.asarray(info.p, np.float64),
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def joints_cloud(joints: np.ndarray, stamp_ns: int) -> Any:
    fields = [
        build("sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate("xyz")
    ]
    return build(
        "sensor_msgs/msg/PointCloud2",
        header=header(stamp_ns),
        height=1,
        width=len(joints),
        fields=fields,
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(joints),
        data=np.frombuffer(np.asarray(joints, "<f4").tobytes(), np.uint8),
        is_dense=True,
    )


def write_messages(path: Path, messages: Sequence[tuple[str, int, Any]], storage: str = "mcap") -> Path:
    """Write (topic, received at ns, message) in the order given."""
    plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        connections: dict[str, Any] = {}
        for topic, received, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], received, STORE.serialize_cdr(message, kind))
    return path


def stereo_messages(
    rig: StereoRig,
    pictures: Sequence[tuple[np.ndarray, np.ndarray]],
    truth: Sequence[np.ndarray | None] = (),
    *,
    encode: Any = compressed,
    skew_ns: int = 0,
    suffix: str = "/image_raw/compressed",
) -> list[tuple[str, int, Any]]:
    """Messages of a stereo camera: pictures, camera_infos, and ground truth where there is some."""
    messages: list[tuple[str, int, Any]] = []
    infos = camera_infos(rig)
    for i, pair in enumerate(pictures):
        stamp = START_NS + i * PERIOD_NS
        for side, picture, info, offset in zip(("left", "right"), pair, infos, (0, skew_ns)):
            namespace = f"/stereo/{side}"
            messages.append((f"{namespace}/camera_info", stamp, camera_info(info, stamp + offset)))
            messages.append((namespace + suffix, stamp + 1000, encode(picture, stamp + offset)))
        if i < len(truth) and truth[i] is not None:
            messages.append(("/stereo/ground_truth", stamp + 2000, joints_cloud(truth[i], stamp)))
    return messages
