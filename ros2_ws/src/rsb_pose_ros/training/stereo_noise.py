"""What a stereo rig's 2D estimator does to a pose: errors in pixels, pushed through triangulation.

A rig of unit focal length sees joint (X, Y, Z) at u = X/Z, v = Y/Z with disparity d = B/Z. Both views share most of the
2D error (co-keypoints by construction, heatmap peaks because both see the same shirt), which moves a joint sideways;
what they do not share is an error of disparity, which becomes depth with the slope Z²/B. All ranges are wide and none is
fitted to a data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rsb_pose_ros.skeleton import INDEX, JOINT_COUNT, MIRROR, PARENT_NAMES

DISTANCE = (1.3, 5.0)
"""Metres to the pelvis, log-uniform."""
BASELINE = (0.08, 0.35)
"""Metres, log-uniform."""
LATERAL = 0.011
"""Metres: median over the poses of the sideways standard deviation; crops follow the person, so distance matters little."""
LATERAL_SPREAD = 0.6
"""Natural logarithm, standard deviation between poses."""
UNSHARED = 0.12
"""Median ratio of disparity error to sideways error; consistent estimators reach 0.1, independent views 1.4."""
UNSHARED_SPREAD = 0.8
JOINT_SPREAD = 0.4
"""Natural logarithm, standard deviation of a joint's own strength."""
HARDER = {"wrist": 2.0, "elbow": 1.5, "ankle": 1.2, "pelvis": 2.0, "thorax": 1.2}
"""Strength of joints that move fast or have no mark on the surface; the others are 1."""
CORRELATION_LENGTH = (0.1, 1.5)
"""Metres over which the correlated part of the error decays to 1/e, log-uniform: from a limb to the whole body."""
OUTLIERS = 0.04
OUTLIER_STRENGTH = 4.0
PULLED = 0.04
"""Share of joints that are hidden and estimated somewhere towards a neighbour."""
SWAPPED = 0.01
"""Share of limbs found on the other side's."""
CLEAN = 0.15
"""Share of poses without any noise: what is right must stay."""


@dataclass(frozen=True)
class NoisyPoses:
    """truth and noisy: (B, 17, 3) metres in the left camera's frame; sigma: (B, 17, 3) standard deviations, metres, along
    its axes, as an honest but imperfect estimator would state them."""

    truth: Tensor
    noisy: Tensor
    sigma: Tensor

    def __add__(self, other: NoisyPoses) -> NoisyPoses:
        """Both batches, one after the other."""
        return NoisyPoses(
            torch.cat([self.truth, other.truth]),
            torch.cat([self.noisy, other.noisy]),
            torch.cat([self.sigma, other.sigma]),
        )


def observe(poses: Tensor, clean: float = CLEAN) -> NoisyPoses:
    """Pelvis-centred poses (B, 17, 3), placed before random rigs and triangulated from noisy keypoints.

    clean: share of poses without any noise.
    """
    batch, device = len(poses), poses.device
    distance = _log_uniform(*DISTANCE, batch, device)
    place = torch.cat([(torch.rand(batch, 2, device=device) - 0.5) * 0.6, torch.ones(batch, 1, device=device)], -1)
    truth = poses + (place * distance[:, None])[:, None]
    truth = truth + torch.relu(0.3 - truth[..., 2].amin(1))[:, None, None] * truth.new_tensor([0.0, 0.0, 1.0])
    baseline = _log_uniform(*BASELINE, batch, device)[:, None, None]
    lateral, disparity = _strengths(batch, device)
    found = _misplaced(truth)
    depth = found[..., 2:]
    error = correlated(truth) * (lateral / depth)
    shift = correlated(truth)[..., :1] * (disparity / depth)
    image = found[..., :2] / depth + error[..., :2]
    # A disparity error of a third moves a joint by as much again as it is away: beyond it there is no estimate.
    inverse = 1 / depth
    noisy_depth = 1 / torch.maximum(inverse + shift / baseline, inverse / 1.5)
    noisy = torch.cat([image * noisy_depth, noisy_depth], -1)
    left_alone = torch.rand(batch, 1, 1, device=device) < clean
    sigma = torch.cat([lateral, lateral, disparity * depth / baseline], -1).clamp(1e-4, 1.0)
    sigma = torch.where(left_alone, 0.001, sigma * (0.3 * torch.randn_like(sigma)).exp())
    return NoisyPoses(truth, torch.where(left_alone, truth, noisy), sigma)


def correlated(poses: Tensor) -> Tensor:
    """Gaussian errors (B, 17, 3) of unit variance, alike for joints close to each other, to a random degree."""
    batch, device = len(poses), poses.device
    length = _log_uniform(*CORRELATION_LENGTH, batch, device)[:, None, None]
    kernel = (-torch.cdist(poses, poses) / length).exp()
    root = torch.linalg.cholesky(kernel + 1e-4 * torch.eye(JOINT_COUNT, device=device))
    share = torch.rand(batch, 1, 1, device=device) * 0.95
    shared, own = torch.randn(2, batch, JOINT_COUNT, 3, device=device)
    return (1 - share).sqrt() * own + share.sqrt() * (root @ shared)


def _strengths(batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Standard deviations (B, 17, 1) in metres at the joint: sideways, and of the disparity."""
    kinds = [next((f for kind, f in HARDER.items() if name.endswith(kind)), 1.0) for name in INDEX]
    own = torch.tensor(kinds, device=device)[:, None]
    own = own * (torch.randn(batch, JOINT_COUNT, 1, device=device) * JOINT_SPREAD).exp()
    own = own * torch.where(torch.rand(batch, JOINT_COUNT, 1, device=device) < OUTLIERS, OUTLIER_STRENGTH, 1.0)
    pose = LATERAL * (torch.randn(batch, 1, 1, device=device) * LATERAL_SPREAD).exp()
    unshared = (UNSHARED * (torch.randn(batch, 1, 1, device=device) * UNSHARED_SPREAD).exp()).clamp(max=1.4)
    return pose * own, pose * own * unshared


def _misplaced(poses: Tensor) -> Tensor:
    """Poses with hidden joints pulled towards a neighbour, and limbs found on the other side's."""
    batch, device = len(poses), poses.device
    pulled = torch.rand(batch, JOINT_COUNT, 1, device=device) < PULLED
    share = torch.rand(batch, JOINT_COUNT, 1, device=device) * 0.6
    parents = [INDEX[parent or name] for name, parent in PARENT_NAMES.items()]
    poses = torch.where(pulled, poses + share * (poses[:, parents] - poses), poses)
    swapped = torch.zeros(batch, JOINT_COUNT, 1, dtype=torch.bool, device=device)
    for limb in (("knee", "ankle"), ("ankle",), ("elbow", "wrist"), ("wrist",)):
        for side in ("r_", "l_"):
            chosen = torch.rand(batch, 1, 1, device=device) < SWAPPED
            for name in limb:
                joint = INDEX[side + name]
                swapped[:, joint : joint + 1] |= chosen
    return torch.where(swapped, poses[:, list(MIRROR)], poses)


def _log_uniform(low: float, high: float, count: int, device: torch.device) -> Tensor:
    return low * (high / low) ** torch.rand(count, device=device)
