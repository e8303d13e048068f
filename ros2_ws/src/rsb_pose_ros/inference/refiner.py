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


class PoseRefiner:
    """Refines 3D poses that any estimator made. Raises ModelError: see ModelSession."""

    def __init__(
        self, model: str | Path, *, providers: Sequence[str | Provider] | None = None, threads: int = 0
    ) -> None:
        """model: a pose_refinement .onnx with its card; providers and threads: see ModelSession."""
        self._session = ModelSession(model, POSE_REFINEMENT, providers=providers, threads=threads)
        self.card = self._session.card
        self.providers = self._session.providers

    def refine(self, joints: np.ndarray) -> np.ndarray:
        """Refined joints, same shape, float32, metres, same frame.

        joints: (17, 3) or (N, 17, 3) metres, skeleton order, y down as in an optical frame; any root. The transformer
        needs all joints of a pose: poses with NaN are returned as they are, and a warning counts them.
        """
        poses = np.asarray(joints, np.float32)
        if poses.ndim not in (2, 3) or poses.shape[-2:] != (JOINT_COUNT, 3):
            raise ValueError(f"joints have shape {poses.shape}; expected (17, 3) or (N, 17, 3), metres")
        batch = poses.reshape(-1, JOINT_COUNT, 3)
        complete = np.isfinite(batch).all((1, 2))
        if not complete.all():
            warnings.warn(
                f"{int((~complete).sum())} of {len(batch)} poses lack joints (NaN) and were returned unrefined",
                RuntimeWarning,
                stacklevel=2,
            )
        refined = batch.copy()
        if complete.any():
            refined[complete] = self._session.run(joints=np.ascontiguousarray(batch[complete]))["refined"]
        return refined.reshape(poses.shape)
