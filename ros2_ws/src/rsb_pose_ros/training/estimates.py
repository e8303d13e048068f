"""What a trained network triangulates of rendered pairs, beside the truth: what its own transformer learns to repair."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from rsb_pose_ros.data.recorded_poses import RecordedPoses
from rsb_pose_ros.model import RSBPose
from rsb_pose_ros.model.pose_transformer import standard_deviations


def estimate(
    model: RSBPose, dataset: IterableDataset, pairs: int, within: float = math.inf, batch: int = 8, workers: int = 1
) -> RecordedPoses:
    """Poses before the transformer, their standard deviations and the truth, of those pairs that show somebody.

    within: poses in which a joint is off by more than so many metres are left out: a joint taken for the wall behind is
    no noise on a pose, and the transformer would learn to move all others for its sake. Raises ValueError if none is left.

    In float32: bfloat16 moves triangulated joints by a centimetre, and their errors would be others than the robot's.
    """
    if pairs < 1:
        raise ValueError(f"{pairs} pairs to look at; expected at least 1")
    model.eval()
    rows: list[tuple[np.ndarray, ...]] = []
    loader: Iterator[dict[str, Tensor]] = iter(DataLoader(dataset, batch_size=batch, num_workers=workers))
    for labels in tqdm(islice(loader, -(-pairs // batch)), total=-(-pairs // batch), desc="estimates"):
        with torch.no_grad():
            seen = model(labels["crops"], labels["projections"])
        columns = (seen.joints_initial, labels["joints"], standard_deviations(seen.covariance))
        rows.append(tuple(column[labels["present"]].float().numpy() for column in columns))
    triangulated, truth, sigma = (np.concatenate(column) for column in zip(*rows, strict=True))
    kept = np.linalg.norm(triangulated - truth, axis=-1).max(1) <= within
    if not kept.any():
        raise ValueError(f"none of {len(kept)} poses has all joints within {within} m; expected a trained network")
    triangulated, truth, sigma = triangulated[kept], truth[kept], sigma[kept]
    return RecordedPoses(triangulated, truth, np.zeros(len(truth), int), np.arange(len(truth)), sigma, sequence=False)
