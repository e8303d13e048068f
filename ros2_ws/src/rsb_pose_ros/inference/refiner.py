"""The pre-trained pose transformer by itself: joints of any estimator in, refined joints out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsb_pose_ros.inference.card import POSE_REFINEMENT
from rsb_pose_ros.inference.providers import Provider
from rsb_pose_ros.inference.session import ModelSession
from rsb_pose_ros.skeleton import JOINT_COUNT

UNKNOWN_METRES = 1000.0
"""What the graph takes for a joint that nobody knows: every coordinate at this distance (NaN has no place in a graph)."""

LARGEST_BODY_M = 5.0
"""Half of a person's joints are nearer to the body's middle than this, whatever triangulation did to them."""
LEAST_KNOWN = 4
"""Joints that must be known: fewer span no space to find the others in."""


class PoseRefiner:
    """Refines 3D poses that any estimator made. Raises ModelError: see ModelSession."""

    def __init__(
        self, model: str | Path, *, providers: str | Sequence[str | Provider] | None = None, threads: int = 0
    ) -> None:
        """model: a pose_refinement .onnx with its card; providers and threads: see ModelSession."""
        self._session = ModelSession(model, POSE_REFINEMENT, providers=providers, threads=threads)
        self.card = self._session.card
        self.providers = self._session.providers
        # Graphs of before 0.2 know no masked joints; their cards do not say so.
        self._least = LEAST_KNOWN if self.card.configuration.get("completes") else JOINT_COUNT

    def refine(self, joints: np.ndarray) -> np.ndarray:
        """Refined joints, same shape, float32, metres, same frame.

        joints: (17, 3) or (N, 17, 3) metres, skeleton order, y down as in an optical frame; any root. A joint with NaN is
        unknown and found from the others: mask a joint by setting it to NaN (a poor estimate is better than none). Poses
        with fewer than LEAST_KNOWN known joints are returned as they are, and a warning counts them. Raises ValueError for
        other shapes, and for poses that are no metres.
        """
        poses = np.asarray(joints, np.float32)
        if poses.ndim not in (2, 3) or poses.shape[-2:] != (JOINT_COUNT, 3):
            raise ValueError(f"joints have shape {poses.shape}; expected (17, 3) or (N, 17, 3), metres")
        batch = poses.reshape(-1, JOINT_COUNT, 3)
        known = np.asarray(np.isfinite(batch).all(-1))
        _check_unit(batch)
        usable = known.sum(-1) >= self._least
        if not usable.all():
            warnings.warn(
                f"{int((~usable).sum())} of {len(batch)} poses lack joints (NaN) and were returned unrefined; "
                f"this model needs {self._least} of {JOINT_COUNT}",
                RuntimeWarning,
                stacklevel=2,
            )
        refined = batch.copy()
        if usable.any():
            fed = np.where(known[..., None], batch, np.float32(UNKNOWN_METRES))[usable]
            refined[usable] = self._session.run(joints=np.ascontiguousarray(fed))["refined"]
        return refined.reshape(poses.shape)


def _check_unit(batch: np.ndarray) -> None:
    """Raise ValueError where half of the poses are larger than any body: they are millimetres, most likely."""
    spread = np.array([_spread(pose[np.isfinite(pose).all(-1)]) for pose in batch])
    if len(spread) and np.median(spread) > LARGEST_BODY_M:
        raise ValueError(
            f"joints lie {np.median(spread):.0f} from their middle (median); expected metres, at most {LARGEST_BODY_M:g}: "
            "divide millimetres by 1000"
        )


def _spread(points: np.ndarray) -> float:
    """Median distance of known joints (K, 3) from their middle; 0 without any."""
    if not len(points):
        return 0.0
    return float(np.median(np.linalg.norm(points - np.median(points, axis=0), axis=-1)))
