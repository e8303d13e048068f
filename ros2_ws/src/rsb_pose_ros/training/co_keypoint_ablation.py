"""What parts of the co-keypoints and terms of their loss are worth: short trainings that differ in one thing.

All see the same pairs through the same backbone, whose features are computed once; regressor, second look and confidence
start from nothing each time. That is a twentieth of the cost of training it all, and no more than an order of merit.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from rsb_pose_ros.evaluation import metrics
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.rsb_pose import Estimate, Features
from rsb_pose_ros.training.co_keypoints import CoKeypointTrainer, Plan
from rsb_pose_ros.training.losses import LossWeights, Targets, is_correct
from rsb_pose_ros.training.validation import Observed, observed_row

FRESH = ("co_keypoints", "second_look", "confidence")
LABELS = ("projections", "joints", "keypoints", "visibility", "present")
BATCH = 8


@dataclass(frozen=True)
class Variant:
    """One training: what differs from the base network and from its loss ("term=weight")."""

    name: str
    network: dict[str, Any] = field(default_factory=dict)
    loss: tuple[str, ...] = ()


VARIANTS = (
    Variant("base"),
    Variant("no attention mask", network={"attention_mask": False}),
    Variant("no second look", network={"second_look": False}),
    *(
        Variant(f"loss without {term}", loss=(f"{term}=0",))
        for term in ("volume", "pixel", "metric", "second", "heatmap")
    ),
    Variant("disparity no more than u and v", loss=("disparity=1",)),
)


def remember(model: RSBPose, dataset: IterableDataset, pairs: int, folder: Path, workers: int = 1) -> None:
    """Write the first `pairs` pairs' labels and features, in half precision, as one .npy for each; 1.4 MB a pair."""
    model.eval()
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    batches = iter(DataLoader(dataset, batch_size=BATCH, num_workers=workers))
    files: dict[str, np.memmap] = {}
    count = -(-pairs // BATCH)
    for n, batch in enumerate(tqdm(islice(batches, count), total=count, desc=f"features, {folder.name}")):
        for name, column in _columns(model, batch).items():
            rows = column.contiguous().numpy()
            if name not in files:
                shape = (count * BATCH, *rows.shape[1:])
                path = partial / f"{name}.npy"
                files[name] = np.lib.format.open_memmap(path, mode="w+", dtype=rows.dtype, shape=shape)
            files[name][n * BATCH : (n + 1) * BATCH] = rows
    for file in files.values():
        file.flush()
    # A kill in the middle leaves nothing that looks whole.
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _columns(model: RSBPose, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        features = model.features(batch["crops"])
    columns = {name: batch[name] for name in LABELS} | {"coarse": features.coarse.unflatten(0, (-1, 2)).half()}
    return columns if features.fine is None else columns | {"fine": features.fine.unflatten(0, (-1, 2)).half()}


def remembered(folder: Path) -> dict[str, Tensor]:
    """What `remember` wrote, read from the disk as it is asked for. Raises FileNotFoundError naming the folder."""
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise FileNotFoundError(f"features {folder}: not found; expected what `tools/ablate_sce.py features` writes")
    return {file.stem: torch.from_numpy(np.load(file, mmap_mode="c")) for file in files}


class OnRememberedFeatures(CoKeypointTrainer):
    """Trains all that follows the backbone."""

    def estimate(self, batch: dict[str, Tensor]) -> Estimate:
        return self.model.from_features(features_of(batch), batch["projections"])

    def run_on(self, seen: dict[str, Tensor]) -> None:
        """Train on random batches of what was seen until the plan is done."""
        self.run_batches(self._batches(seen))

    def _batches(self, seen: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        while True:
            chosen = torch.randint(len(seen["joints"]), (self.plan.batch,))
            yield {key: value[chosen] for key, value in seen.items()}


def features_of(batch: dict[str, Tensor]) -> Features:
    """Both views' features one after the other, as the backbone hands them on."""
    coarse, fine = (
        batch[name].flatten(0, 1).float().contiguous(memory_format=torch.channels_last) if name in batch else None
        for name in ("coarse", "fine")
    )
    assert coarse is not None
    return Features(coarse, fine)


def train_variant(
    variant: Variant, config: ModelConfig, plan: Plan, folder: Path, start: Path, seen: dict[str, Tensor]
) -> RSBPose:
    """The averaged network after plan.steps steps; goes on from or returns what the folder holds already.

    start: whose backbone made the features; its joint heatmaps are where all variants' begin. Raises ValueError where the
    folder holds a run of another plan, start, or number of pairs.
    """
    torch.manual_seed(0)
    network = replace(config, **variant.network)
    plan = replace(plan, weights=LossWeights().changed(variant.loss), size=config.image_size, picture_every=0)
    trainer = OnRememberedFeatures(network, plan, folder / variant.name.replace(" ", "_"))
    how = {"plan": str(plan), "start": sha256(start.read_bytes()).hexdigest(), "pairs": len(seen["joints"])}
    if not trainer.resume():
        trainer.start_from(start, [part for part in FRESH if part != "second_look" or network.second_look])
        trainer.begun(how)
    elif differing := [name for name, value in how.items() if trainer.origin[0].get(name) != value]:
        raise ValueError(
            f"{trainer.folder}: holds a run of other {', '.join(differing)}; expected the same: name another folder with "
            "--output, or remove it"
        )
    torch.manual_seed(1 + trainer.step)
    trainer.run_on(seen)
    return trainer.average.module.eval()


@torch.no_grad()
def figures(model: RSBPose, seen: dict[str, Tensor]) -> dict[str, float]:
    """Errors of co-keypoints, crop pixels, and of what is triangulated of them, millimetres, over joints in both windows."""
    rows, right = [], []
    for first in tqdm(range(0, len(seen["joints"]), BATCH), desc="judging", leave=False):
        batch = {key: value[first : first + BATCH] for key, value in seen.items()}
        estimate = model.from_features(features_of(batch), batch["projections"])
        rows.append(observed_row(estimate, batch, model.config))
        targets = Targets(batch["joints"], batch["keypoints"], batch["visibility"], batch["present"])
        right.append(is_correct(estimate.uvd, targets.uvd, model.config.image_size).numpy())
    found = Observed(**{key: np.concatenate([row[key] for row in rows]) for key in rows[0]})
    off = np.abs(found.uvd - found.uvd_truth)
    known = np.isfinite(found.truth).all(-1)
    initial = 1000 * metrics.distances(found.initial, found.truth)
    return {
        "keypoint_median_px": float(np.nanmedian(np.linalg.norm(off[..., :2], axis=-1))),
        "disparity_median_px": float(np.nanmedian(off[..., 2])),
        "disparity_mean_px": float(np.nanmean(off[..., 2])),
        "triangulated_median_mm": float(np.nanmedian(initial)),
        "triangulated_mean_mm": metrics.mean(initial),
        "right": float(np.concatenate(right)[known].mean()),
    }
