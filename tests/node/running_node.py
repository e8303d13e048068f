"""The real node as a process of its own, started as a user starts it, with its log in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "ros2_ws/src"
PATIENCE = 120.0
"""Seconds; generous, because machines that run tests are busy."""


class RunningNode:
    """A context manager; `parameters` and `ros_arguments` as on the command line."""

    def __init__(self, log: Path, *ros_arguments: str, **parameters: object) -> None:
        self._log = log
        settings = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        self._command = [sys.executable, "-m", "rsb_pose_ros.node.process", "--ros-args", *ros_arguments, *settings]

    def __enter__(self) -> RunningNode:
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]))
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=self._log.parent
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_for_log(self, *texts: str) -> None:
        """Until every text stands on the log."""
        end = time.monotonic() + PATIENCE
        while not all(text in self.log for text in texts):
            assert self.alive, self.log
            assert time.monotonic() < end, f"{texts} did not appear on the log:\n{self.log}"
            time.sleep(0.05)

    def signal(self, *signals: signal.Signals) -> int:
        """Send signals one after the other and return the exit code."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.05)
        return self.process.wait(PATIENCE)
