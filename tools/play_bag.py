#!/usr/bin/env python3
"""Play a rosbag2 recording over ROS 2 without a ROS install: needs rclpy and rosbags from PyPI, no ros2cli.

examples:
  tools/play_bag.py tests/fixtures/demo_bag
  tools/play_bag.py recording/ --rate 0.5 --loop
  tools/play_bag.py recording/ --topics /stereo/left/camera_info /stereo/right/camera_info
  tools/play_bag.py tests/fixtures/demo_bag --until-ready stereo/rsb_pose    # start when the node's model is loaded

Messages go out as they were recorded, stamps included, at the pace of the recording.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

READY_PATIENCE = 600.0
"""Seconds for a model to load: TensorRT builds engines for minutes."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path, help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="times the recorded pace (default 1)")
    parser.add_argument("--loop", action="store_true", help="start over at the end, until interrupted")
    parser.add_argument("--topics", nargs="+", default=[], help="only these topics")
    parser.add_argument(
        "--best-effort", action="store_true", help="publish as camera drivers do; the default is reliable"
    )
    parser.add_argument(
        "--until-ready", metavar="NODE", help="publish only camera_info until this node's model is ready"
    )
    parser.add_argument(
        "--log", type=Path, help="write a JSON line {topic, stamp_ns, sent_ns} for each message with a header"
    )
    arguments = parser.parse_args()
    if arguments.rate <= 0:
        parser.error(f"--rate is {arguments.rate}; expected a positive number")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return play(arguments)
    except KeyboardInterrupt:
        return 0


def play(arguments: argparse.Namespace) -> int:
    """Open the bag, wait where asked to, play. Returns the exit code."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.typesys import Stores, get_typestore

    try:
        reader = AnyReader([arguments.bag], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except (AnyReaderError, OSError) as error:
        print(
            f"recording {arguments.bag}: cannot be opened ({error}); expected a rosbag2 folder or file", file=sys.stderr
        )
        return 1
    try:
        connections = playable(reader.connections, arguments.topics)
    except ValueError as error:
        print(f"recording {arguments.bag}: {error}", file=sys.stderr)
        return 1
    # Signals stay with Python: rclpy's handler would shut ROS down in the middle of a publish.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    player = Player(rclpy.create_node("play_bag"), reader, connections, arguments)
    try:
        if arguments.until_ready and not player.wait_for_model(arguments.until_ready):
            return 1
        while True:
            player.play_once(arguments.rate)
            if not arguments.loop:
                # What was handed over last may still be on its way to a slow subscriber.
                time.sleep(0.5)
                return 0
    finally:
        player.close()
        reader.close()
        rclpy.try_shutdown()


class Player:
    """Publishes a recording's messages, still serialised, with a publisher for each of its topics."""

    def __init__(self, node: Any, reader: Any, connections: list[Any], arguments: argparse.Namespace) -> None:
        self._node, self._reader, self._connections = node, reader, connections
        self._log = arguments.log.open("w") if arguments.log else None
        self._publishers = self._advertise(arguments.best_effort)

    def _advertise(self, best_effort: bool) -> dict[str, Any]:
        from rclpy.qos import QoSProfile, ReliabilityPolicy

        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        profile = QoSProfile(depth=10, reliability=reliability)
        return {
            c.topic: self._node.create_publisher(message_class(c.msgtype), c.topic, profile) for c in self._connections
        }

    def play_once(self, rate: float) -> None:
        """All messages, each at its time; a late one goes out at once, and no time is made up for."""
        start: tuple[float, int] | None = None
        for connection, recorded, data in self._reader.messages(connections=self._connections):
            if start is None:
                start = (time.monotonic(), recorded)
            due = start[0] + (recorded - start[1]) * 1e-9 / rate
            while (left := due - time.monotonic()) > 0:
                time.sleep(left)
            self._publishers[connection.topic].publish(bytes(data))
            self._note(connection, data)

    def wait_for_model(self, node: str) -> bool:
        """Publish the first camera_info of each topic until /diagnostics says that the node's model is ready."""
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

        wanted = f"{node.lstrip('/')}: model"
        states: dict[str, Any] = {}
        self._node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda array: states.update({s.name: s for s in array.status}), 10
        )
        infos = list(self._first_infos())
        end = time.monotonic() + READY_PATIENCE
        while time.monotonic() < end:
            for topic, data in infos:
                self._publishers[topic].publish(data)
            rclpy.spin_once(self._node, timeout_sec=0.1)
            state = states.get(wanted)
            if state is not None and state.level == DiagnosticStatus.OK:
                return True
            if state is not None and state.level == DiagnosticStatus.ERROR:
                print(f"{node} cannot work: {state.message}", file=sys.stderr)
                return False
        heard = f"its state is: {states[wanted].message}" if wanted in states else "nothing was heard of it"
        print(f"{node} was not ready after {READY_PATIENCE:.0f} s; {heard}", file=sys.stderr)
        return False

    def _first_infos(self) -> Iterator[tuple[str, bytes]]:
        for connection in self._connections:
            if connection.msgtype == "sensor_msgs/msg/CameraInfo":
                for _, _, data in self._reader.messages(connections=[connection]):
                    yield connection.topic, bytes(data)
                    break

    def _note(self, connection: Any, data: bytes) -> None:
        if self._log is None or "header" not in message_class(connection.msgtype).get_fields_and_field_types():
            return
        # A header begins every message that has one: four bytes of CDR encapsulation, then sec and nanosec.
        little = data[1] & 1
        order = "little" if little else "big"
        stamp = int.from_bytes(data[4:8], order) * 1_000_000_000 + int.from_bytes(data[8:12], order)
        line = {"topic": connection.topic, "stamp_ns": stamp, "sent_ns": time.monotonic_ns()}
        self._log.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Flush the log and leave."""
        if self._log is not None:
            self._log.close()
        self._node.destroy_node()


def playable(connections: list[Any], topics: list[str]) -> list[Any]:
    """The connections to play: all, or those of some topics. One whose message type is not installed is left out and
    said on stderr. Raises ValueError when a topic is missing or nothing is left.
    """
    recorded = sorted({c.topic for c in connections})
    if missing := [topic for topic in topics if topic not in recorded]:
        raise ValueError(f"has no topic {', '.join(missing)}; it has {', '.join(recorded) or 'none'}")
    found = []
    for connection in connections:
        if topics and connection.topic not in topics:
            continue
        try:
            message_class(connection.msgtype)
        except (ImportError, AttributeError):
            print(f"{connection.topic} is not played: {connection.msgtype} is not installed here", file=sys.stderr)
        else:
            found.append(connection)
    if not found:
        raise ValueError("holds nothing that can be played; expected topics whose message types are installed here")
    return found


def message_class(name: str) -> Any:
    """The Python class of "package/msg/Name"."""
    import importlib

    package, _, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


if __name__ == "__main__":
    sys.exit(main())
