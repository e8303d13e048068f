"""A model file as something that answers for windows alone: no rig, no search, no track."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsb_pose_ros.inference.card import STEREO_POSE
from rsb_pose_ros.inference.network import read_person
from rsb_pose_ros.inference.session import ModelSession
from rsb_pose_ros.inference.uncertainty import Honesty
from rsb_pose_ros.stereo import StereoCrop


class OnnxWindows:
    """Callable as breakdown.Predict; joints that cannot be in front of the cameras are NaN, as in the estimator."""

    def __init__(
        self, model: str | Path, providers: list[str] | None = None, threads: int = 0, *, as_stated: bool = False
    ) -> None:
        """See ModelSession for the parameters and errors. as_stated: the network's covariance without its card's factors."""
        session = ModelSession(model, STEREO_POSE, providers=providers, threads=threads)
        self.name, self.size = session.card.name, int(session.card.image_size or 0)
        self._honesty = None if as_stated else Honesty.of_card(session.card.uncertainty)
        self._bound = session.bind()
        # Windows that are the whole picture: keypoints stay crop pixels.
        self._crop = StereoCrop(0.0, 0.0, 0.0, float(self.size), self.size)

    def __call__(self, crops: np.ndarray, projections: np.ndarray) -> tuple[np.ndarray, ...]:
        """See breakdown.Predict."""
        people = []
        for pair, cameras in zip(crops, projections):
            self._bound.inputs["crops"][0] = pair
            self._bound.inputs["projections"][0] = cameras
            outputs = {name: array[0].copy() for name, array in self._bound.run().items()}
            people.append(read_person(outputs, cameras, self._crop, self._honesty))
        return (
            np.stack([p.joints for p in people]),
            np.stack([p.keypoints for p in people]),
            np.stack([p.confidence for p in people]),
            np.stack([p.covariance for p in people]),
        )
