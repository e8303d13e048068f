"""What a pose transformer does to held-out poses: clean ones, incomplete ones, and ones with simulated stereo noise."""

from __future__ import annotations

import torch
from torch import Tensor

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.model import PoseTransformer
from rsb_pose_ros.skeleton import JOINT_COUNT, ROOT
from rsb_pose_ros.training import stereo_noise
from rsb_pose_ros.training.pose_augmentation import turn


@torch.no_grad()
def measure(model: PoseTransformer, poses: Tensor, count: int = 1000, seed: int = 1) -> dict[str, float]:
    """Figures in millimetres on `count` poses (N, 17, 3) spread over those given. The global random state is kept.

    val_clean_moved_mm: how far joints of clean poses move (mean); val_masked_mm: the error of one to five masked joints of
    clean poses (median); val_noisy_…, val_refined_…: mean errors before and after, of poses that random rigs saw.
    """
    model.eval()
    chosen = poses[torch.linspace(0, len(poses) - 1, count).long()]
    with torch.random.fork_rng(devices=[poses.device] if poses.is_cuda else []):
        torch.manual_seed(seed)
        upright = turn(chosen, pitch=0.1, roll=0.03)
        clean = upright - upright[:, ROOT : ROOT + 1] + upright.new_tensor([0.0, 0.0, 3.0])
        masked = torch.rand(count, JOINT_COUNT).argsort(1) < torch.randint(1, 6, (count, 1))
        seen = stereo_noise.observe(upright, clean=0.0)
    masked = masked.to(poses.device)
    found = model.refine(clean, masked)
    refined = model.refine(seen.noisy)
    figures = {
        "val_clean_moved_mm": float((model.refine(clean) - clean).norm(dim=-1).mean()),
        "val_masked_mm": float((found - clean).norm(dim=-1)[masked].median()),
    }
    for name, joints in (("noisy", seen.noisy), ("refined", refined)):
        a, b = joints.cpu().numpy(), seen.truth.cpu().numpy()
        figures[f"val_{name}_abs_mm"] = metrics.mean(metrics.distances(a, b))
        relative = metrics.distances(metrics.root_relative(a), metrics.root_relative(b))
        figures[f"val_{name}_rel_mm"] = metrics.mean(relative)
    return {name: 1000 * value for name, value in figures.items()}
