"""A stereo camera and a listener in one ROS node, for tests that come in through the front door."""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from rsb_pose_ros.stereo import StereoRig
from tests.inference.blob_scene import picture, pinhole_rig
from tests.node.running_node import PATIENCE

SIDES = ("left", "right")
FRAME = "rig_left_optical"
OUTPUTS = {"markers": MarkerArray, "poses": PoseArray, "keypoints": PointCloud2}
PERIOD_NS = 50_000_000


def small_rig() -> StereoRig:
    """Images small enough for DDS' default transports."""
    return pinhole_rig(size=(320, 240), focal=260.0)


def camera_info(rig: StereoRig, side: int, frame: str = FRAME) -> CameraInfo:
    """CameraInfo of one side as a calibrated driver publishes it."""
    camera = rig.cameras[side]
    info = CameraInfo(width=camera.size[0], height=camera.size[1], distortion_model=camera.distortion_model)
    info.k, info.r = camera.matrix.ravel().tolist(), camera.rectification.ravel().tolist()
    info.d, info.p = camera.distortion.tolist(), rig.projections[side].ravel().tolist()
    info.header.frame_id = frame
    return info


def image(pixels: np.ndarray, encoding: str = "bgr8") -> Image:
    """sensor_msgs/Image of (H, W, 3) or (H, W) uint8."""
    height, width = pixels.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, step=pixels[0].nbytes)
    message.data = array.array("B", pixels.tobytes())
    return message


def compressed(pixels: np.ndarray) -> CompressedImage:
    """sensor_msgs/CompressedImage, JPEG."""
    message = CompressedImage(format="bgr8; jpeg compressed bgr8")
    message.data = array.array("B", cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes())
    return message


class StereoCamera:
    """Publishes in `namespace` and collects what the node there publishes.

    received: output name → list of messages; states: diagnostics by name without the node's.
    """

    def __init__(self, namespace: str, *, kind: Any = Image, latched_infos: bool = False) -> None:
        self.rig = small_rig()
        self.received: dict[str, list[Any]] = {name: [] for name in OUTPUTS}
        self.states: dict[str, Any] = {}
        self.namespace = namespace
        self.stamp_ns = 1_700_000_000_000_000_000
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("stereo_camera", namespace=namespace, context=self._context)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        suffix = "/compressed" if kind is CompressedImage else ""
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched_infos else DurabilityPolicy.VOLATILE
        profile = QoSProfile(depth=1, durability=durability, reliability=ReliabilityPolicy.RELIABLE)
        self._images = [self.node.create_publisher(kind, f"{side}/image_raw{suffix}", 2) for side in SIDES]
        self._infos = [self.node.create_publisher(CameraInfo, f"{side}/camera_info", profile) for side in SIDES]
        for name, output in OUTPUTS.items():
            self.node.create_subscription(output, f"rsb_pose/{name}", self.received[name].append, 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._note, 10)

    def _note(self, message: DiagnosticArray) -> None:
        prefix = f"{self.namespace}/rsb_pose: "
        self.states.update({s.name.removeprefix(prefix): s for s in message.status if s.name.startswith(prefix)})

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def forget(self) -> None:
        """Drop what was received so far."""
        for messages in self.received.values():
            messages.clear()

    def spin(self, seconds: float) -> None:
        """Receive for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def send_infos(self, *infos: CameraInfo) -> None:
        """Both camera infos; the rig's unless others are given."""
        for publisher, info in zip(self._infos, infos or [camera_info(self.rig, side) for side in (0, 1)]):
            publisher.publish(info)

    def send(self, left: Any, right: Any, skew_ns: int = 0) -> int:
        """A pair of image messages with the next stamp, which is returned (nanoseconds)."""
        self.stamp_ns += PERIOD_NS
        for publisher, message, stamp in zip(self._images, (left, right), (self.stamp_ns, self.stamp_ns + skew_ns)):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
            message.header.frame_id = "somewhere_else"
            publisher.publish(message)
        return self.stamp_ns

    def send_person(self, joints: np.ndarray | None, make: Callable[[np.ndarray], Any] = image) -> int:
        """Infos and a pair with this person (or an empty room) in it."""
        self.send_infos()
        return self.send(*(make(view) for view in picture(self.rig, joints)))

    def values(self, state: str) -> dict[str, str]:
        """Key → value of a diagnostic state; empty before it was heard."""
        return {pair.key: pair.value for pair in self.states[state].values} if state in self.states else {}

    def until(self, condition: Callable[[], Any], act: Callable[[], Any] = lambda: None) -> Any:
        """Act and receive until the condition gives something true, which is returned."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            act()
            self.spin(0.05)
            if result := condition():
                return result
        raise AssertionError(f"waited in vain; diagnostics: { {n: s.message for n, s in self.states.items()} }")


def stamp_of(message: Any) -> int:
    """The header's stamp, nanoseconds."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
