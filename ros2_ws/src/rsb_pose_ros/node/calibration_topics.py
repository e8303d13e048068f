"""The rig from two camera_info topics: the latest of each side, checked, rebuilt when it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from rsb_pose_ros.node.complaints import Complaints
from rsb_pose_ros.stereo import CalibrationError, StereoRig

REASON = "calibration refused"


class CalibrationTopics:
    """Watches two CameraInfo topics. Stamps play no part: those of camera_info often match no image's.

    on_rig(rig, frame_id) is called with every new rig and the left camera's frame, on_refusal() when a new calibration
    is no good. `rig`, `frame_id` and `refusal` (a sentence or None) tell the present state.
    """

    def __init__(
        self,
        topics: tuple[str, str],
        rectified: bool,
        on_rig: Callable[[StereoRig, str], None],
        on_refusal: Callable[[], None],
        complaints: Complaints,
    ) -> None:
        self.topics = topics
        self.rig: StereoRig | None = None
        self.frame_id = ""
        self.refusal: str | None = None
        self._rectified = rectified
        self._on_rig, self._on_refusal, self._complaints = on_rig, on_refusal, complaints
        self._infos: list[CameraInfo | None] = [None, None]

    def receive(self, info: CameraInfo, side: int) -> None:
        """Take the info of side 0 (left) or 1 (right). The same content again costs a comparison."""
        before = self._infos[side]
        self._infos[side] = info
        left, right = self._infos
        if left is None or right is None:
            return
        if before is None or _content(before) != _content(info):
            self._rebuild(left, right)
        elif self.refusal:
            self._complaints.say(REASON, self.refusal)

    def missing(self) -> list[str]:
        """Topics from which nothing has come yet."""
        return [topic for topic, info in zip(self.topics, self._infos, strict=True) if info is None]

    def _rebuild(self, left: CameraInfo, right: CameraInfo) -> None:
        try:
            rig = StereoRig.from_camera_info(left, right, rectified=self._rectified)
        except (CalibrationError, ValueError) as error:
            self.rig, self.refusal = None, f"{self.topics[0]} and {self.topics[1]}: {error}"
            self._complaints.say(REASON, self.refusal)
            self._on_refusal()
            return
        self.rig, self.frame_id, self.refusal = rig, left.header.frame_id, None
        self._complaints.settle(REASON)
        self._on_rig(rig, self.frame_id)


class CameraInfoSubscriptions:
    """Feeds CalibrationTopics from its two topics of a node.

    Volatile subscriptions hear cameras, which publish with every image. What a publisher said once, before this node
    started (transient local, "latched"), needs a subscription that asks for it; that one is made only where there is
    such a publisher, since every other would log a warning about it.
    """

    def __init__(self, node: Any, calibration: CalibrationTopics) -> None:
        self._node, self._calibration = node, calibration
        self._latched: set[str] = set()
        for side, topic in enumerate(calibration.topics):
            self._subscribe(side, topic, DurabilityPolicy.VOLATILE, ReliabilityPolicy.BEST_EFFORT)

    def ask_latched(self) -> None:
        """To be called now and then: asks latched publishers of the topics from which nothing has come."""
        for side, topic in enumerate(self._calibration.topics):
            if topic in self._latched or topic not in self._calibration.missing():
                continue
            offers = [info.qos_profile.durability for info in self._node.get_publishers_info_by_topic(topic)]
            if DurabilityPolicy.TRANSIENT_LOCAL in offers:
                self._latched.add(topic)
                self._subscribe(side, topic, DurabilityPolicy.TRANSIENT_LOCAL, ReliabilityPolicy.RELIABLE)

    def _subscribe(self, side: int, topic: str, durability: DurabilityPolicy, reliability: ReliabilityPolicy) -> None:
        profile = QoSProfile(depth=1, durability=durability, reliability=reliability)
        self._node.create_subscription(CameraInfo, topic, lambda info: self._calibration.receive(info, side), profile)


def _content(info: CameraInfo) -> tuple:
    """All of a calibration but its stamp."""
    matrices = tuple(tuple(matrix) for matrix in (info.k, info.d, info.r, info.p))
    return (info.header.frame_id, info.width, info.height, info.distortion_model, *matrices)
