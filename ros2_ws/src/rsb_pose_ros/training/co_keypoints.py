"""Stage (a): backbone, attention mask and co-keypoints on stereo pairs; stage (c): with the pose transformer, end to end.

Stage (a) does not touch the transformer: what a random estimator triangulates is garbage, and its gradient ruins both.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from rsb_pose_ros.landmarks import LANDMARKS_OF_JOINTS
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.blazepose import BlazePoseBackbone
from rsb_pose_ros.model.rsb_pose import Estimate
from rsb_pose_ros.training import checkpoint
from rsb_pose_ros.training.ema import WeightAverage
from rsb_pose_ros.training.exported_weights import load_start
from rsb_pose_ros.training.int8_rounding import Int8Rounding
from rsb_pose_ros.training.loop import LoopPlan, Trainer
from rsb_pose_ros.training.losses import LossWeights, Targets, co_keypoint_loss
from rsb_pose_ros.training.on_cpu.depthwise import replace_slow_gradients
from rsb_pose_ros.training.on_cpu.memory import keep_freed_memory
from rsb_pose_ros.training.on_cpu.volume import read_volume
from rsb_pose_ros.training.pictures import pairs_over_truth
from rsb_pose_ros.training.precision import has_fast_bfloat16, keep_exact

# Measured on renderings: with this gain the published heatmaps, read as logits of a softmax, are best calibrated.
HEATMAP_START_GAIN = 1.0
HEATMAP_RATE_SHARE = 0.1
TRANSFORMER_RATE_SHARE = 0.3
JOINTS_WEIGHT = 2.0
"""End to end, unless the plan says otherwise: of the refined joints' error, as much as of the triangulated ones'."""


@dataclass(frozen=True)
class Plan(LoopPlan):
    """One run of this stage. size: crop side, pixels.

    kept: parts of the backbone that stay as they are while backbone_rate trains the others. int8_share: of the batches
    whose features a backbone makes that rounds as its INT8 file will. end_to_end: stage (c).
    """

    size: int = 256
    backbone_rate: float = 0.0
    kept: tuple[str, ...] = ()
    workers: int = 1
    int8_share: float = 0.0
    end_to_end: bool = False
    weights: LossWeights = field(default_factory=LossWeights)


def start_from_blazepose(model: RSBPose, path: Path) -> dict:
    """Load the edge backbone and start the joint heatmaps from BlazePose's landmarks; returns the weights' origin."""
    content = checkpoint.load(path)
    model.backbone.load_state_dict(content["backbone"])
    weight, bias = content["landmarks"]["conv.weight"], content["landmarks"]["conv.bias"]
    with torch.no_grad():
        for joint, landmarks in enumerate(LANDMARKS_OF_JOINTS.values()):
            model.heatmaps.weight[joint] = weight[list(landmarks)].mean(0) * HEATMAP_START_GAIN  # type: ignore[index,union-attr]
            model.heatmaps.bias[joint] = bias[list(landmarks)].mean(0) * HEATMAP_START_GAIN  # type: ignore[index,union-attr]
    return content["origin"]


TRAINED_ELSEWHERE = ("transformer.", "second_look.")
"""Parts that a checkpoint of this stage may lack or hold in another shape: other stages train them."""


def load_weights(model: RSBPose, weights: dict[str, Tensor]) -> None:
    """Load a checkpoint's weights; the parts that other stages train stay fresh where it has none that fit.

    Raises ValueError naming a weight that is missing, unknown or of another shape.
    """
    own = model.state_dict()
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    wrong = sorted(k for k in own.keys() ^ fitting.keys() | (weights.keys() - fitting.keys()))
    wrong = [k for k in wrong if not k.startswith(TRAINED_ELSEWHERE)]
    if wrong:
        raise ValueError(
            f"the checkpoint does not fit {model.config.name}: {', '.join(wrong[:5])} ({len(wrong)} weights)"
        )
    model.load_state_dict(own | fitting)


class CoKeypointTrainer(Trainer[dict[str, Tensor]]):
    """Stages (a) and (c). plain: all in float32, by PyTorch alone: what the faster way is compared with."""

    model: RSBPose
    plan: Plan

    def __init__(self, config: ModelConfig, plan: Plan, folder: Path, device: str = "cpu", plain: bool = False) -> None:
        if plan.end_to_end and plan.weights.joints == 0:
            plan = replace(plan, weights=replace(plan.weights, joints=JOINTS_WEIGHT))
        self.config = config
        own = torch.device(device)
        model = RSBPose(config).to(own)
        self.mixed = has_fast_bfloat16(own) and not plain
        if not plain:
            _speed_up(model, own)
        model.transformer.requires_grad_(plan.end_to_end)
        _freeze_backbone(model, plan)
        super().__init__(model, _groups(model, plan), plan, folder, own)
        self.rounding = self._int8_rounding()
        self.pairs_before = 0

    def _int8_rounding(self) -> Int8Rounding | None:
        if self.plan.int8_share == 0:
            return None
        if not isinstance(self.model.backbone, BlazePoseBackbone):
            kind = type(self.model.backbone).__name__
            raise ValueError(f"int8_share rounds BlazePoseBackbone, found {kind}; expected int8_share 0 for it")
        return Int8Rounding(self.model.backbone)

    def start_from(self, path: Path, fresh: Sequence[str] = ()) -> None:
        """Start from the averaged weights of an earlier run (other plan, same network), or from an exported file's.

        fresh: parts of the network that start anew. Raises ValueError for a name that is none of a part.
        """
        if unknown := sorted(set(fresh) - dict(self.model.named_children()).keys()):
            parts = ", ".join(dict(self.model.named_children()))
            raise ValueError(f"fresh: {', '.join(unknown)}; expected parts of the network: {parts}")
        content = load_start(path)
        anew, kept = (
            {name: value for name, value in weights.items() if (name.split(".")[0] in fresh) is wanted}
            for weights, wanted in ((self.model.state_dict(), True), (content["average"], False))
        )
        load_weights(self.model, kept | anew)
        self.average = WeightAverage(self.model)
        self.pairs_before = content.get("pairs", 0)

    def state(self) -> dict[str, Any]:
        return super().state() | {"pairs_before": self.pairs_before}

    def restore(self, content: dict[str, Any]) -> None:
        super().restore(content)
        self.pairs_before = content["pairs_before"]

    def record(self) -> dict[str, Any]:
        """pairs: that the weights have seen, in earlier runs, too."""
        return {"config": self.config.to_dict(), "pairs": self.pairs_before + self.seen}

    def run(self, pairs: IterableDataset) -> None:
        """Train on pairs, which workers make and stack, until the plan is done."""
        workers = self.plan.workers
        prefetch = 4 if workers else None
        self.run_batches(DataLoader(pairs, batch_size=self.plan.batch, num_workers=workers, prefetch_factor=prefetch))

    def picture(self, batch: dict[str, Tensor]) -> np.ndarray:
        batch = self._on_device(batch)
        self.average.module.eval()
        return pairs_over_truth(batch, self.average.module(batch["crops"], batch["projections"]))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        batch = self._on_device(batch)
        targets = Targets(batch["joints"], batch["keypoints"], batch["visibility"], batch["present"])
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            estimate = self.estimate(batch)
        return co_keypoint_loss(estimate, targets, self.plan.size, self.config.disparities, self.plan.weights)

    def estimate(self, batch: dict[str, Tensor]) -> Estimate:
        """What the network makes of a batch on the device."""
        side = batch["crops"].shape[2]
        if side != self.plan.size:
            raise ValueError(f"crops of {side} pixels; expected {self.plan.size}, the plan's size")
        # The gradients' way through a backbone that stays as it is would be for nothing.
        with torch.set_grad_enabled(self.plan.backbone_rate > 0), self._backbone_of_this_batch():
            features = self.model.features(batch["crops"])
        return self.model.from_features(features, batch["projections"])

    def _on_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: value.to(self.device) for key, value in batch.items()}

    def _backbone_of_this_batch(self) -> AbstractContextManager:
        """Rounding in int8_share of the batches."""
        if self.rounding is None or torch.rand(()) >= self.plan.int8_share:
            return nullcontext()
        return self.rounding


def _speed_up(model: RSBPose, device: torch.device) -> None:
    # The paper's volume has 3D convolutions, which have no such format.
    (model if model.config.regressor == "folded" else model.backbone).to(memory_format=torch.channels_last)
    keep_exact(model)
    if device.type == "cpu":
        keep_freed_memory()
        replace_slow_gradients(model)
        model.read_volume = read_volume


def _freeze_backbone(model: RSBPose, plan: Plan) -> None:
    parts = dict(model.backbone.named_children())
    if unknown := sorted(set(plan.kept) - parts.keys()):
        raise ValueError(f"kept: {', '.join(unknown)}; expected parts of the backbone: {', '.join(parts)}")
    for name, part in parts.items():
        part.requires_grad_(plan.backbone_rate > 0 and name not in plan.kept)


def _groups(model: RSBPose, plan: Plan) -> list[dict[str, Any]]:
    """The optimiser's groups of parameters, with their learning rates."""
    backbone = [p for p in model.backbone.parameters() if p.requires_grad]
    heatmaps = list(model.heatmaps.parameters())
    transformer = [p for p in model.transformer.parameters() if p.requires_grad]
    known = {id(p) for p in [*model.backbone.parameters(), *heatmaps, *transformer]}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    return [
        {"params": rest, "base": plan.rate},
        # They start from BlazePose's and feed everything else: large steps shake the rest.
        {"params": heatmaps, "base": plan.rate * HEATMAP_RATE_SHARE},
        {"params": backbone, "base": plan.backbone_rate},
        {"params": transformer, "base": plan.rate * TRANSFORMER_RATE_SHARE},
    ]
