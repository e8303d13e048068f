"""Joints as sensor_msgs/PointCloud2: 17 points in skeleton order."""

from __future__ import annotations

from typing import Any

import numpy as np

from rsb_pose_ros.bags.topics import BagError
from rsb_pose_ros.skeleton import JOINT_COUNT

FLOAT32 = 7
"""sensor_msgs/PointField.FLOAT32."""


def read_joints(cloud: Any, source: str) -> np.ndarray:
    """(17, 3) float32 of a cloud with float32 fields x, y, z and 17 points; other fields are ignored.

    source: what the error should name. Raises BagError for any other cloud.
    """
    offsets = {f.name: f.offset for f in cloud.fields if f.datatype == FLOAT32 and f.name in ("x", "y", "z")}
    if set(offsets) != {"x", "y", "z"}:
        raise BagError(f"{source}: has fields {[f.name for f in cloud.fields]}; expected float32 x, y, z")
    count = cloud.width * cloud.height
    if count != JOINT_COUNT:
        raise BagError(f"{source}: has {count} points; expected {JOINT_COUNT}, one skeleton in skeleton order")
    kind = np.dtype(">f4" if cloud.is_bigendian else "<f4")
    data = bytes(cloud.data)
    if len(data) < count * cloud.point_step:
        raise BagError(f"{source}: carries {len(data)} bytes; expected {count * cloud.point_step}")
    columns = [np.ndarray((count,), kind, data, offsets[axis], (cloud.point_step,)) for axis in ("x", "y", "z")]
    return np.stack(columns, axis=-1).astype(np.float32)
