"""The node: subscriptions, publishers, parameters and diagnostics around a PoseWorker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from rsb_pose_ros.inference import Person
from rsb_pose_ros.node.calibration_topics import CalibrationTopics, CameraInfoSubscriptions
from rsb_pose_ros.node.complaints import Complaints
from rsb_pose_ros.node.diagnostics import Diagnostics
from rsb_pose_ros.node.frames import Frames
from rsb_pose_ros.node.messages import delete_all, header_like, keypoint_cloud, markers, pose_array
from rsb_pose_ros.node.parameters import ParameterError, Parameters
from rsb_pose_ros.node.synchronisation import SIDES, StereoSynchronizer, subscribe_images
from rsb_pose_ros.node.worker import Pair, PoseWorker
from rsb_pose_ros.stereo import StereoRig

FAREWELL = Duration(seconds=1)
"""For the last markers, where a listener is busy or gone; launch sends SIGTERM 5 s after SIGINT."""


class PoseNode(Node):
    """Stereo images → people. Interface: docs/node.md.

    Subscribes left/image_raw, right/image_raw (or …/compressed), left/camera_info, right/camera_info; publishes
    ~/markers, ~/poses, ~/keypoints and /diagnostics. Raises ParameterError and rclpy's parameter exceptions at start.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("rsb_pose", **options)
        self.parameters = Parameters.declare(self)
        self.add_on_set_parameters_callback(self._change)
        self.complaints = Complaints(self.get_logger().warning)
        self._frames = Frames(self)
        self._shown: set[int] = set()
        self._cleared = False
        self._marker_publisher = self.create_publisher(MarkerArray, "~/markers", 5)
        self._pose_publisher = self.create_publisher(PoseArray, "~/poses", 5)
        self._keypoint_publisher = self.create_publisher(PointCloud2, "~/keypoints", 5)
        self._subscribe()
        self._report()
        self.worker.start()

    def _subscribe(self) -> None:
        settings = self.parameters
        compressed = settings.transport == "compressed"
        # As image_transport does it: the base topic is remapped, the suffix is added afterwards.
        suffix = "/compressed" if compressed else ""
        topics = tuple(self.resolve_topic_name(f"{side}/image_raw") + suffix for side in SIDES)
        info_topics = tuple(self.resolve_topic_name(f"{side}/camera_info") for side in SIDES)
        self.worker = PoseWorker(
            lambda: self.parameters, self._publish, topics, self.complaints, self.get_logger(), self._seconds
        )
        self.calibration = CalibrationTopics(
            info_topics, settings.rectified, self._calibrated, lambda: self.worker.use_rig(None), self.complaints
        )
        self.synchronizer = StereoSynchronizer(settings.slop, settings.sync_queue, self._pair, self.complaints, topics)
        self._camera_infos = CameraInfoSubscriptions(self, self.calibration)
        kind = CompressedImage if compressed else Image
        subscribe_images(self, self.synchronizer, kind, settings.queue_depth, settings.reliability)
        self.get_logger().info(f"waiting for {topics[0]}, {topics[1]}, {info_topics[0]}, {info_topics[1]}")

    def _report(self) -> None:
        diagnostics = Diagnostics(
            self.get_fully_qualified_name().lstrip("/"),
            self.worker,
            self.synchronizer,
            self.calibration,
            self.complaints,
            self.count_publishers,
        )
        publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 5)

        def report() -> None:
            self._camera_infos.ask_latched()
            publisher.publish(diagnostics.report(self.get_clock().now().to_msg()))

        # On a steady clock: simulated time that does not start is something to report, not to wait for.
        self.create_timer(self.parameters.diagnostics_period, report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self, timeout: float) -> bool:
        """End the worker and take the markers off the screen. False when the worker is still busy after `timeout` s."""
        ended = self.worker.stop(timeout)
        if self._cleared and self.context.ok():
            header = header_like(self.get_clock().now().to_msg(), self.calibration.frame_id)
            self._marker_publisher.publish(MarkerArray(markers=[delete_all(header)]))
            # A publisher that is destroyed takes along what its listeners have not fetched yet.
            self._marker_publisher.wait_for_all_acked(FAREWELL)
        return ended

    def _seconds(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _pair(self, left: Any, right: Any) -> None:
        stamp = left.header.stamp
        self.worker.mailbox.put(Pair(left, right, stamp.sec + stamp.nanosec * 1e-9, time.monotonic()))

    def _calibrated(self, rig: StereoRig, frame_id: str) -> None:
        width, height = rig.cameras[0].size
        self.get_logger().info(
            f"calibration: {width}x{height}, baseline {rig.baseline:.4f} m, focal length {rig.focal_length:.1f} px, "
            f"frame {frame_id!r}"
        )
        self.worker.use_rig(rig, frame_id)

    def _change(self, changes: list[Any]) -> SetParametersResult:
        try:
            self.parameters = self.parameters.updated(changes)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if any(change.name == "model" for change in changes):
            self.worker.load()
        return SetParametersResult(successful=True)

    def _publish(self, pair: Pair, people: Sequence[Person], frame_id: str) -> None:
        """Everything that is known of one pair. Runs on the worker's thread."""
        settings = self.parameters
        header = header_like(pair.left.header.stamp, frame_id or pair.left.header.frame_id)
        people = self._frames.transform(people, header, settings.target_frame)
        # Building messages in Python takes longer than sending them: only for somebody who listens.
        if settings.publish_keypoints and self._keypoint_publisher.get_subscription_count():
            self._keypoint_publisher.publish(keypoint_cloud(people, header))
        if settings.publish_poses and self._pose_publisher.get_subscription_count():
            self._pose_publisher.publish(pose_array(people, header))
        if (settings.publish_markers or self._shown) and self._marker_publisher.get_subscription_count():
            self._publish_markers(people if settings.publish_markers else [], header, settings.marker_lifetime)
        if settings.publish_tf:
            self._frames.broadcast(people, header)

    def _publish_markers(self, people: Sequence[Person], header: Any, lifetime: float) -> None:
        present = {person.id for person in people}
        message = markers(people, sorted(self._shown - present), header, lifetime)
        if not self._cleared:  # once: what an earlier run of this node left on the screen
            message.markers.insert(0, delete_all(header))
            self._cleared = True
        self._shown = present
        self._marker_publisher.publish(message)
