"""The life of the node's process: signals, spinning, exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from typing import Any

PATIENCE = 3.0
"""Seconds for the last pair; launch sends SIGTERM 5 s after SIGINT."""


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; both may come several times and at any moment. Returns the exit code.

    0 after a signal, 1 when an argument cannot be read or a parameter has a value that cannot be (the log says which).
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Ours instead of rclpy's: that one shuts ROS down before the markers can be taken off the screen, and a
        # background shell starts us with SIGINT ignored.
        signal.signal(number, lambda *_: stop.set())
    try:
        return _run(args, stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _run(args: list[str] | None, stop: threading.Event) -> int:
    # Imported only now, with signals in hand: rclpy takes its time.
    import cv2
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException, ParameterException
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from rsb_pose_ros.node.parameters import ParameterError
    from rsb_pose_ros.node.pose_node import PoseNode

    # Windows of 224² gain nothing from OpenCV's threads, which wake up between two runs of the network and take the cores
    # from ONNX Runtime's. benchmark/latency.py measures it so.
    cv2.setNumThreads(1)
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # RCLError and UnknownROSArgsError: what stands behind --ros-args
        print(f"rsb_pose: cannot start: {error}", file=sys.stderr)
        return 1
    try:
        node = PoseNode()
    except (ParameterError, ParameterException) as error:
        hint = " (1.0 is a number with a fraction, 1 is not; [cpu] is a list, cpu is not)"
        wrong_type = isinstance(error, InvalidParameterTypeException)
        rclpy.logging.get_logger("rsb_pose").fatal(f"cannot start: {error}{hint if wrong_type else ''}")
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stop.is_set() and rclpy.ok():
        try:
            executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            break
        except Exception as error:  # of a callback; a robot's node does not die of one message
            node.complaints.say("internal error", f"a callback failed: {type(error).__name__}: {error}")
            node.get_logger().debug(traceback.format_exc())
    return _end(node, executor)


def _end(node: Any, executor: Any) -> int:
    import rclpy

    if not node.close(PATIENCE):
        # The worker is inside ONNX Runtime, perhaps for minutes. Python cannot end a thread, and must not pull the
        # floor from under it.
        sys.stderr.flush()
        os._exit(0)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
