"""What each choice of the pose transformer is worth: short trainings that differ in one thing, and trials of one network.

All figures are mean errors in millimetres. Trials use held-out motion-capture poses before random rigs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsb_pose_ros.data.recorded_poses import RecordedPoses
from rsb_pose_ros.evaluation.report import accuracy
from rsb_pose_ros.model import PoseTransformer
from rsb_pose_ros.model.config import TransformerConfig
from rsb_pose_ros.skeleton import END_EFFECTORS, INDEX, JOINT_COUNT, PARENT_NAMES
from rsb_pose_ros.training import stereo_noise
from rsb_pose_ros.training.pose_augmentation import turn
from rsb_pose_ros.training.pose_prior import Plan, PosePriorTrainer
from rsb_pose_ros.training.pose_validation import measure

HIDDEN_PULL = 0.5
"""How far a hidden joint is estimated towards its neighbour."""


@dataclass(frozen=True)
class Variant:
    """One training: what differs from the base configuration and plan."""

    name: str
    network: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)


VARIANTS = (
    Variant("base"),
    Variant("absolute format", network={"relative": False}),
    Variant("no pre-training", plan={"pretraining": 0.0}),
    Variant("pre-training only", plan={"pretraining": 1.0}),
    Variant("depth 2", network={"depth": 2}),
    Variant("depth 8", network={"depth": 8}),
    Variant("depth 16", network={"depth": 16}),
    Variant("width 48", network={"width": 48}),
    Variant("width 144", network={"width": 144}),
)


def train_variant(
    variant: Variant, config: TransformerConfig, plan: Plan, folder: Path, poses: Tensor, held_out: Tensor
) -> PoseTransformer:
    """The averaged network after plan.steps steps; goes on from or returns what the folder holds already."""
    torch.manual_seed(0)
    own = folder / variant.name.replace(" ", "_")
    network, schedule = replace(config, **variant.network), replace(plan, **variant.plan)
    trainer = PosePriorTrainer(network, schedule, own, held_out=held_out)
    trainer.resume()
    # Networks of other sizes have drawn other numbers up to here, and a resumed run its first batches.
    torch.manual_seed(1 + trainer.step)
    trainer.run(poses)
    return trainer.average.module.eval()


@torch.no_grad()
def figures(model: PoseTransformer, held_out: Tensor, recorded: RecordedPoses | None) -> dict[str, float]:
    """Held-out poses (training.pose_validation.measure), parameters, and recorded poses' abs, rel and PA."""
    found = measure(model, held_out)
    found["parameters"] = float(sum(p.numel() for p in model.parameters()))
    if recorded is not None:
        refined = model(torch.from_numpy(recorded.triangulated)).numpy()
        result = accuracy(refined, recorded.truth)
        found |= {f"recorded_{key}": result[key] for key in ("mpjpe_mm", "root_relative_mm", "pa_mpjpe_mm")}
    return found


@dataclass(frozen=True)
class HiddenJoints:
    """Poses of which some joints are hidden and badly estimated. truth, seen: (N, 17, 3); hidden: (N, 17) bool."""

    truth: Tensor
    seen: Tensor
    sigma: Tensor
    hidden: Tensor


def hide(poses: Tensor, seed: int = 2) -> HiddenJoints:
    """One to five joints of each pose half-way to their neighbour, the others with stereo noise."""
    with torch.random.fork_rng(devices=[poses.device] if poses.is_cuda else []):
        torch.manual_seed(seed)
        seen = stereo_noise.observe(turn(poses), clean=0.0)
        hidden = torch.rand(len(poses), JOINT_COUNT).argsort(1) < torch.randint(1, 6, (len(poses), 1))
    parents = [INDEX[parent or name] for name, parent in PARENT_NAMES.items()]
    pulled = seen.noisy + HIDDEN_PULL * (seen.noisy[:, parents] - seen.noisy)
    noisy = torch.where(hidden[..., None], pulled, seen.noisy)
    # An estimator with honest uncertainty knows about its hidden joints.
    sigma = torch.where(hidden[..., None], seen.sigma + 0.15, seen.sigma)
    return HiddenJoints(seen.truth, noisy, sigma, hidden)


@torch.no_grad()
def trials(model: PoseTransformer, held_out: Tensor, count: int = 1500) -> dict[str, dict[str, float]]:
    """Ways to use one network on the same poses: {way: {"hidden": mm, "seen": mm}} of hidden and of seen joints."""
    case = hide(held_out[torch.linspace(0, len(held_out) - 1, count).long()])
    passes = [1, 2, 3]
    ways = {
        "as triangulated": case.seen,
        "hidden joints fed as they are": model.refine(case.seen),
        "hidden joints masked": model.refine(case.seen, case.hidden),
        "fed, with their uncertainty": model.refine(case.seen, sigma=case.sigma),
        "wrists, ankles and head left": keep(case.seen, model.refine(case.seen)),
    }
    for number in passes[1:]:
        ways[f"masked, unmasked in {number} passes"] = complete(model, case, number)
    errors = {name: (joints - case.truth).norm(dim=-1) for name, joints in ways.items()}
    return {
        name: {"hidden": 1000 * float(e[case.hidden].mean()), "seen": 1000 * float(e[~case.hidden].mean())}
        for name, e in errors.items()
    }


def keep(before: Tensor, after: Tensor) -> Tensor:
    """Refined poses whose end-effectors stay as they were."""
    out = after.clone()
    out[:, list(END_EFFECTORS)] = before[:, list(END_EFFECTORS)]
    return out


def complete(model: PoseTransformer, case: HiddenJoints, passes: int) -> Tensor:
    """Refined poses after unmasking step by step; joints still masked after `passes` keep that pass's prediction."""
    centre = model.centre(case.seen, case.hidden)
    predictions = model.unmask_iteratively(case.seen - centre, case.hidden)
    return predictions[min(passes, len(predictions)) - 1] + centre


@torch.no_grad()
def attention(model: PoseTransformer, poses: Tensor, masked: Tensor | None = None) -> np.ndarray:
    """(17, 17) attention of the last layer, queries × keys, averaged over heads and over poses (N, 17, 3)."""
    _, weights = model.predict(poses - model.centre(poses, masked), masked)
    return weights.mean((0, 1)).numpy()
