"""Errors that a real estimator made on real people, put onto varied poses, for fine-tuning to a rig."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rsb_pose_ros.data.recorded_poses import RecordedPoses
from rsb_pose_ros.skeleton import MIRROR, ROOT
from rsb_pose_ros.training.pose_augmentation import small_rotation, vary_bones
from rsb_pose_ros.training.stereo_noise import NoisyPoses


class RecordedErrors:
    """Draws from pairs of triangulated and true poses, of all recordings as if they were one."""

    @classmethod
    def load(cls, *paths: str | Path) -> RecordedErrors:
        """The training halves of recordings; raises as RecordedPoses.load does."""
        return cls(*(RecordedPoses.load(path).part("training") for path in paths))

    def __init__(self, *recordings: RecordedPoses) -> None:
        truth, error, sigma = zip(*map(_with_sigma, recordings), strict=True)
        self.truth, self.error, self.sigma = torch.cat(truth), torch.cat(error), torch.cat(sigma)

    def sample(self, count: int, device: torch.device) -> NoisyPoses:
        """Recorded errors on poses of bodies with other proportions, half of them mirrored, turned a little.

        sigma: as the estimator stated it; where it stated nothing, the recording's mean error. Turns are small enough
        to leave it along the axes.
        """
        chosen = torch.randint(len(self.truth), (count,))
        truth, error = self.truth[chosen].to(device), self.error[chosen].to(device)
        flip = torch.rand(count, 1, 1, device=device) < 0.5
        sign = truth.new_tensor([-1.0, 1.0, 1.0])
        truth = torch.where(flip, truth[:, list(MIRROR)] * sign, truth)
        error = torch.where(flip, error[:, list(MIRROR)] * sign, error)
        place = truth[:, ROOT : ROOT + 1]
        turns = small_rotation(torch.randn(count, 3, device=device) * truth.new_tensor([0.08, 0.25, 0.05]))
        body = turned(vary_bones(truth - place), turns)
        truth = body + place
        sigma = self.sigma[chosen].to(device)
        sigma = torch.where(flip, sigma[:, list(MIRROR)], sigma)
        return NoisyPoses(truth, truth + turned(error, turns), sigma)


def _with_sigma(poses: RecordedPoses) -> tuple[Tensor, Tensor, Tensor]:
    """Truth, errors, and their standard deviations: where the estimator stated none, the recording's mean error."""
    truth = torch.from_numpy(poses.truth)
    error = torch.from_numpy(poses.triangulated) - truth
    stated = poses.sigma is not None
    return truth, error, torch.from_numpy(poses.sigma) if stated else error.abs().mean((0, 1)).expand_as(truth)


def turned(vectors: Tensor, turns: Tensor) -> Tensor:
    return torch.einsum("bij,bnj->bni", turns, vectors)
