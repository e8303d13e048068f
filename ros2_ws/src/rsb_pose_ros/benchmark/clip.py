"""A short recording at another picture size, as messages: what a camera driver would hand to the node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from rsb_pose_ros.bags import StereoBag
from rsb_pose_ros.stereo import Camera, StereoRig

JPEG_QUALITY = 90


@dataclass(frozen=True)
class ClipPair:
    """raw, compressed: (left, right) with the fields of sensor_msgs Image (bgr8) and CompressedImage (JPEG);
    stamp: seconds."""

    raw: tuple[Any, Any]
    compressed: tuple[Any, Any]
    stamp: float


@dataclass(frozen=True)
class Clip:
    """Stereo pairs of one size, and the rig that took them."""

    size: tuple[int, int]
    rig: StereoRig
    pairs: list[ClipPair]


def load_clip(bag: Path, size: tuple[int, int], pairs: int) -> Clip:
    """The first `pairs` pairs of a recording, scaled to fit into (width, height); edges are filled by repeating them.

    Raises BagError.
    """
    with StereoBag(bag) as recording:
        rig = recording.rig()
        scale, offset = fitted(rig.cameras[0].size, size)
        taken: list[ClipPair] = []
        for pair in recording.pairs():
            if len(taken) == pairs:
                break
            views = [enlarged(view, scale, offset, size) for view in (pair.left, pair.right)]
            taken.append(ClipPair(tuple(map(image, views)), tuple(map(jpeg, views)), pair.stamp))
    return Clip(size, resized(rig, scale, offset, size), taken)


def fitted(before: tuple[int, int], after: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """Scale, and (columns, rows) to fill on the left and above, that put a picture into the middle of another."""
    scale = min(after[0] / before[0], after[1] / before[1])
    return scale, tuple((a - round(b * scale)) // 2 for a, b in zip(after, before))  # type: ignore[return-value]


def enlarged(view: np.ndarray, scale: float, offset: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The picture scaled and filled up to `size`."""
    scaled = cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    left, top = offset
    right, bottom = size[0] - left - scaled.shape[1], size[1] - top - scaled.shape[0]
    return cv2.copyMakeBorder(scaled, top, bottom, left, right, cv2.BORDER_REPLICATE)


def resized(rig: StereoRig, scale: float, offset: tuple[int, int], size: tuple[int, int]) -> StereoRig:
    """The rig whose pictures `enlarged` makes; pixel centres are integers, so that edges lie half a pixel outside."""

    def move(matrix: np.ndarray) -> np.ndarray:
        moved = np.array(matrix, np.float64)
        moved[..., :2, :] *= scale
        moved[..., :2, 2] += (scale - 1) / 2 + np.array(offset)
        return moved

    def of(camera: Camera) -> Camera:
        return replace(camera, matrix=move(camera.matrix), size=size)

    return StereoRig((of(rig.cameras[0]), of(rig.cameras[1])), move(rig.projections))


def image(view: np.ndarray) -> Any:
    """A bgr8 sensor_msgs/Image by its fields."""
    height, width = view.shape[:2]
    return SimpleNamespace(
        encoding="bgr8", height=height, width=width, step=3 * width, is_bigendian=0, data=view.tobytes()
    )


def jpeg(view: np.ndarray) -> Any:
    """A JPEG sensor_msgs/CompressedImage by its fields."""
    data = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return SimpleNamespace(format="bgr8; jpeg compressed bgr8", data=data)
