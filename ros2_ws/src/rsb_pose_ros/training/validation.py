"""Accuracy on frozen synthetic pairs (held-out bodies, motions, textures), and the covariance's scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.rsb_pose import Estimate
from rsb_pose_ros.training.losses import Targets, labelled

FIRST_SEED = 2_000_000_000
"""Seeds from here on are never trained on."""

ONE_SIGMA = 0.683
"""Share of a normal distribution within one standard deviation."""


@dataclass
class Observed:
    """What the network said of N pairs; joints that the crops do not show are NaN in `truth`.

    joints, initial, truth: (N, 17, 3) metres; uvd, uvd_truth, variance: (N, 17, 3) crop pixels (²);
    confidence: (N, 17); present: (N,) bool; hidden: (N, 17) bool, hidden in either view.
    """

    joints: np.ndarray
    initial: np.ndarray
    truth: np.ndarray
    uvd: np.ndarray
    uvd_truth: np.ndarray
    variance: np.ndarray
    confidence: np.ndarray
    present: np.ndarray
    hidden: np.ndarray


def observe(model: RSBPose, dataset: IterableDataset, pairs: int, batch: int = 8, workers: int = 1) -> Observed:
    """Run the network over the first `pairs` pairs of a dataset."""
    model.eval()
    rows: list[dict[str, np.ndarray]] = []
    loader: Iterator[dict[str, Tensor]] = iter(DataLoader(dataset, batch_size=batch, num_workers=workers))
    for labels in tqdm(islice(loader, -(-pairs // batch)), total=-(-pairs // batch), desc="validation"):
        with torch.no_grad():
            rows.append(observed_row(model(labels["crops"], labels["projections"]), labels, model.config))
    return Observed(**{key: np.concatenate([row[key] for row in rows])[:pairs] for key in rows[0]})


def observed_row(estimate: Estimate, labels: dict[str, Tensor], config: ModelConfig) -> dict[str, np.ndarray]:
    """One batch of what `Observed` holds."""
    targets = Targets(labels["joints"], labels["keypoints"], labels["visibility"], labels["present"])
    seen = labelled(targets, config.image_size, config.disparities)[..., None]
    nan = torch.tensor(float("nan"))
    tensors = {
        "joints": estimate.joints,
        "initial": estimate.joints_initial,
        "truth": torch.where(seen, targets.joints, nan),
        "uvd": estimate.uvd,
        "uvd_truth": torch.where(seen, targets.uvd, nan),
        "variance": estimate.variance,
        "confidence": estimate.confidence_logits.sigmoid(),
        "present": targets.present,
        "hidden": (targets.visibility < 3).any(1),
    }
    return {key: value.numpy() for key, value in tensors.items()}


def summary(observed: Observed) -> dict[str, float]:
    """Figures in millimetres and crop pixels over the joints that the crops show."""
    initial = 1000 * metrics.distances(observed.initial, observed.truth)
    refined = 1000 * metrics.distances(observed.joints, observed.truth)
    uvd = np.abs(observed.uvd - observed.uvd_truth)
    root = 1000 * metrics.distances(metrics.root_relative(observed.joints), metrics.root_relative(observed.truth))
    aligned = 1000 * metrics.distances(metrics.procrustes_aligned(observed.joints, observed.truth), observed.truth)
    score = observed.confidence.mean(1)
    return {
        "pairs": len(observed.joints),
        "mpjpe_initial_mm": metrics.mean(initial),
        "mpjpe_mm": metrics.mean(refined),
        "median_mm": float(np.nanmedian(refined)),
        "mpjpe_visible_mm": metrics.mean(np.where(observed.hidden, np.nan, refined)),
        "mpjpe_hidden_mm": metrics.mean(np.where(observed.hidden, refined, np.nan)),
        "mpjpe_root_relative_mm": metrics.mean(root),
        "mpjpe_pa_mm": metrics.mean(aligned),
        "keypoint_error_px": float(np.nanmean(np.linalg.norm(uvd[..., :2], axis=-1))),
        "disparity_error_px": float(np.nanmean(uvd[..., 2])),
        "score_with_person": float(score[observed.present].mean()),
        "score_without_person": float(score[~observed.present].mean()) if (~observed.present).any() else float("nan"),
    }


def fit_variance_scale(observed: Observed) -> np.ndarray:
    """(17, 3) factors on the co-heatmap's variance of (u, v, d): 68.3 % of the errors then lie within one sigma."""
    ratio = (observed.uvd - observed.uvd_truth) ** 2 / np.maximum(observed.variance, 1e-3)
    return np.nanquantile(ratio, ONE_SIGMA, axis=0).astype(np.float32)
