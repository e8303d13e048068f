"""Pairing by stamp: ours and ROS's message_filters under the same tests, and the traps that the latter has."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
from sensor_msgs.msg import CompressedImage

from rsb_pose_ros.node import stand_in_filters, synchronisation
from rsb_pose_ros.node.complaints import Complaints
from rsb_pose_ros.node.synchronisation import PERIODS, StereoSynchronizer

PERIOD = 1 / 30


@pytest.fixture(params=["stand-in", "message_filters"])
def filters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The implementation under test, in place of the one that was found on import."""
    if request.param == "stand-in":
        chosen = stand_in_filters
    else:
        try:
            chosen = importlib.import_module("message_filters")
        except ImportError:
            pytest.skip("message_filters is not installed (rclpy from PyPI)")
    monkeypatch.setattr(synchronisation, "message_filters", chosen)
    return chosen


class Pairs:
    """A synchronizer with its output."""

    def __init__(self, slop: float = 0.005, queue_size: int = 4) -> None:
        self.found: list[tuple[float, float]] = []
        self.said: list[str] = []
        self.broken = False
        self.complaints = Complaints(self.said.append)
        self.synchronizer = StereoSynchronizer(slop, queue_size, self._note, self.complaints, ("/l", "/r"))

    def _note(self, left: Any, right: Any) -> None:
        if self.broken:
            raise RuntimeError("a bug in the callback")
        self.found.append((seconds(left), seconds(right)))

    def left(self, *stamps: float) -> None:
        self._receive(0, stamps)

    def right(self, *stamps: float) -> None:
        self._receive(1, stamps)

    def _receive(self, side: int, stamps: tuple[float, ...]) -> None:
        for stamp in stamps:
            message = CompressedImage()
            nanoseconds = round(stamp * 1e9)
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(nanoseconds, 1_000_000_000)
            self.synchronizer.receive(message, side)


def seconds(message: Any) -> float:
    return round(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9, 6)


def test_equal_stamps_pair_with_and_without_slop(filters: ModuleType) -> None:
    for slop in (0.0, 0.005):
        pairs = Pairs(slop)
        pairs.left(1.0, 2.0)
        pairs.right(1.0, 2.0)
        assert pairs.found == [(1.0, 1.0), (2.0, 2.0)]


def test_left_and_right_keep_their_places_whoever_comes_last(filters: ModuleType) -> None:
    pairs = Pairs(0.02)
    pairs.right(1.001)
    pairs.left(1.0)
    pairs.left(2.0)
    pairs.right(2.001)
    assert pairs.found == [(1.0, 1.001), (2.0, 2.001)]


def test_stamps_farther_apart_than_the_slop_do_not_pair(filters: ModuleType) -> None:
    pairs = Pairs(0.005)
    pairs.left(1.0)
    pairs.right(1.006)
    assert pairs.found == []
    pairs.right(1.004)
    assert pairs.found == [(1.0, 1.004)]


def test_the_nearest_candidate_is_taken(filters: ModuleType) -> None:
    pairs = Pairs(0.05)
    pairs.left(1.00, 1.03)
    pairs.right(1.031)
    assert pairs.found == [(1.03, 1.031)]


def test_an_image_is_used_once(filters: ModuleType) -> None:
    pairs = Pairs(0.05)
    pairs.left(1.0)
    pairs.right(1.0, 1.01)
    assert pairs.found == [(1.0, 1.0)]


def test_a_lost_frame_shifts_nothing(filters: ModuleType) -> None:
    pairs = Pairs(0.005)
    for frame in range(20):
        pairs.left(frame * PERIOD)
        if frame != 5:
            pairs.right(frame * PERIOD)
    assert len(pairs.found) == 19
    assert all(left == right for left, right in pairs.found)


def test_queues_are_bounded(filters: ModuleType) -> None:
    pairs = Pairs(0.005, queue_size=2)
    pairs.left(1.0, 2.0, 3.0)
    pairs.right(1.0)
    assert pairs.found == []
    pairs.right(2.0)
    assert pairs.found == [(2.0, 2.0)]


def test_an_exception_in_the_callback_is_said_and_ends_nothing(filters: ModuleType) -> None:
    pairs = Pairs()
    pairs.broken = True
    pairs.left(1.0)
    pairs.right(1.0)
    assert "a bug in the callback" in pairs.said[0]
    pairs.broken = False
    pairs.left(2.0)
    pairs.right(2.0)
    assert pairs.found == [(2.0, 2.0)]


@pytest.mark.parametrize("late", [0, 1, 3])
def test_a_recording_that_starts_over_pairs_again(filters: ModuleType, late: int) -> None:
    """Also when a few images of one side's last round arrive after the other side's first of the new one."""
    pairs = Pairs(queue_size=2)
    for frame in range(30):
        pairs.left(100 + frame * PERIOD)
        if frame % 2:
            pairs.right(100 + frame * PERIOD)  # the left queue fills up
    pairs.left(*(frame * PERIOD for frame in range(late)))
    pairs.right(*(101 + frame * PERIOD for frame in range(late)))
    before = len(pairs.found)
    for frame in range(late, 30):
        pairs.left(frame * PERIOD)
        pairs.right(frame * PERIOD)
    assert len(pairs.found) - before >= 29 - late
    assert all(abs(left - right) < 0.005 for left, right in pairs.found)
    assert pairs.synchronizer.resets >= 1
    assert "jumped back" in pairs.said[0]


def test_a_slop_over_half_the_period_is_warned_of(filters: ModuleType) -> None:
    wide, narrow = Pairs(slop=0.02), Pairs(slop=0.005)
    for pairs in (wide, narrow):
        for frame in range(2 * PERIODS):
            pairs.left(frame * PERIOD)
            pairs.right(frame * PERIOD)
    assert "slop is 20.0 ms, frames come every 33.3 ms" in wide.said[0]
    assert narrow.said == []


def test_images_that_never_pair_are_explained(filters: ModuleType) -> None:
    pairs = Pairs(slop=0.005)
    for frame in range(PERIODS):
        pairs.left(frame * PERIOD)
        pairs.right(frame * PERIOD + 0.012)
    assert pairs.found == []
    problem = pairs.synchronizer.problem()
    assert problem is not None and "differ by 12.0 ms" in problem and "slop is 5.0 ms" in problem


def test_a_camera_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(synchronisation.time, "monotonic", lambda: clock)
    pairs = Pairs()
    left, right = pairs.synchronizer.sides
    assert left.silence(clock) == right.silence(clock) == "no image yet"
    pairs.left(1.0)
    pairs.right(1.0)
    assert left.silence(clock + 2) is right.silence(clock + 2) is None
    clock += 4
    pairs.left(5.0)
    assert left.silence(clock) is None
    assert right.silence(clock) == "no image for 4 s"


def test_cameras_that_lose_each_other_later_are_noticed(filters: ModuleType) -> None:
    pairs = Pairs(0.005)
    for i in range(PERIODS):
        pairs.left(i * PERIOD)
        pairs.right(i * PERIOD)
    assert pairs.synchronizer.problem() is None
    for i in range(PERIODS, 2 * PERIODS + 1):
        pairs.left(i * PERIOD)
        pairs.right(i * PERIOD + 0.012)
    problem = pairs.synchronizer.problem()
    assert problem is not None and "differ by 12.0 ms" in problem
    pairs.left(9.0)
    pairs.right(9.0)
    assert pairs.synchronizer.problem() is None
