"""Pairs of left and right images by stamp, and what went wrong when there are none."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

from rsb_pose_ros.node.complaints import Complaints

try:
    import message_filters
except ImportError:  # rclpy from PyPI comes without it
    from rsb_pose_ros.node import stand_in_filters as message_filters
try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

SIDES = ("left", "right")
PERIODS = 20
"""Frames over which a topic's period is measured."""
SILENCE = 3.0
"""Seconds without an image after which a topic counts as silent; slow cameras have three periods."""
JUMP = 0.5
"""Seconds back that are no longer two images out of order but time that starts over."""


@dataclass
class Side:
    """What is known of one image topic. last: stamp, seconds; arrived: time.monotonic() of the last image;
    unpaired: images since the last pair."""

    topic: str
    received: int = 0
    last: float | None = None
    arrived: float = 0.0
    unpaired: int = 0

    def __post_init__(self) -> None:
        self.intervals: deque[float] = deque(maxlen=PERIODS)

    @property
    def period(self) -> float | None:
        """Median time between stamps, or None before there are enough."""
        return statistics.median(self.intervals) if len(self.intervals) == PERIODS else None

    def silence(self, now: float) -> str | None:
        """Since when nothing comes, in words, or None when images come."""
        if not self.received:
            return "no image yet"
        gap = now - self.arrived
        return f"no image for {gap:.0f} s" if gap > max(SILENCE, 3 * (self.period or 0.0)) else None


class StereoSynchronizer:
    """Two image topics → on_pair(left, right), with message_filters' rules and without its traps.

    - An exception in a callback would leave message_filters' lock held for ever: on_pair's are caught and logged.
    - Stamps that jump back (a bag that loops) meet full queues of later stamps, and nothing pairs again: both queues
      are replaced by new ones.
    - A slop above half the frame period pairs neighbours for ever after one lost frame: periods are measured.
    """

    def __init__(
        self,
        slop: float,
        queue_size: int,
        on_pair: Callable[[Any, Any], None],
        complaints: Complaints,
        topics: tuple[str, str] = SIDES,
    ) -> None:
        self.sides = (Side(topics[0]), Side(topics[1]))
        self.pairs = 0
        self.resets = 0
        self._slop, self._queue_size = slop, queue_size
        self._on_pair, self._complaints = on_pair, complaints
        self._closest: float | None = None
        self._start()

    def _start(self) -> None:
        """Fresh queues. Reads better than clearing message_filters' private ones, and holds for all its versions."""
        self._inputs = [message_filters.SimpleFilter() for _ in SIDES]
        if self._slop > 0:
            filters = message_filters.ApproximateTimeSynchronizer(self._inputs, self._queue_size, self._slop)
        else:  # its comparison is strict: a slop of 0 would never match
            filters = message_filters.TimeSynchronizer(self._inputs, self._queue_size)
        filters.registerCallback(self._pair)
        self._filters = filters

    def receive(self, message: Any, side: int) -> None:
        """Take an image (any message with a header) of side 0 (left) or 1 (right). For one thread, the executor's."""
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        this, other = self.sides[side], self.sides[1 - side]
        this.received += 1
        this.unpaired += 1
        this.arrived = time.monotonic()
        if this.last is not None and stamp < this.last - JUMP:
            self._reset(f"{this.topic}: stamps jumped back by {this.last - stamp:.3f} s (a bag that loops?)")
        elif this.last is not None and stamp > this.last:
            this.intervals.append(stamp - this.last)
        this.last = stamp
        if other.last is not None:
            gap = abs(stamp - other.last)
            self._closest = gap if self._closest is None else min(self._closest, gap)
        if this.received % PERIODS == 0:
            self._check_slop(this)
        self._inputs[side].signalMessage(message)

    def problem(self) -> str | None:
        """A sentence when both sides arrive and no pair comes of them, else None."""
        if min(side.unpaired for side in self.sides) < PERIODS or self._closest is None:
            return None
        return (
            f"no pair in {self.sides[0].unpaired} left and {self.sides[1].unpaired} right images: the closest stamps "
            f"differ by {1e3 * self._closest:.1f} ms, parameter slop is {1e3 * self._slop:.1f} ms; synchronise the "
            "cameras, or raise slop to less than half a frame period"
        )

    def _pair(self, left: Any, right: Any) -> None:
        self.pairs += 1
        self._closest = None
        for side in self.sides:
            side.unpaired = 0
        try:
            self._on_pair(left, right)
        except Exception as error:
            self._complaints.say("internal error", f"taking a pair failed: {type(error).__name__}: {error}")

    def _reset(self, sentence: str) -> None:
        self.resets += 1
        for side in self.sides:
            side.last = None
        self._start()
        self._complaints.say("time jumps", f"{sentence}; pairing and tracking start anew")

    def _check_slop(self, side: Side) -> None:
        period = side.period
        if period is not None and self._slop > period / 2 > 0:
            self._complaints.say(
                "slop too large",
                f"{side.topic}: parameter slop is {1e3 * self._slop:.1f} ms, frames come every {1e3 * period:.1f} ms; "
                "expected a slop below half of that, else images of different moments are paired",
            )


def subscribe_images(
    node: Any, synchronizer: StereoSynchronizer, message_type: Any, depth: int, reliability: str
) -> list[Any]:
    """Feed a synchronizer from its topics; an error on the log names a publisher whose QoS does not fit."""
    profile = QoSProfile(
        depth=depth,
        history=HistoryPolicy.KEEP_LAST,
        durability=DurabilityPolicy.VOLATILE,
        reliability=ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT,
    )

    def subscribe(side: int, topic: str) -> Any:
        def incompatible(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            node.get_logger().error(
                f"{topic}: a publisher offers a QoS ({policy}) that does not "
                f"fit parameter reliability = {reliability}; no image comes from it: set reliability to best_effort"
            )

        return node.create_subscription(
            message_type,
            topic,
            lambda message: synchronizer.receive(message, side),
            profile,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=incompatible),
        )

    return [subscribe(index, side.topic) for index, side in enumerate(synchronizer.sides)]
