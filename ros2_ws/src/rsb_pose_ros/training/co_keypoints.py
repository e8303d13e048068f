"""Stage (a): backbone, attention mask and co-keypoints on stereo pairs; stage (c): with the pose transformer, end to end.

Stage (a) does not touch the transformer: what a random estimator triangulates is garbage, and its gradient ruins both.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from rsb_pose_ros.landmarks import LANDMARKS_OF_JOINTS
from rsb_pose_ros.model import ModelConfig, RSBPose
from rsb_pose_ros.model.blazepose import BlazePoseBackbone
from rsb_pose_ros.model.rsb_pose import Estimate
from rsb_pose_ros.training import checkpoint, distributed
from rsb_pose_ros.training.ema import WeightAverage
from rsb_pose_ros.training.exported_weights import load_start
from rsb_pose_ros.training.int8_rounding import Int8Rounding
from rsb_pose_ros.training.logbook import Logbook, as_text
from rsb_pose_ros.training.losses import LossWeights, Targets, co_keypoint_loss
from rsb_pose_ros.training.on_cpu.depthwise import replace_slow_gradients
from rsb_pose_ros.training.on_cpu.memory import keep_freed_memory
from rsb_pose_ros.training.on_cpu.volume import read_volume
from rsb_pose_ros.training.precision import has_fast_bfloat16, keep_exact
from rsb_pose_ros.training.schedule import cosine_decay, warmed_up

# Measured on renderings: with this gain the published heatmaps, read as logits of a softmax, are best calibrated.
HEATMAP_START_GAIN = 1.0
HEATMAP_RATE_SHARE = 0.1
TRANSFORMER_RATE_SHARE = 0.3
LARGEST_NORM = 2.0
"""Of the gradients of one group of parameters."""
JOINTS_WEIGHT = 2.0
"""End to end, unless the plan says otherwise: of the refined joints' error, as much as of the triangulated ones'."""
SAVE_EVERY_S = 240.0
MOST_SKIPPED = 50
"""Steps in a row without a finite gradient, after which a run ends."""


@dataclass(frozen=True)
class Plan:
    """One run of this stage: so many steps or, where `minutes` is given, at most so long. size: crop side, pixels.

    kept: parts of the backbone that stay as they are while backbone_rate trains the others. int8_share: of the batches
    whose features a backbone makes that rounds as its INT8 file will. end_to_end: stage (c).
    """

    steps: int
    minutes: float = math.inf
    batch: int = 16
    size: int = 256
    rate: float = 1e-3
    backbone_rate: float = 0.0
    kept: tuple[str, ...] = ()
    warmup: int = 100
    weight_decay: float = 0.05
    workers: int = 1
    save_every: int = 100
    int8_share: float = 0.0
    end_to_end: bool = False
    picture_every: int = 500
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


class CoKeypointTrainer:
    """Holds model, average, optimiser and step; `run` goes on from wherever they are.

    plain: all in float32, by PyTorch alone: what the faster way is compared with.
    """

    def __init__(self, config: ModelConfig, plan: Plan, folder: Path, device: str = "cpu", plain: bool = False) -> None:
        if plan.end_to_end and plan.weights.joints == 0:
            plan = replace(plan, weights=replace(plan.weights, joints=JOINTS_WEIGHT))
        self.config, self.plan, self.folder, self.device = config, plan, folder, torch.device(device)
        checkpoint.code_version()
        self.model = RSBPose(config).to(self.device)
        self.mixed = has_fast_bfloat16(self.device) and not plain
        if not plain:
            self._speed_up()
        self.model.transformer.requires_grad_(plan.end_to_end)
        self._freeze_backbone()
        backbone = [p for p in self.model.backbone.parameters() if p.requires_grad]
        heatmaps = list(self.model.heatmaps.parameters())
        transformer = [p for p in self.model.transformer.parameters() if p.requires_grad]
        known = {id(p) for p in [*self.model.backbone.parameters(), *heatmaps, *transformer]}
        rest = [p for p in self.model.parameters() if p.requires_grad and id(p) not in known]
        groups = [
            {"params": rest, "base": plan.rate},
            # They start from BlazePose's and feed everything else: large steps shake the rest.
            {"params": heatmaps, "base": plan.rate * HEATMAP_RATE_SHARE},
            {"params": backbone, "base": plan.backbone_rate},
            {"params": transformer, "base": plan.rate * TRANSFORMER_RATE_SHARE},
        ]
        self.optimiser = torch.optim.AdamW(
            [g for g in groups if g["params"]], lr=plan.rate, weight_decay=plan.weight_decay
        )
        self.average = WeightAverage(self.model)
        self.rank, self.processes = distributed.start(device)
        self.rounding = self._int8_rounding()
        self.origin: dict = {}
        self.step = 0
        self.seen = 0
        self.skipped = 0
        self.pairs_before = 0
        self.trained_s = 0.0

    def _speed_up(self) -> None:
        folded = self.config.regressor == "folded"
        # The paper's volume has 3D convolutions, which have no such format.
        (self.model if folded else self.model.backbone).to(memory_format=torch.channels_last)
        keep_exact(self.model)
        if self.device.type == "cpu":
            keep_freed_memory()
            replace_slow_gradients(self.model)
            self.model.read_volume = read_volume

    def _freeze_backbone(self) -> None:
        parts = dict(self.model.backbone.named_children())
        if unknown := sorted(set(self.plan.kept) - parts.keys()):
            raise ValueError(f"kept: {', '.join(unknown)}; expected parts of the backbone: {', '.join(parts)}")
        for name, part in parts.items():
            part.requires_grad_(self.plan.backbone_rate > 0 and name not in self.plan.kept)

    def _int8_rounding(self) -> Int8Rounding | None:
        if self.plan.int8_share == 0:
            return None
        if not isinstance(self.model.backbone, BlazePoseBackbone):
            kind = type(self.model.backbone).__name__
            raise ValueError(f"int8_share rounds BlazePoseBackbone, found {kind}; expected int8_share 0 for it")
        return Int8Rounding(self.model.backbone)

    @property
    def progress(self) -> float:
        """Share of the plan that is done, 0…1, by steps or by time, whichever is farther."""
        return min(1.0, max(self.step / self.plan.steps, self.trained_s / (60 * self.plan.minutes)))

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

    def resume(self) -> bool:
        """Go on from this run's own last checkpoint, if there is one, with this plan's rates."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        self._go_on_from(checkpoint.load(path))
        return True

    def share_start(self) -> None:
        """Let all processes go on from where the first one is."""
        if self.processes > 1:
            self._go_on_from(distributed.from_first(self._state(), self.processes))

    def _go_on_from(self, content: dict) -> None:
        self.model.load_state_dict(content["model"])
        self.average.module.load_state_dict(content["average"])
        self.average.steps = content["step"]
        rates = [group["base"] for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(content["optimiser"])
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["base"] = rate
        self.step, self.pairs_before = content["step"], content["pairs_before"]
        self.seen = content["pairs"] - content["pairs_before"]
        self.trained_s = content["trained_s"]

    def _state(self) -> dict:
        """All that a run goes on from. pairs: that the weights have seen, trained_s: by the slowest process's clock."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "pairs_before": self.pairs_before,
            "pairs": self.pairs_before + self.seen,
            "trained_s": self.trained_s,
        }

    def save(self) -> None:
        record = {"config": self.config.to_dict(), "plan": asdict(self.plan), "origin": self.origin}
        checkpoint.save(self.folder / "last.pt", **self._state(), **record, processes=self.processes)

    def run(self, pairs: IterableDataset) -> None:
        """Train on pairs, which workers make and stack, until the plan is done."""
        workers = self.plan.workers
        prefetch = 4 if workers else None
        self.run_batches(DataLoader(pairs, batch_size=self.plan.batch, num_workers=workers, prefetch_factor=prefetch))

    def run_batches(self, stream: Iterable[dict[str, Tensor]]) -> None:
        """Train until the plan is done; the first process writes the logbook (a line per ten steps) and checkpoints."""
        batches = iter(stream)
        saved = time.monotonic()
        total = self.plan.steps if math.isinf(self.plan.minutes) else None
        with (
            Logbook(self.folder) if self.rank == 0 else nullcontext() as log,
            tqdm(total=total, initial=self.step, disable=self.rank > 0) as bar,
        ):
            while self.progress < 1:
                started = time.monotonic()
                batch = next(batches)
                terms = self.train_step(batch)
                self.step += 1
                self.seen += self.plan.batch * self.processes
                # All processes have to stop after the same step: the slowest clock counts.
                spent = self.trained_s + time.monotonic() - started
                self.trained_s = distributed.extreme(spent, self.processes, self.device)
                bar.update()
                if log is None:
                    continue
                log.add(terms)
                if self.step % 10 == 0:
                    bar.set_postfix(as_text(terms))
                    log.numbers(self.step)
                if self.step % self.plan.picture_every == 0:
                    log.picture(self.step, *self._look(batch))
                due = self.step % self.plan.save_every == 0 or time.monotonic() - saved > SAVE_EVERY_S
                if due or self.progress >= 1:
                    self.save()
                    saved = time.monotonic()

    def _look(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Estimate]:
        batch = self._on_device(batch)
        self.average.module.eval()
        with torch.no_grad():
            return batch, self.average.module(batch["crops"], batch["projections"])

    def _on_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        side = batch["crops"].shape[2]
        if side != self.plan.size:
            raise ValueError(f"crops of {side} pixels; expected {self.plan.size}, the plan's size")
        return {key: value.to(self.device) for key, value in batch.items()}

    def train_step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """One optimiser step on one batch; returns the loss terms."""
        batch = self._on_device(batch)
        factor = warmed_up(self.step, self.plan.warmup) * cosine_decay(self.progress)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * factor
        self.model.train()
        targets = Targets(batch["joints"], batch["keypoints"], batch["visibility"], batch["present"])
        # The gradients' way through a backbone that stays as it is would be for nothing.
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            with torch.set_grad_enabled(self.plan.backbone_rate > 0), self._backbone_of_this_batch():
                features = self.model.features(batch["crops"])
            estimate = self.model.from_features(features, batch["projections"])
        loss, terms = co_keypoint_loss(estimate, targets, self.plan.size, self.config.disparities, self.plan.weights)
        loss.backward()
        distributed.average_gradients(self.model.parameters(), self.processes)
        # One by one: the backbone's gradients are a hundred times the others', which would hardly move.
        norms = [torch.nn.utils.clip_grad_norm_(g["params"], LARGEST_NORM) for g in self.optimiser.param_groups]
        # Averaged gradients are finite in all processes or in none.
        if not all(math.isfinite(norm) for norm in norms):
            self._skip_step()
            return terms | {"loss": float("nan")}
        self.skipped = 0
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.average.update(self.model)
        return {"loss": float(loss.detach()), "norm": float(norms[0]), **terms}

    def _skip_step(self) -> None:
        """One degenerate batch must not end a run of hours, nor ruin its weights; many in a row are no accident."""
        self.optimiser.zero_grad(set_to_none=True)
        self.skipped += 1
        if self.skipped >= MOST_SKIPPED:
            raise ValueError(
                f"no finite gradient in {self.skipped} steps, up to step {self.step}; expected some: start again from "
                f"{self.folder / 'last.pt'} with a lower --rate, or look at the data"
            )

    def _backbone_of_this_batch(self) -> AbstractContextManager:
        """Rounding in int8_share of the batches."""
        if self.rounding is None or torch.rand(()) >= self.plan.int8_share:
            return nullcontext()
        return self.rounding
