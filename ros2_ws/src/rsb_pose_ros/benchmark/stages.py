"""One model's way from image messages to messages about people, with a clock at every stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rsb_pose_ros.benchmark.clip import ClipPair
from rsb_pose_ros.images import to_array
from rsb_pose_ros.inference import Person, PersonSmoother, StereoPoseEstimator
from rsb_pose_ros.stereo import StereoRig

AROUND = ("view", "remap", "track", "smooth", "messages")
"""Everything but the network, for raw pictures: the message's bytes seen as a picture, windows cut, answer read and person
followed, joints smoothed, messages built. Compressed pictures cost `decode` on top."""

Publish = Callable[[Sequence[Person]], None]


class StagedEstimator:
    """An estimator that follows a clip, and the durations of its last pair by stage, seconds."""

    def __init__(
        self,
        name: str,
        model: Path,
        rig: StereoRig,
        build: Publish | None,
        *,
        providers: Sequence[str] = ("cpu",),
        threads: int = 0,
    ) -> None:
        """name: of its figures; build: makes the messages, None where ROS is not installed; providers: best first.

        Raises ModelError.
        """
        self.name = name
        self.estimator = StereoPoseEstimator(model, rig, providers=providers, threads=threads, exact_model=True)
        self.estimator.warm_up()
        self._smoother = PersonSmoother()
        self._build = build

    def restart(self) -> None:
        """Before the clip starts over."""
        self.estimator.reset()
        self._smoother.reset()

    def work(self, pair: ClipPair) -> tuple[dict[str, float], list[Person]]:
        """Durations by stage, and who was found. `track` is what estimate() takes beside windows and network."""
        clock = [time.perf_counter()]
        left, right = (to_array(message) for message in pair.raw)
        clock.append(time.perf_counter())
        people = self.estimator.estimate(left, right, pair.stamp)
        clock.append(time.perf_counter())
        people = self._smoother.smooth(people, pair.stamp)
        clock.append(time.perf_counter())
        if self._build is not None:
            self._build(people)
        clock.append(time.perf_counter())
        view, estimate, smooth, messages = (after - before for before, after in pairwise(clock))
        timing = self.estimator.timing
        durations = {
            "view": view,
            "remap": timing.cut_s,
            "network": timing.network_s,
            "track": estimate - timing.cut_s - timing.network_s,
            "smooth": smooth,
            "messages": messages,
        }
        around = sum(durations[stage] for stage in AROUND)
        return {**durations, "around": around, "total": around + timing.network_s}, people


def decode(pair: ClipPair) -> float:
    """Seconds to decode both JPEG pictures."""
    start = time.perf_counter()
    for message in pair.compressed:
        to_array(message)
    return time.perf_counter() - start


def message_builder() -> Publish | None:
    """Builds all that the node publishes of a pair: cloud, poses, markers. None where ROS is not installed."""
    try:
        from std_msgs.msg import Header

        from rsb_pose_ros.node.messages import keypoint_cloud, markers, pose_array
    except ImportError:
        return None
    header: Any = Header(frame_id="left_optical")

    def build(people: Sequence[Person]) -> None:
        keypoint_cloud(people, header)
        pose_array(people, header)
        markers(people, [], header, 0.4)

    return build
