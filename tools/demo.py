#!/usr/bin/env python3
"""The whole chain on this computer: a player sends a recording over ROS 2, the node answers, this program listens.

Player and node are processes of their own and talk over DDS in real time; nothing is replayed from files. Writes
report.json, strip.png, skeleton_3d.png and the logs of both processes, and prints what was measured.

examples:
  tools/demo.py
  tools/demo.py --bag recording/ --model models/rsb_pose_edge.onnx --rate 0.5
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NODE = "stereo/rsb_pose"
ENOUGH = 0.9
"""Share of the pairs that must get a pose, of those for which this machine had the time."""
START_PATIENCE, STOP_PATIENCE = 60.0, 10.0


class DemoError(RuntimeError):
    """The chain did not run; the message says which part of it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--bag", type=Path, default=ROOT / "tests/fixtures/demo_bag", help="recording with ground truth"
    )
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models/rsb_pose_edge_int8.onnx", help="model with its card"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "out/demo", help="folder for the report (default out/demo)"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="times the recorded pace (default 1)")
    parser.add_argument("--provider", default="auto", help="execution provider of the node (default auto)")
    arguments = parser.parse_args()
    # Player and node are started in the checkout, this program perhaps elsewhere.
    arguments.bag, arguments.output = arguments.bag.resolve(), arguments.output.resolve()
    arguments.output.mkdir(parents=True, exist_ok=True)
    set_environment(arguments.output)
    from rsb_pose_ros.bags import BagError
    from rsb_pose_ros.stereo import CalibrationError

    try:
        return run(arguments)
    except (DemoError, BagError, CalibrationError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def set_environment(output: Path) -> None:
    """A ROS domain of our own on this computer only, for this process and those it starts."""
    sys.path.insert(0, str(ROOT / "ros2_ws/src"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "ros2_ws/src"), os.environ.get("PYTHONPATH", "")])
    os.environ["ROS_DOMAIN_ID"] = str(50 + os.getpid() % 50)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_LOG_DIR"] = str(output.resolve() / "log")


def run(arguments: argparse.Namespace) -> int:
    """Play, listen, report. Returns the exit code."""
    from rsb_pose_ros.bags import StereoBag

    sent_log = arguments.output / "sent.jsonl"
    with StereoBag(arguments.bag) as bag:  # what it lacks is said now, not after minutes in which nothing comes
        bag.rig()
        command = node_command(arguments, bag.topics)
    with Listener() as listener, Process(command, arguments.output / "node.log") as node:
        listener.wait_until(lambda: listener.diagnostics and listener.hears_node(), START_PATIENCE, node)
        with Process(player_command(arguments, sent_log), arguments.output / "player.log") as player:
            player.wait()
        time.sleep(1.0)  # the pair that is being worked on, and one last diagnostics
        node.stop()
    report, frames = evaluate(arguments, listener, sent_log)
    (arguments.output / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    draw(arguments.output, frames)
    print_table(report)
    judge(report, listener.diagnostics.get(f"{NODE}: images"))
    return 0


def judge(report: dict[str, Any], state: Any) -> None:
    """Raises DemoError where too few pairs got a pose. state: the node's last diagnostics of its images, or None.

    A pair that waits while a newer one comes is dropped, as the node does it by design: a slow machine drops many.
    """
    values = {v.key: v.value for v in state.values} if state else {}
    dropped, sent = int(values.get("pairs_dropped_for_newer", 0)), report["pairs_published"]
    share = report["poses_published"] / max(sent - dropped, 1)
    if dropped > (1 - ENOUGH) * sent:
        print(f'{dropped} pairs were dropped for newer ones: this machine is slow or busy. make demo ARGS="--rate 0.5"')
    if share < ENOUGH:
        counts = ", ".join(f"{key} {value}" for key, value in values.items()) or "no diagnostics came"
        raise DemoError(
            f"{report['poses_published']} of {sent} pairs got a pose ({100 * share:.0f} %), expected "
            f"at least {100 * ENOUGH:.0f} %. The node says: {counts}"
        )


def node_command(arguments: argparse.Namespace, topics: Any) -> list[str]:
    """The real node in namespace /stereo, listening to the recording's StereoTopics."""
    compressed = topics.left_image.endswith("/compressed")
    parameters = {
        "model": arguments.model.resolve(),
        "transport": "compressed" if compressed else "raw",
        # Best effort loses raw images in numbers with Fast DDS' default settings (docs/node.md, known limits).
        "reliability": "best_effort" if compressed else "reliable",
        "rectified": str(topics.rectified).lower(),
        "providers": f"[{arguments.provider}]",
    }
    remappings = {
        "__ns": "/stereo",
        "left/image_raw": topics.left_image.removesuffix("/compressed"),
        "right/image_raw": topics.right_image.removesuffix("/compressed"),
        "left/camera_info": topics.left_info,
        "right/camera_info": topics.right_info,
    }
    settings = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    settings += [word for name, value in remappings.items() for word in ("-r", f"{name}:={value}")]
    return [sys.executable, "-m", "rsb_pose_ros.node.process", "--ros-args", *settings]


def player_command(arguments: argparse.Namespace, log: Path) -> list[str]:
    """The player; it waits for the node's model."""
    options = ["--rate", str(arguments.rate), "--until-ready", NODE, "--log", str(log)]
    return [sys.executable, str(ROOT / "tools/play_bag.py"), str(arguments.bag), *options]


class Process:
    """A child process with its output in a file; ended when the block is left."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log, self._command = log, command

    def __enter__(self) -> Process:
        self._output = self._log.open("w")
        self._child = subprocess.Popen(self._command, stdout=self._output, stderr=subprocess.STDOUT, cwd=ROOT)
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._output.close()

    def check_alive(self) -> None:
        """Raise DemoError when the process has ended by itself."""
        if self._child.poll() is not None:
            raise self._failure()

    def wait(self) -> None:
        """Until it ends by itself, without an error."""
        if self._child.wait() != 0:
            raise self._failure()

    def stop(self) -> None:
        """SIGINT, as a terminal sends it, and a clean end."""
        self._child.send_signal(signal.SIGINT)
        try:
            code = self._child.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"{self._log.stem} did not end within {STOP_PATIENCE:.0f} s of SIGINT") from error
        if code != 0:
            raise self._failure()

    def _failure(self) -> DemoError:
        tail = "\n  ".join(self._log.read_text().strip().splitlines()[-8:])
        return DemoError(
            f"{self._log.stem} ended with code {self._child.returncode}; the end of {self._log}:\n  {tail}"
        )


class Listener:
    """A third party on the network: notes when each cloud of keypoints arrived, and the node's last diagnostics."""

    def __init__(self) -> None:
        self.clouds: dict[int, tuple[int, Any]] = {}
        """stamp (ns) → arrival (ns of time.monotonic_ns), message"""
        self.diagnostics: dict[str, Any] = {}

    def __enter__(self) -> Listener:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
        from sensor_msgs.msg import PointCloud2

        rclpy.init()
        self._node = rclpy.create_node("demo_listener")
        self._node.create_subscription(PointCloud2, f"/{NODE}/keypoints", self._note, 50)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._note_state, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

        def spin() -> None:
            with contextlib.suppress(ExternalShutdownException):
                self._executor.spin()

        self._thread = threading.Thread(target=spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        import rclpy

        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def _note(self, cloud: Any) -> None:
        arrived = time.monotonic_ns()
        stamp = cloud.header.stamp
        self.clouds[stamp.sec * 1_000_000_000 + stamp.nanosec] = (arrived, cloud)

    def _note_state(self, array: Any) -> None:
        self.diagnostics.update({status.name: status for status in array.status})

    def hears_node(self) -> bool:
        """Whether the node's publisher of keypoints is known here."""
        return self._node.count_publishers(f"/{NODE}/keypoints") > 0

    def wait_until(self, condition: Any, patience: float, node: Process) -> None:
        """Raise DemoError when the condition does not come true, or the node ends."""
        end = time.monotonic() + patience
        while not condition():
            node.check_alive()
            if time.monotonic() > end:
                raise DemoError(f"nothing was heard of the node within {patience:.0f} s; see node.log")
            time.sleep(0.05)


def evaluate(arguments: argparse.Namespace, listener: Listener, sent_log: Path) -> tuple[dict[str, Any], list[Any]]:
    """The report, and (pair, published joints (17, 3) or NaN, confidence (17,)) of every pair of the recording."""
    import numpy as np

    from rsb_pose_ros.bags import StereoBag
    from rsb_pose_ros.evaluation.report import accuracy
    from rsb_pose_ros.skeleton import JOINT_COUNT

    sent = {(line["topic"], line["stamp_ns"]): line["sent_ns"] for line in map(json.loads, sent_log.open())}
    frames, latencies, arrivals = [], [], []
    with StereoBag(arguments.bag) as bag:
        topics, rig = bag.topics, bag.rig()
        for pair in bag.pairs():
            joints, confidence = np.full((JOINT_COUNT, 3), np.nan), np.zeros(JOINT_COUNT)
            arrival, cloud = listener.clouds.get(pair.stamp_ns, (None, None))
            if cloud is not None and cloud.width >= JOINT_COUNT:
                joints, confidence = read_first_person(cloud)
                right_stamp = pair.stamp_ns + round(pair.skew_s * 1e9)
                complete = max(sent[topics.left_image, pair.stamp_ns], sent[topics.right_image, right_stamp])
                latencies.append((arrival - complete) * 1e-6)
                arrivals.append(arrival * 1e-9)
            frames.append((pair, joints, confidence))
    if not frames:
        raise DemoError(
            f"recording {arguments.bag}: holds no stereo pairs; expected two cameras that are triggered together"
        )
    known = [(joints, pair.truth) for pair, joints, _ in frames if pair.truth is not None]
    record = accuracy(*(np.array(column) for column in zip(*known))) if known else {}
    states = {name: {v.key: v.value for v in s.values} for name, s in listener.diagnostics.items()}
    report = {
        # The twin for CPUs, where there is no GPU.
        "model": Path(states.get(f"{NODE}: model", {}).get("model") or arguments.model).name,
        "provider": states.get(f"{NODE}: model", {}).get("provider"),
        "bag": str(arguments.bag),
        "rate": arguments.rate,
        "pairs_published": len(frames),
        "pairs_received": int(states.get(f"{NODE}: images", {}).get("pairs_received", 0)),
        "poses_published": len(arrivals),
        "rate_hz": round((len(arrivals) - 1) / (arrivals[-1] - arrivals[0]), 2) if len(arrivals) > 1 else None,
        "latency_ms": {f"p{p}": rounded(np.percentile(latencies, p)) if latencies else None for p in (50, 95)},
        "mpjpe_mm": {
            name: rounded(record.get(key))
            for name, key in (("absolute", "mpjpe_mm"), ("root_relative", "root_relative_mm"), ("pa", "pa_mpjpe_mm"))
        },
    }
    return report, [rig, frames]


def rounded(value: Any) -> float | None:
    """One decimal; None for what does not exist (JSON knows no NaN)."""
    return None if value is None or value != value else round(float(value), 1)


def read_first_person(cloud: Any) -> tuple[Any, Any]:
    """Joints (17, 3) and confidence (17,) of the first person of ~/keypoints, by the message's own description."""
    import numpy as np

    from rsb_pose_ros.skeleton import JOINT_COUNT

    offsets = {field.name: field.offset for field in cloud.fields}
    data = bytes(cloud.data)
    columns = {
        name: np.ndarray((JOINT_COUNT,), "<f4", data, offsets[name], (cloud.point_step,))
        for name in ("x", "y", "z", "confidence")
    }
    return np.stack([columns[axis] for axis in "xyz"], -1).astype(np.float64), columns["confidence"]


def draw(output: Path, evaluated: list[Any], wanted: int = 6) -> None:
    """strip.png: what was published, projected into some of the pictures (truth in green). skeleton_3d.png."""
    import cv2
    import numpy as np

    from rsb_pose_ros.evaluation.drawing import TRUTH_BGR, draw_skeleton, rectified_views
    from rsb_pose_ros.evaluation.figures import spread, write_figure
    from rsb_pose_ros.stereo import project

    rig, frames = evaluated
    rows = []
    for index in spread(len(frames), wanted):
        pair, joints, confidence = frames[index]
        views = rectified_views(rig, pair.left, pair.right)
        for side, view in enumerate(views):
            if pair.truth is not None:
                draw_skeleton(view, project(pair.truth.astype(np.float64), rig.projections)[side], colour_bgr=TRUTH_BGR)
            draw_skeleton(view, project(joints, rig.projections)[side], confidence)
        width = round(views.shape[2] * 240 / views.shape[1])
        rows.append(np.concatenate([cv2.resize(v, (width, 240), interpolation=cv2.INTER_AREA) for v in views], axis=1))
    pairs = [np.concatenate(rows[i : i + 2], axis=1) for i in range(0, wanted, 2)]
    cv2.imwrite(str(output / "strip.png"), np.concatenate(pairs))
    poses = np.array([joints for _, joints, _ in frames])
    write_figure(output / "skeleton_3d.png", None, poses, {}, "Published joints over time (left camera, metres)")


def print_table(report: dict[str, Any]) -> None:
    """The report for people."""
    error, latency = report["mpjpe_mm"], report["latency_ms"]
    rows = [
        ("model", f"{report['model']} on {report['provider']}"),
        ("recording", f"{report['bag']} at {report['rate']:g} times its pace"),
        ("pairs sent / received", f"{report['pairs_published']} / {report['pairs_received']}"),
        ("pairs with a pose", f"{report['poses_published']} at {report['rate_hz']} Hz"),
        ("latency, sent → received", f"p50 {latency['p50']} ms, p95 {latency['p95']} ms"),
        ("MPJPE absolute", f"{error['absolute']} mm"),
        ("MPJPE root-relative", f"{error['root_relative']} mm"),
        ("MPJPE Procrustes-aligned", f"{error['pa']} mm"),
    ]
    for label, text in rows:
        print(f"{label:26} {text}")


if __name__ == "__main__":
    sys.exit(main())
