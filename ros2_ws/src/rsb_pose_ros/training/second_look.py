"""The second look alone, on features that a trained network computed once: a tenth of the cost of training it all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from rsb_pose_ros.model import RSBPose
from rsb_pose_ros.model.rsb_pose import split_views
from rsb_pose_ros.model.second_look import SecondLook
from rsb_pose_ros.training.losses import Targets, labelled, normal_likelihood, second_look_error
from rsb_pose_ros.training.schedule import cosine

SPREAD_WEIGHT = 0.05
"""Of the likelihood of the errors under the predicted variance, beside the errors themselves."""


@dataclass(frozen=True)
class Plan:
    """pairs are rendered and looked at once, then visited again and again; 1.5 MB of memory each."""

    pairs: int = 3000
    steps: int = 1200
    batch: int = 16
    rate: float = 2e-3
    warmup: int = 30
    weight_decay: float = 1e-2


def first_look(model: RSBPose, dataset: IterableDataset, pairs: int, workers: int = 1) -> dict[str, Tensor]:
    """Labels of the first `pairs` pairs with what the second look reads: `fine`, `context` (half precision), `uvd`.

    uvd: (N, 17, 3) the volume's co-keypoints, crop pixels.
    """
    model.eval()
    rows: list[dict[str, Tensor]] = []
    batches = iter(DataLoader(dataset, batch_size=16, num_workers=workers))
    for batch in tqdm(islice(batches, -(-pairs // 16)), total=-(-pairs // 16), desc="first look"):
        with torch.no_grad():
            features = model.features(batch["crops"])
            estimate = model.from_features(features, batch["projections"])
        assert features.fine is not None
        rows.append(
            {key: batch[key] for key in ("projections", "joints", "keypoints", "visibility", "present")}
            | {
                "uvd": estimate.co_keypoints.uvd,
                "fine": features.fine.unflatten(0, (-1, 2)).half(),
                "context": split_views(features.coarse)[0].half(),
            }
        )
    return {key: torch.cat([row[key] for row in rows])[:pairs] for key in rows[0]}


def train_second_look(model: RSBPose, seen: dict[str, Tensor], plan: Plan) -> None:
    """Train model.second_look in place on what `first_look` gathered; the rest of the network stays as it is."""
    look = model.second_look
    if look is None:
        raise ValueError(f"{model.config.name} has no second look; expected second_look: true in its configuration")
    optimiser = torch.optim.AdamW(look.parameters(), lr=plan.rate, weight_decay=plan.weight_decay)
    look.train()
    with tqdm(range(plan.steps), desc="second look") as bar:
        for step in bar:
            for group in optimiser.param_groups:
                group["lr"] = plan.rate * cosine(step, plan.steps, plan.warmup)
            chosen = torch.randint(len(seen["uvd"]), (plan.batch,))
            loss = second_look_loss(look, {key: value[chosen] for key, value in seen.items()}, model)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(look.parameters(), 2.0)
            optimiser.step()
            bar.set_postfix(loss=f"{float(loss.detach()):.3f}")
    look.eval()


def second_look_loss(look: SecondLook, batch: dict[str, Tensor], model: RSBPose) -> Tensor:
    """Mean over the joints whose co-keypoint lies inside the volume."""
    uvd, variance = look(
        batch["fine"].flatten(0, 1).float(), batch["context"].float(), batch["uvd"], batch["projections"]
    )
    targets = Targets(batch["joints"], batch["keypoints"], batch["visibility"], batch["present"])
    known = labelled(targets, model.config.image_size, model.config.disparities)
    truth = torch.where(known[..., None], targets.uvd, torch.zeros_like(uvd))
    error = second_look_error(uvd, truth) + SPREAD_WEIGHT * normal_likelihood(uvd.detach() - truth, variance)
    return torch.where(known, error, torch.zeros_like(error)).sum() / known.sum().clamp(min=1)
