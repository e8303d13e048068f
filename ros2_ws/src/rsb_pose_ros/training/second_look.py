"""The second look alone, on features that a trained network computed once: a tenth of the cost of training it all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.rsb_pose import split_views
from rsb_pose_ros.model.second_look import SecondLook
from rsb_pose_ros.training.loop import LoopPlan, Trainer
from rsb_pose_ros.training.losses import Targets, labelled, normal_likelihood, second_look_error

SPREAD_WEIGHT = 0.05
"""Of the likelihood of the errors under the predicted variance, beside the errors themselves."""


@dataclass(frozen=True)
class Plan(LoopPlan):
    """pairs are rendered and looked at once, then visited again and again; 1.5 MB of memory each."""

    steps: int = 1200
    rate: float = 2e-3
    warmup: int = 30
    weight_decay: float = 1e-2
    picture_every: int = 0
    pairs: int = 3000


def first_look(
    model: RSBPose, dataset: IterableDataset, pairs: int, workers: int = 1, device: str = "cpu"
) -> dict[str, Tensor]:
    """Labels of the first `pairs` pairs with what the second look reads: `fine`, `context` (half precision), `uvd`.

    uvd: (N, 17, 3) the volume's co-keypoints, crop pixels.
    """
    if pairs < 1:
        raise ValueError(f"{pairs} pairs to look at; expected at least 1")
    model.eval().to(device)
    rows: list[dict[str, Tensor]] = []
    batches = iter(DataLoader(dataset, batch_size=16, num_workers=workers))
    for batch in tqdm(islice(batches, -(-pairs // 16)), total=-(-pairs // 16), desc="first look"):
        with torch.no_grad():
            features = model.features(batch["crops"].to(device))
            estimate = model.from_features(features, batch["projections"].to(device))
        assert features.fine is not None
        rows.append(
            {key: batch[key] for key in ("projections", "joints", "keypoints", "visibility", "present")}
            | {
                "uvd": estimate.co_keypoints.uvd.cpu(),
                "fine": features.fine.unflatten(0, (-1, 2)).half().cpu(),
                "context": split_views(features.coarse)[0].half().cpu(),
            }
        )
    return {key: torch.cat([row[key] for row in rows])[:pairs] for key in rows[0]}


class SecondLookTrainer(Trainer[dict[str, Tensor]]):
    """Trains model.second_look on what `first_look` gathered; the rest of the network stays as it is.

    pairs_before: that the network has seen. Raises ValueError for a network without second look.
    """

    model: RSBPose
    plan: Plan

    def __init__(self, model: RSBPose, plan: Plan, folder: Path, device: str = "cpu", pairs_before: int = 0) -> None:
        if model.second_look is None:
            name = model.config.name
            raise ValueError(f"{name} has no second look; expected second_look: true in its configuration")
        own = torch.device(device)
        model.requires_grad_(False).second_look.requires_grad_(True)
        groups = [{"params": list(model.second_look.parameters()), "base": plan.rate}]
        super().__init__(model.to(own), groups, plan, folder, own)
        self.pairs_before = pairs_before

    def record(self) -> dict[str, Any]:
        return {"config": self.model.config.to_dict(), "pairs": self.pairs_before + self.plan.pairs}

    def run(self, seen: dict[str, Tensor]) -> None:
        """Train on random batches of what was seen until the plan is done."""
        self.run_batches(self._batches(seen))

    def _batches(self, seen: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        while True:
            chosen = torch.randint(len(seen["uvd"]), (self.plan.batch,))
            yield {key: value[chosen].to(self.device) for key, value in seen.items()}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        assert self.model.second_look is not None
        return second_look_loss(self.model.second_look, batch, self.model.config), {}


def second_look_loss(look: SecondLook, batch: dict[str, Tensor], config: ModelConfig) -> Tensor:
    """Mean over the joints whose co-keypoint lies inside the volume."""
    uvd, variance = look(
        batch["fine"].flatten(0, 1).float(), batch["context"].float(), batch["uvd"], batch["projections"]
    )
    targets = Targets(batch["joints"], batch["keypoints"], batch["visibility"], batch["present"])
    known = labelled(targets, config.image_size, config.disparities)
    truth = torch.where(known[..., None], targets.uvd, torch.zeros_like(uvd))
    error = second_look_error(uvd, truth) + SPREAD_WEIGHT * normal_likelihood(uvd.detach() - truth, variance)
    return torch.where(known, error, torch.zeros_like(error)).sum() / known.sum().clamp(min=1)
