"""What the ROS-free parts of this package say through Python's logging, said on the node's log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PACKAGE_LOG = logging.getLogger("rsb_pose_ros")


class _Bridge(logging.Handler):
    def __init__(self, log: Any, heard: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._log, self._heard = log, heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard(record.getMessage())
        # rclpy identifies a call by its place in the code and refuses another severity there.
        if record.levelno >= logging.ERROR:
            self._log.error(record.getMessage())
        elif record.levelno >= logging.WARNING:
            self._log.warning(record.getMessage())
        else:
            self._log.info(record.getMessage())


@contextmanager
def forwarded(log: Any, heard: Callable[[str], None] = lambda sentence: None) -> Iterator[None]:
    """Inside, messages of the package go to `log`, which has info, warning and error, and to `heard`."""
    bridge, level = _Bridge(log, heard), PACKAGE_LOG.level
    PACKAGE_LOG.addHandler(bridge)
    PACKAGE_LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        PACKAGE_LOG.removeHandler(bridge)
        PACKAGE_LOG.setLevel(level)
