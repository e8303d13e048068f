"""Two models on the same crops: how far their answers differ, how fast each is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.providers import Provider
from rsb_pose_ros.inference.session import BoundSession, ModelSession

SEEN = 0.5
"""Joints are compared where the first model is at least so confident: elsewhere both guess."""


def answers(
    models: Sequence[Path],
    feeds: Sequence[dict[str, np.ndarray]],
    providers: Sequence[str | Provider] | None = None,
    threads: int = 0,
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Answers and times of several models on the same feeds, alternated run by run so that a noisy machine is fair.

    Returns per model a dict of outputs stacked over the feeds, and seconds (models, feeds).
    """
    sessions = [ModelSession(m, STEREO_POSE, providers=providers, threads=threads).bind() for m in models]
    for session in sessions:
        _run(session, feeds[0])  # the first run allocates
    outputs: list[list[dict[str, np.ndarray]]] = [[] for _ in models]
    seconds = np.zeros((len(models), len(feeds)))
    for i, feed in enumerate(feeds):
        for m, session in enumerate(sessions):
            start = time.perf_counter()
            _run(session, feed)
            seconds[m, i] = time.perf_counter() - start
            outputs[m].append({name: array[0].copy() for name, array in session.outputs.items()})
    stacked = [{name: np.stack([o[name] for o in runs]) for name in runs[0]} for runs in outputs]
    return stacked, seconds


def _run(session: BoundSession, feed: dict[str, np.ndarray]) -> None:
    for name, array in feed.items():
        session.inputs[name][:] = array
    session.run()


def differences(reference: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    """How far two models' answers lie apart, over the joints that the reference is sure of.

    joint_*: mm between the refined joints; keypoint_*: crop pixels; confidence_*: absolute, over all joints.
    """
    seen = reference["confidence"] >= SEEN
    joints = 1000 * np.linalg.norm(reference["joints"] - other["joints"], axis=-1)[seen]
    keypoints = np.linalg.norm(reference["keypoints"] - other["keypoints"], axis=-1)[
        np.repeat(seen[:, None], 2, axis=1)
    ]
    confidence = np.abs(reference["confidence"] - other["confidence"])
    nothing = float("nan")
    return {
        "joints_compared": int(seen.sum()),
        "joint_mean_mm": float(joints.mean()) if joints.size else nothing,
        "joint_p95_mm": float(np.percentile(joints, 95)) if joints.size else nothing,
        "joint_max_mm": float(joints.max()) if joints.size else nothing,
        "keypoint_mean_px": float(keypoints.mean()) if keypoints.size else nothing,
        "keypoint_max_px": float(keypoints.max()) if keypoints.size else nothing,
        "confidence_mean": float(confidence.mean()),
        "confidence_max": float(confidence.max()),
    }
