"""Writes a rendered stereo clip as a ROS 2 recording (rosbag2, mcap), stamped as real cameras would stamp it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from rsb_pose_ros.data.synthetic.lenses import Lens
from rsb_pose_ros.data.synthetic.stage import Calibration, Frame
from rsb_pose_ros.stereo import Camera

FRAME_IDS = ("stereo_left_optical", "stereo_right_optical")
START_NS = 1_700_000_000_000_000_000
JITTER_NS = 1_800_000
"""The right camera's stamp is late by less than this."""
LATENCY_NS = 12_000_000
"""From capture to the recorder."""

METADATA_VERSION = 8
"""Of rosbag2's metadata.yaml: `ros2 bag` of Humble cannot parse the QoS profiles of version 9; later ones read both."""


class ClipWriter:
    """Context manager; one `write` per stereo pair."""

    def __init__(
        self,
        path: Path,
        lenses: tuple[Lens | Camera, Lens | Camera],
        calibration: Calibration,
        rate: float,
        quality: int,
    ) -> None:
        """path: folder of the recording, must not exist (FileExistsError); quality: JPEG, 0…100."""
        if path.exists():
            raise FileExistsError(f"{path}: exists already; remove it or give another --output")
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._lenses, self._calibration, self._period, self._quality = lenses, calibration, 1e9 / rate, quality
        self._writer = Writer(path, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._connections: dict[str, Any] = {}
        self._jitter = np.random.default_rng(1)
        self._count = 0

    def __enter__(self) -> ClipWriter:
        self._writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, frame: Frame) -> None:
        """Both pictures, both camera_infos and the true joints of one moment."""
        stamp = START_NS + round(self._count * self._period)
        late = int(self._jitter.integers(0, JITTER_NS))
        for side, (name, picture, taken) in enumerate(zip(("left", "right"), frame.images, (stamp, stamp + late))):
            self._send(f"/stereo/{name}/camera_info", taken + LATENCY_NS, self._camera_info(side, taken))
            data = cv2.imencode(
                ".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self._quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
            )[1].reshape(-1)
            image = self._new(
                "sensor_msgs/msg/CompressedImage", header=self._header(side, taken), format="jpeg", data=data
            )
            self._send(f"/stereo/{name}/image_raw/compressed", taken + LATENCY_NS + 1_000_000, image)
        self._send("/stereo/ground_truth", stamp + LATENCY_NS + 4_000_000, self._cloud(frame.joints, stamp))
        self._count += 1

    def _new(self, kind: str, /, **fields: Any) -> Any:
        return self._store.types[kind](**fields)

    def _send(self, topic: str, received: int, message: Any) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
        self._writer.write(self._connections[topic], received, self._store.serialize_cdr(message, kind))

    def _header(self, side: int, stamp: int) -> Any:
        seconds, nanoseconds = divmod(stamp, 1_000_000_000)
        time = self._new("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
        return self._new("std_msgs/msg/Header", stamp=time, frame_id=FRAME_IDS[side])

    def _camera_info(self, side: int, stamp: int) -> Any:
        lens = self._lenses[side]
        region = self._new(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._new(
            "sensor_msgs/msg/CameraInfo",
            header=self._header(side, stamp),
            height=lens.size[1],
            width=lens.size[0],
            distortion_model=lens.distortion_model or "plumb_bob",
            d=np.asarray(lens.distortion, np.float64),
            k=lens.matrix.ravel(),
            r=self._calibration.rectifications[side].ravel(),
            p=self._calibration.projections[side].ravel(),
            binning_x=0,
            binning_y=0,
            roi=region,
        )

    def _cloud(self, joints: np.ndarray, stamp: int) -> Any:
        """The joints (17, 3) as points, in the left camera's rectified optical frame."""
        fields = [
            self._new("sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=7, count=1)
            for i, name in enumerate("xyz")
        ]
        return self._new(
            "sensor_msgs/msg/PointCloud2",
            header=self._header(0, stamp),
            height=1,
            width=len(joints),
            fields=fields,
            is_bigendian=False,
            point_step=12,
            row_step=12 * len(joints),
            data=np.frombuffer(np.asarray(joints, "<f4").tobytes(), np.uint8),
            is_dense=True,
        )
