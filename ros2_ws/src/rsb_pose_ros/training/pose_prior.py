"""Stage (b): the pose transformer alone, on 3D poses without images (paper, section III-D), then on stereo noise.

First masked joints are found from the others, as published. Then poses are denoised that random rigs have triangulated,
some joints masked and some poses clean, so that the network also learns when to leave a pose alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsb_pose_ros.model import PoseTransformer
from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.skeleton import JOINT_COUNT, ROOT
from rsb_pose_ros.training import pose_validation, stereo_noise
from rsb_pose_ros.training.loop import LoopPlan, Trainer
from rsb_pose_ros.training.pictures import poses_over_truth
from rsb_pose_ros.training.pose_augmentation import augment
from rsb_pose_ros.training.recorded_errors import RecordedErrors
from rsb_pose_ros.training.schedule import cosine

MASK_RATES = (0.1, 0.2, 0.3, 0.4)
"""Shares of masked joints; pre-training cycles through them."""

MOST_MASKED = 5
"""Joints masked at most while denoising."""


QUIET = 0.015
"""Metres: an error below which a pose counts as right already."""
MASKED_WEIGHT = 8.0
"""One over metres: weight of a masked joint's error."""


@dataclass(frozen=True)
class Plan(LoopPlan):
    """One run of this stage."""

    batch: int = 256
    rate: float = 1.5e-3
    warmup: int = 200
    save_every: int = 200
    picture_every: int = 1000
    validate_every: int = 1000
    pretraining: float = 0.25
    """Share of the steps in which clean poses are completed; the others denoise."""
    masked_share: float = 0.25
    """Share of the denoised poses that also lack joints."""
    uncertainty_share: float = 0.3
    """Share of the denoising steps in which the network is told each joint's standard deviation."""
    recorded_share: float = 0.5
    """Share of a denoising batch that carries recorded errors, if there are any."""

    @property
    def pretraining_steps(self) -> int:
        return round(self.steps * self.pretraining)


class PosePriorTrainer(Trainer[Tensor]):
    """Pre-training by masking, then denoising of what a stereo rig would triangulate. Batches are poses (B, 17, 3), metres,
    y down, about the pelvis.

    All in float32: bfloat16 knows a joint 3 m away to a centimetre. recorded: errors of a real estimator to learn from;
    held_out: poses to validate on, which decide what best.pt is.
    """

    model: PoseTransformer
    plan: Plan
    largest_norm = 1.0
    log_every = 50

    def __init__(
        self,
        config: TransformerConfig,
        plan: Plan,
        folder: Path,
        device: str = "cpu",
        recorded: RecordedErrors | None = None,
        held_out: Tensor | None = None,
    ) -> None:
        own = torch.device(device)
        model = PoseTransformer(config).to(own)
        groups = [{"params": list(model.parameters()), "base": plan.rate}]
        super().__init__(model, groups, plan, folder, own)
        self.config, self.recorded = config, recorded
        self.held_out = None if held_out is None else held_out.to(own)
        self.best = float("inf")

    def state(self) -> dict[str, Any]:
        return super().state() | {"best": self.best}

    def restore(self, content: dict[str, Any]) -> None:
        super().restore(content)
        self.best = content["best"]

    def record(self) -> dict[str, Any]:
        return {"config": asdict(self.config)}

    def run(self, poses: Tensor) -> None:
        """Train on poses (N, 17, 3), metres, y down, until the plan is done."""
        self.run_batches(self._batches((poses - poses[:, ROOT : ROOT + 1]).to(self.device)))

    def _batches(self, poses: Tensor) -> Iterator[Tensor]:
        while True:
            yield poses[torch.randint(len(poses), (self.plan.batch,), device=self.device)]

    @property
    def is_pretraining(self) -> bool:
        return self.step < self.plan.pretraining_steps

    def rate_factor(self) -> float:
        """Pre-training and denoising rise and fall each by itself."""
        before = self.plan.pretraining_steps
        done, steps = (self.step, before) if self.is_pretraining else (self.step - before, self.plan.steps - before)
        return cosine(done, steps, min(self.plan.warmup, steps // 4))

    def measure(self) -> dict[str, float]:
        """Figures on the held-out poses; the weights with the least refined error are kept as best.pt."""
        due = self.step % self.plan.validate_every == 0 or self.progress >= 1
        if self.held_out is None or not due:
            return {}
        figures = pose_validation.measure(self.average.module, self.held_out)
        score = figures["val_refined_abs_mm"] + figures["val_refined_rel_mm"]
        if score < self.best:
            self.best = score
            self.save("best.pt")
        return figures

    def picture(self, batch: Tensor) -> np.ndarray:
        """Poses as random rigs see them, or lacking joints."""
        self.average.module.eval()
        seen = self._observed(batch)
        masked = few_masked(len(batch), 0.5, batch.device)
        return poses_over_truth(seen.truth, seen.noisy, self.average.module.refine(seen.noisy, masked))

    def loss(self, batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        poses = augment(batch)
        loss, terms = self.complete(poses) if self.is_pretraining else self.denoise(poses)
        return loss, {name: 1000 * float(value.detach()) for name, value in terms.items()}

    def complete(self, poses: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Masked joints of clean poses, unmasked pass by pass; every pass has to be right."""
        masked = random_mask(len(poses), MASK_RATES[self.step % len(MASK_RATES)], poses.device)
        relative = poses - self.model.centre(poses, masked)
        passes = self.model.unmask_iteratively(relative, masked)
        loss = torch.stack([distance(p, relative).mean() for p in passes]).mean()
        return loss, {"masked_mm": loss}

    def _observed(self, poses: Tensor) -> stereo_noise.NoisyPoses:
        """Poses before random rigs, a share of them with recorded errors."""
        if self.recorded is None:
            return stereo_noise.observe(poses)
        share = round(len(poses) * self.plan.recorded_share)
        return stereo_noise.observe(poses[share:]) + self.recorded.sample(share, poses.device)

    def denoise(self, poses: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What was seen against where the joints stand."""
        seen = self._observed(poses)
        masked = few_masked(len(poses), self.plan.masked_share, poses.device)
        told = torch.rand(()) < self.plan.uncertainty_share
        refined = self.model.refine(seen.noisy, masked, seen.sigma if told else None)
        noise = distance(seen.noisy, seen.truth)
        before = pose_error(seen.noisy, seen.truth).mean(1, keepdim=True)
        # What counts is the share of an error that goes away: a few poses with half a metre of noise would otherwise
        # outweigh those in which millimetres can be won or lost.
        weight = torch.where(masked, MASKED_WEIGHT, 1 / (QUIET + before))
        loss = (pose_error(refined, seen.truth) * weight).mean()
        found = distance(refined, seen.truth)
        return loss, {
            "noisy_mm": noise[~masked].mean(),
            "denoised_mm": found[~masked].mean(),
            "completed_mm": found[masked].mean(),
        }


def pose_error(poses: Tensor, truth: Tensor) -> Tensor:
    """(B, 17): distance where the joints stand, relative to the pelvis, and relative to their own centre, averaged.

    The last two leave out a displacement of the whole body, which nobody could see from its joints alone and whose
    size would drown the rest.
    """
    error = poses - truth
    terms = (error, error - error[:, ROOT : ROOT + 1], error - error.mean(1, keepdim=True))
    weighted = [weight * term.norm(dim=-1) for weight, term in zip((0.4, 0.2, 0.4), terms)]
    return torch.stack(weighted).sum(0)


def random_mask(batch: int, rate: float, device: torch.device) -> Tensor:
    """(B, 17) bool, at least one joint masked in each pose."""
    masked = torch.rand(batch, JOINT_COUNT, device=device) < rate
    masked[torch.arange(batch), torch.randint(JOINT_COUNT, (batch,), device=device)] = True
    return masked


def few_masked(batch: int, share: float, device: torch.device) -> Tensor:
    """(B, 17) bool: in `share` of the poses one to MOST_MASKED joints, in the others none."""
    count = torch.randint(1, MOST_MASKED + 1, (batch, 1), device=device)
    count = count * (torch.rand(batch, 1, device=device) < share)
    order = torch.rand(batch, JOINT_COUNT, device=device).argsort(1).argsort(1)
    return order < count


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance per joint, (B, 17)."""
    return (a - b).norm(dim=-1)
