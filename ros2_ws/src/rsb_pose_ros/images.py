"""sensor_msgs/Image and CompressedImage → pictures as the estimator wants them: BGR (H, W, 3) or grey (H, W), uint8.

No ROS is imported: any object with the fields of the message will do (rclpy's, rosbags', a test's).
The formats which are already right (bgr8, mono8, 8UC1, 8UC3) are viewed in place, padding at the row ends included;
all others cost one cv2.cvtColor of the picture. 16-bit pictures keep their upper 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np


class ImageError(ValueError):
    """A message from which no picture can be made."""


@dataclass(frozen=True)
class _Layout:
    """How the bytes of one encoding lie: samples a pixel, bytes a sample, and what cv2.cvtColor makes BGR of it."""

    channels: int
    depth: int = 1
    conversion: int | None = None


# OpenCV names a Bayer pattern after its second row and column, ROS after its first.
_LAYOUTS: dict[str, _Layout] = {
    "bgr8": _Layout(3),
    "8uc3": _Layout(3),
    "mono8": _Layout(1),
    "8uc1": _Layout(1),
    "rgb8": _Layout(3, 1, cv2.COLOR_RGB2BGR),
    "bgra8": _Layout(4, 1, cv2.COLOR_BGRA2BGR),
    "8uc4": _Layout(4, 1, cv2.COLOR_BGRA2BGR),
    "rgba8": _Layout(4, 1, cv2.COLOR_RGBA2BGR),
    "mono16": _Layout(1, 2),
    "16uc1": _Layout(1, 2),
    "bgr16": _Layout(3, 2),
    "16uc3": _Layout(3, 2),
    "rgb16": _Layout(3, 2, cv2.COLOR_RGB2BGR),
    "uyvy": _Layout(2, 1, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422": _Layout(2, 1, cv2.COLOR_YUV2BGR_UYVY),
    "yuyv": _Layout(2, 1, cv2.COLOR_YUV2BGR_YUY2),
    "yuv422_yuy2": _Layout(2, 1, cv2.COLOR_YUV2BGR_YUY2),
}
for _pattern, _code in {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}.items():
    _LAYOUTS[f"bayer_{_pattern}8"] = _Layout(1, 1, _code)
    _LAYOUTS[f"bayer_{_pattern}16"] = _Layout(1, 2, _code)

_SEMIPLANAR = {"nv12": cv2.COLOR_YUV2BGR_NV12, "nv21": cv2.COLOR_YUV2BGR_NV21}
"""A plane of Y with a plane of interleaved chroma of half the height below it."""

SUPPORTED_ENCODINGS = tuple(sorted(name.upper() if name[0].isdigit() else name for name in [*_LAYOUTS, *_SEMIPLANAR]))
"""As sensor_msgs spells them; letters' case makes no difference in a message."""


def to_array(message: Any) -> np.ndarray:
    """The picture of an Image or CompressedImage: (H, W, 3) BGR or (H, W) grey, uint8.

    bgr8, 8UC3, mono8 and 8UC1 are views of message.data (read-only where the message is); do not keep them longer than
    the message. Raises ImageError: an unknown encoding, sizes that do not fit the data, data that cannot be decoded.
    """
    if hasattr(message, "encoding"):
        return _from_image(message)
    if hasattr(message, "format"):
        return _from_compressed(message)
    raise ImageError(f"{type(message).__name__} is no picture; expected a sensor_msgs Image or CompressedImage")


def _from_image(message: Any) -> np.ndarray:
    encoding = str(message.encoding).strip().lower()
    if encoding in _SEMIPLANAR:
        if message.width % 2 or message.height % 2:
            raise ImageError(f"{encoding} picture of {message.width}x{message.height}; expected even width and height")
        return cv2.cvtColor(_rows(message, message.height * 3 // 2, _Layout(1)), _SEMIPLANAR[encoding])
    if encoding not in _LAYOUTS:
        raise ImageError(
            f"image encoding {message.encoding!r} is not supported; expected one of {', '.join(SUPPORTED_ENCODINGS)}: "
            "set the camera driver to one of them or convert with image_proc"
        )
    layout = _LAYOUTS[encoding]
    picture = to_8_bit(_rows(message, message.height, layout))
    return picture if layout.conversion is None else cv2.cvtColor(picture, layout.conversion)


def _rows(message: Any, height: int, layout: _Layout) -> np.ndarray:
    """A view of the message's bytes, (height, width[, channels]); the padding that `step` names is jumped over."""
    width, pixel = int(message.width), layout.channels * layout.depth
    buffer = np.frombuffer(message.data, np.uint8)
    step = int(message.step) or width * pixel
    if width <= 0 or height <= 0:
        raise ImageError(f"{message.encoding} picture of {width}x{height}; expected a positive width and height")
    if step < width * pixel:
        raise ImageError(
            f"{message.encoding} picture has step {step} for {width} pixels of {pixel} bytes; "
            f"expected at least {width * pixel}: check the driver"
        )
    if buffer.size < step * (height - 1) + width * pixel:
        raise ImageError(
            f"{message.encoding} picture of {width}x{message.height} with step {step} carries {buffer.size} bytes; "
            f"expected {step * height}: the message is cut short"
        )
    kind = np.dtype(np.uint8 if layout.depth == 1 else (">u2" if message.is_bigendian else "<u2"))
    shape: tuple[int, ...] = (height, width, layout.channels)
    strides: tuple[int, ...] = (step, pixel, layout.depth)
    if layout.channels == 1:
        shape, strides = shape[:2], strides[:2]
    return np.ndarray(shape, kind, buffer, strides=strides)


def to_8_bit(picture: np.ndarray) -> np.ndarray:
    """The upper 8 bits of a 16-bit picture; an 8-bit one unchanged. Its values are taken to span all 16 bits."""
    return picture if picture.dtype == np.uint8 else (picture >> 8).astype(np.uint8)


def _from_compressed(message: Any) -> np.ndarray:
    data = np.frombuffer(message.data, np.uint8)
    picture = None
    if data.size:
        try:
            # Unchanged: grey stays grey, and an EXIF orientation does not turn the picture away from its calibration.
            picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        except cv2.error:
            picture = None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"compressed picture with format {message.format!r} and {data.size} bytes cannot be decoded; "
            "expected JPEG or PNG data of 8 or 16 bits"
        )
    picture = to_8_bit(picture)
    if picture.ndim == 3 and picture.shape[2] == 4:
        return cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR)
    # compressed_image_transport names the order that was handed to the encoder, which takes everything for BGR.
    if picture.ndim == 3 and "compressed rgb" in str(message.format):
        return cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return picture
