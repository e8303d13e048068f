"""Stage (b): the pose transformer alone, on 3D poses without images (paper, section III-D), then on stereo noise.

First masked joints are found from the others, as published. Then poses are denoised that random rigs have triangulated,
some joints masked and some poses clean, so that the network also learns when to leave a pose alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from rsb_pose_ros.model import PoseTransformer
from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.skeleton import JOINT_COUNT, ROOT
from rsb_pose_ros.training import checkpoint, stereo_noise
from rsb_pose_ros.training.ema import WeightAverage
from rsb_pose_ros.training.pose_augmentation import augment
from rsb_pose_ros.training.pose_validation import measure
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
class Plan:
    """One run of this stage."""

    steps: int
    batch: int = 256
    rate: float = 1.5e-3
    warmup: int = 200
    weight_decay: float = 0.05
    pretraining: float = 0.25
    """Share of the steps in which clean poses are completed; the others denoise."""
    masked_share: float = 0.25
    """Share of the denoised poses that also lack joints."""
    uncertainty_share: float = 0.3
    """Share of the denoising steps in which the network is told each joint's standard deviation."""
    recorded_share: float = 0.5
    """Share of a denoising batch that carries recorded errors, if there are any."""
    save_every: int = 200
    validate_every: int = 1000

    @property
    def pretraining_steps(self) -> int:
        return round(self.steps * self.pretraining)


class PosePriorTrainer:
    """Pre-training by masking, then denoising of what a stereo rig would triangulate."""

    def __init__(self, config: TransformerConfig, plan: Plan, folder: Path, device: str = "cpu") -> None:
        self.config, self.plan, self.folder, self.device = config, plan, folder, torch.device(device)
        self.model = PoseTransformer(config).to(self.device)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=plan.rate, weight_decay=plan.weight_decay)
        self.average = WeightAverage(self.model, decay=0.998)
        self.step = 0
        self.best = float("inf")

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Take another run's averaged weights."""
        self.model.load_state_dict(weights)
        self.average.module.load_state_dict(self.model.state_dict())

    def resume(self) -> bool:
        """Go on from this run's own last checkpoint, if there is one."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        content = checkpoint.load(path)
        self.model.load_state_dict(content["model"])
        self.average.module.load_state_dict(content["average"])
        self.average.steps = self.step = content["step"]
        self.best = content["best"]
        self.optimiser.load_state_dict(content["optimiser"])
        return True

    def save(self, name: str = "last.pt") -> None:
        checkpoint.save(
            self.folder / name,
            model=self.model.state_dict(),
            average=self.average.module.state_dict(),
            optimiser=self.optimiser.state_dict(),
            step=self.step,
            best=self.best,
            config=asdict(self.config),
            plan=asdict(self.plan),
        )

    def run(self, poses: Tensor, held_out: Tensor | None = None, recorded: RecordedErrors | None = None) -> None:
        """Train on poses (N, 17, 3), metres, y down. A line of JSON per fifty steps goes to log.jsonl.

        held_out: poses to validate on, which decide what best.pt is; recorded: errors of a real estimator to learn from.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        poses = (poses - poses[:, ROOT : ROOT + 1]).to(self.device)
        with (self.folder / "log.jsonl").open("a") as log, tqdm(total=self.plan.steps, initial=self.step) as bar:
            while self.step < self.plan.steps:
                batch = poses[torch.randint(len(poses), (self.plan.batch,), device=self.device)]
                terms = self.train_step(batch, recorded)
                self.step += 1
                bar.update()
                last = self.step == self.plan.steps
                if held_out is not None and (self.step % self.plan.validate_every == 0 or last):
                    terms |= self.validate(held_out)
                if self.step % 50 == 0 or last:
                    bar.set_postfix({k: f"{v:.1f}" for k, v in terms.items()})
                    log.write(json.dumps({"step": self.step, **{k: round(v, 3) for k, v in terms.items()}}) + "\n")
                    log.flush()
                if self.step % self.plan.save_every == 0 or last:
                    self.save()

    def validate(self, held_out: Tensor) -> dict[str, float]:
        """Figures on held-out poses; the weights with the least refined error are kept as best.pt."""
        figures = measure(self.average.module, held_out.to(self.device))
        score = figures["val_refined_abs_mm"] + figures["val_refined_rel_mm"]
        if score < self.best:
            self.best = score
            self.save("best.pt")
        return figures

    def train_step(self, poses: Tensor, recorded: RecordedErrors | None = None) -> dict[str, float]:
        """One optimiser step on clean pelvis-centred poses; returns mean errors in millimetres."""
        before = self.plan.pretraining_steps
        pretraining = self.step < before
        done, steps = (self.step, before) if pretraining else (self.step - before, self.plan.steps - before)
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate * cosine(done, steps, min(self.plan.warmup, steps // 4))
        self.model.train()
        loss, terms = self.complete(augment(poses)) if pretraining else self.denoise(augment(poses), recorded)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):  # one degenerate pose must not ruin the weights
            self.optimiser.step()
            self.average.update(self.model)
        self.optimiser.zero_grad(set_to_none=True)
        return {name: 1000 * float(value.detach()) for name, value in terms.items()}

    def complete(self, poses: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Masked joints of clean poses, unmasked pass by pass; every pass has to be right."""
        masked = random_mask(len(poses), MASK_RATES[self.step % len(MASK_RATES)], poses.device)
        relative = poses - self.model.centre(poses, masked)
        passes = self.model.unmask_iteratively(relative, masked)
        loss = torch.stack([distance(p, relative).mean() for p in passes]).mean()
        return loss, {"masked_mm": loss}

    def denoise(self, poses: Tensor, recorded: RecordedErrors | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Poses before random rigs, or with recorded errors; joints are compared where they stand."""
        if recorded is None:
            seen = stereo_noise.observe(poses)
        else:
            share = round(len(poses) * self.plan.recorded_share)
            seen = stereo_noise.observe(poses[share:]) + recorded.sample(share, poses.device)
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
