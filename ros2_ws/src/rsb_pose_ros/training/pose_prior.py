"""Stage (b): the pose transformer alone, on 3D poses without images (paper, section III-D, "pre-training")."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from rsb_pose_ros.model import PoseTransformer
from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.skeleton import JOINT_COUNT, MIRROR, ROOT
from rsb_pose_ros.training import checkpoint
from rsb_pose_ros.training.ema import WeightAverage
from rsb_pose_ros.training.schedule import cosine

MASK_RATES = (0.1, 0.2, 0.3, 0.4)
"""Shares of masked joints; the stages of pre-training cycle through them."""


@dataclass(frozen=True)
class Plan:
    """One run of this stage. masked_share: the rest of each batch is denoising, as at inference."""

    steps: int
    batch: int = 512
    rate: float = 5e-4
    warmup: int = 200
    weight_decay: float = 0.1
    masked_share: float = 0.5
    save_every: int = 200


def augment(poses: Tensor) -> Tensor:
    """Root-relative poses (B, 17, 3) turned about the vertical, tilted as cameras are, scaled and mirrored.

    Poses are y-down (optical axes). Joint-definition offsets of a few centimetres keep the network from snapping one
    data set's hips, neck or head onto another's.
    """
    batch = len(poses)
    flip = torch.rand(batch, device=poses.device) < 0.5
    mirrored = poses[:, list(MIRROR)] * poses.new_tensor([-1.0, 1.0, 1.0])
    poses = torch.where(flip[:, None, None], mirrored, poses)
    heading = torch.rand(batch, device=poses.device) * 2 * math.pi
    pitch = torch.randn(batch, device=poses.device) * 0.25
    roll = torch.randn(batch, device=poses.device) * 0.08
    turn = rotation(roll, 2) @ rotation(pitch, 0) @ rotation(heading, 1)
    scale = 1 + 0.1 * torch.randn(batch, 1, 1, device=poses.device)
    poses = torch.einsum("bij,bnj->bni", turn, poses) * scale
    offsets = torch.randn(batch, JOINT_COUNT, 3, device=poses.device) * 0.01
    poses = poses + offsets
    return poses - poses[:, ROOT : ROOT + 1]


def rotation(angle: Tensor, axis: int) -> Tensor:
    """Rotation matrices (B, 3, 3) by angles (B,) about one axis."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = torch.eye(3, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, a, a] = matrix[:, b, b] = angle.cos()
    matrix[:, a, b], matrix[:, b, a] = -angle.sin(), angle.sin()
    return matrix


def stereo_noise(poses: Tensor) -> tuple[Tensor, Tensor]:
    """(noisy, root shift): poses (B, 17, 3) as triangulation gives them: noise mostly in depth, of per-pose strength.

    Axis z is depth. Some joints are grossly wrong, as occluded ones are; the root errs too and takes all others along.
    """
    batch = len(poses)
    lateral = 0.004 + 0.02 * torch.rand(batch, 1, 1, device=poses.device) ** 2
    ratio = 1 + 9 * torch.rand(batch, 1, 1, device=poses.device) ** 2
    tail = torch.where(torch.rand(batch, JOINT_COUNT, 1, device=poses.device) < 0.12, 4.0, 1.0)
    strength = torch.cat([lateral, lateral, lateral * ratio], -1) * tail
    shared = torch.randn(batch, 1, 3, device=poses.device) * 0.5
    noise = (torch.randn_like(poses) + shared) * strength
    noisy = poses + noise
    root = noisy[:, ROOT : ROOT + 1]
    return noisy - root, root


def random_mask(batch: int, rate: float, device: torch.device) -> Tensor:
    """(B, 17) bool, at least one joint masked in each pose."""
    masked = torch.rand(batch, JOINT_COUNT, device=device) < rate
    masked[torch.arange(batch), torch.randint(JOINT_COUNT, (batch,), device=device)] = True
    return masked


class PosePriorTrainer:
    """Pre-training by masking, and denoising of what a stereo rig would triangulate."""

    def __init__(self, config: TransformerConfig, plan: Plan, folder: Path, device: str = "cpu") -> None:
        self.config, self.plan, self.folder, self.device = config, plan, folder, torch.device(device)
        self.model = PoseTransformer(config).to(self.device)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=plan.rate, weight_decay=plan.weight_decay)
        self.average = WeightAverage(self.model, decay=0.999)
        self.step = 0

    def resume(self) -> bool:
        """Go on from this run's own last checkpoint, if there is one."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        content = checkpoint.load(path)
        self.model.load_state_dict(content["model"])
        self.average.module.load_state_dict(content["average"])
        self.average.steps = self.step = content["step"]
        self.optimiser.load_state_dict(content["optimiser"])
        return True

    def save(self) -> None:
        checkpoint.save(
            self.folder / "last.pt",
            model=self.model.state_dict(),
            average=self.average.module.state_dict(),
            optimiser=self.optimiser.state_dict(),
            step=self.step,
            config=asdict(self.config),
            plan=asdict(self.plan),
        )

    def run(self, poses: Tensor) -> None:
        """Train on poses (N, 17, 3), metres, y down. A line of JSON per fifty steps goes to log.jsonl."""
        self.folder.mkdir(parents=True, exist_ok=True)
        poses = (poses - poses[:, ROOT : ROOT + 1]).to(self.device)
        with (self.folder / "log.jsonl").open("a") as log, tqdm(total=self.plan.steps, initial=self.step) as bar:
            while self.step < self.plan.steps:
                batch = poses[torch.randint(len(poses), (self.plan.batch,), device=self.device)]
                terms = self.train_step(augment(batch))
                self.step += 1
                bar.update()
                if self.step % 50 == 0:
                    bar.set_postfix({k: f"{v:.1f}" for k, v in terms.items()})
                    log.write(json.dumps({"step": self.step, **{k: round(v, 3) for k, v in terms.items()}}) + "\n")
                    log.flush()
                if self.step % self.plan.save_every == 0 or self.step == self.plan.steps:
                    self.save()

    def train_step(self, poses: Tensor) -> dict[str, float]:
        """One optimiser step; returns the mean errors in millimetres."""
        factor = cosine(self.step, self.plan.steps, self.plan.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate * factor
        self.model.train()
        split = int(len(poses) * self.plan.masked_share)
        clean, truth = poses[:split], poses[split:]
        masked = random_mask(split, MASK_RATES[self.step % len(MASK_RATES)], self.device)
        passes = self.model.unmask_iteratively(clean, masked)
        masked_loss = torch.stack([distance(p, clean).mean() for p in passes]).mean()
        noisy, root = stereo_noise(truth)
        refined, _ = self.model.predict(noisy)
        # The root's own error is the network's to correct: joints are compared where they stand.
        denoise_loss = distance(refined + root, truth).mean()
        loss = masked_loss + denoise_loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.average.update(self.model)
        return {
            "masked_mm": 1000 * float(masked_loss.detach()),
            "noisy_mm": 1000 * float(distance(noisy + root, truth).mean()),
            "denoised_mm": 1000 * float(denoise_loss.detach()),
        }


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance per joint, (B, 17)."""
    return (a - b).norm(dim=-1)
