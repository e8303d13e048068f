"""Resident memory of the real node while it works on a recording that is played to it over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rsb_pose_ros.benchmark import BenchmarkError

ROOT = Path(__file__).resolve().parents[4]
NODE = "stereo/rsb_pose"
PATIENCE = 60.0
"""Seconds for the node to say something, and to end."""


class NodeMemoryError(BenchmarkError):
    """The node or the player did not run; the message holds the end of its log."""


def resident_mb(pid: int | str = "self", peak: bool = False) -> float:
    """Resident memory of a process now, or the most it ever had; MB (10⁶ bytes). Linux only: OSError elsewhere."""
    field = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def node_memory(model: Path, bag: Path, providers: Sequence[str] = ("cpu",)) -> dict[str, float]:
    """{"following": MB while pairs are worked on (median), "peak": the most since the start}; of the CPU's memory alone.

    providers: the node's parameter, best first. Node and player are processes of their own, in a ROS domain of their own.
    Raises NodeMemoryError.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "node.log"
        environment = ros_environment(Path(folder))
        with log.open("w") as output:
            node = subprocess.Popen(
                node_command(model, providers), stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        try:
            return _while_playing(node, log, bag, environment)
        finally:
            if node.poll() is None:
                node.send_signal(signal.SIGINT)
                try:
                    node.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    node.kill()
                    node.wait()


def ros_environment(folder: Path) -> dict[str, str]:
    """A ROS domain on this computer only."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "ros2_ws/src"), os.environ.get("PYTHONPATH", "")]),
        "ROS_DOMAIN_ID": str(50 + os.getpid() % 50),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(folder / "log"),
    }


def node_command(model: Path, providers: Sequence[str]) -> list[str]:
    """The node in namespace /stereo, where the recording's topics are; it runs this very file."""
    parameters = {
        "model": model.resolve(),
        "exact_model": "true",
        "transport": "compressed",
        "providers": f"[{', '.join(providers)}]",
    }
    settings = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return [sys.executable, "-m", "rsb_pose_ros.node.process", "--ros-args", "-r", "__ns:=/stereo", *settings]


def _while_playing(node: subprocess.Popen, log: Path, bag: Path, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, str(ROOT / "tools/play_bag.py"), str(bag), "--until-ready", NODE]
    played = log.with_name("player.log")
    with played.open("w") as output:
        player = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    seen = []
    end = time.monotonic() + 3 * PATIENCE
    while player.poll() is None:
        if node.poll() is not None or time.monotonic() > end:
            player.kill()
            player.wait()
            raise NodeMemoryError(f"the node ended or got no pairs; the end of its log:\n{_tail(log)}")
        if "is ready on" in log.read_text():
            seen.append(resident_mb(node.pid))
        time.sleep(0.1)
    if player.returncode or not seen:
        raise NodeMemoryError(f"{' '.join(command)} ended with {player.returncode}:\n{_tail(played)}\n{_tail(log)}")
    return {"following": sorted(seen)[len(seen) // 2], "peak": resident_mb(node.pid, peak=True)}


def _tail(log: Path) -> str:
    return "\n".join(log.read_text().strip().splitlines()[-6:])
