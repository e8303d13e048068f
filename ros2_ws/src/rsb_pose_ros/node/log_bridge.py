"""What the ROS-free parts of this package say through Python's logging, said on the node's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PACKAGE_LOG = logging.getLogger("rsb_pose_ros")


class _Bridge(logging.Handler):
    def __init__(self, log: Any) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        # rclpy identifies a call by its place in the code and refuses another severity there.
        if record.levelno >= logging.ERROR:
            self._log.error(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._log.warning(record.getMessage())
        else:
            self._log.info(record.getMessage())


@contextmanager
def forwarded(log: Any) -> Iterator[None]:
    """Inside, messages of the package go to `log`, which has info, warning and error."""
    bridge, level = _Bridge(log), PACKAGE_LOG.level
    PACKAGE_LOG.addHandler(bridge)
    PACKAGE_LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        PACKAGE_LOG.removeHandler(bridge)
        PACKAGE_LOG.setLevel(level)
