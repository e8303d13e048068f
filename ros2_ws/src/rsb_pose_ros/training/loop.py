"""The loop that every stage trains in: schedule, several processes, moving average, checkpoints, logbook.

A stage says what its batches cost (`Trainer.loss`), and where needed what it measures and draws; all else is here.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rsb_pose_ros.training import checkpoint, distributed
from rsb_pose_ros.training.ema import WeightAverage
from rsb_pose_ros.training.logbook import Logbook, as_text
from rsb_pose_ros.training.schedule import cosine_decay, warmed_up

Batch = TypeVar("Batch")
SAVE_EVERY_S = 240.0
MOST_SKIPPED = 50
"""Steps in a row without a finite gradient, after which a run ends."""


@dataclass(frozen=True)
class LoopPlan:
    """So many steps or, where `minutes` is given, at most so long.

    batch: of one process; warmup, save_every, picture_every: steps, no pictures at 0; rate: AdamW's learning rate.
    """

    steps: int
    minutes: float = math.inf
    batch: int = 16
    rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.05
    save_every: int = 100
    picture_every: int = 500

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not self.minutes > 0:
            found = f"steps {self.steps}, batch {self.batch}, minutes {self.minutes}"
            raise ValueError(f"{found}; expected more than 0 of each")


class Trainer(ABC, Generic[Batch]):
    """Holds model, average, optimiser and step; `run_batches` goes on from wherever they are.

    groups: the optimiser's, with a learning rate `base` each; those without parameters are left out.
    """

    largest_norm: ClassVar[float] = 2.0
    """Of the gradients of one group of parameters."""
    log_every: ClassVar[int] = 10

    def __init__(
        self, model: nn.Module, groups: list[dict[str, Any]], plan: LoopPlan, folder: Path, device: torch.device
    ) -> None:
        checkpoint.code_version()
        self.model, self.plan, self.folder, self.device = model, plan, folder, device
        self.frozen = frozen_parts(model)
        self.optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=plan.rate, weight_decay=plan.weight_decay
        )
        self.average = WeightAverage(model)
        self.rank, self.processes = distributed.start(str(device))
        self.origin: list[dict[str, Any]] = []
        self.step = self.seen = self.skipped = 0
        self.trained_s = 0.0

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """What is minimised on a batch, and its terms to write down."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What checkpoints tell of this stage beside what a run goes on from: `config` at least."""

    def measure(self) -> dict[str, float]:
        """Figures of the average, where this step is one to take any; the first process alone is asked."""
        return {}

    def picture(self, batch: Batch) -> np.ndarray:
        """What the average makes of a batch, (H, W, 3) uint8 BGR."""
        raise NotImplementedError(f"{type(self).__name__} draws nothing; expected picture_every 0 for it")

    @property
    def progress(self) -> float:
        """Share of the plan that is done, 0…1, by steps or by time, whichever is farther."""
        return min(1.0, max(self.step / self.plan.steps, self.trained_s / (60 * self.plan.minutes)))

    def rate_factor(self) -> float:
        """Share of each group's learning rate that this step takes."""
        return warmed_up(self.step, self.plan.warmup) * cosine_decay(self.progress)

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """Take these weights, and begin the average there."""
        self.model.load_state_dict(weights)
        self.average = WeightAverage(self.model)

    def resume(self) -> bool:
        """Go on from this run's own last checkpoint, if there is one, with this plan's rates."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        content = checkpoint.load(path)
        try:
            self.restore(content)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{path}: holds no run of this stage and network ({reason}); expected one to go on from: name another "
                "folder with --output"
            ) from error
        self.origin = content["origin"]
        return True

    def begun(self, how: dict[str, Any]) -> None:
        """Note in all checkpoints from here on how training began or went on: arguments, data."""
        self.origin = [*self.origin, {"step": self.step, "code_version": checkpoint.code_version(), **how}]

    def share_start(self) -> None:
        """Let all processes go on from where the first one is: they begin with random numbers of their own."""
        if self.processes > 1:
            self.restore(distributed.from_first(on_cpu(self.state()), self.processes))

    def state(self) -> dict[str, Any]:
        """All that a run goes on from; trained_s by the slowest process's clock, seen by all of them."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seen": self.seen,
            "trained_s": self.trained_s,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Go on from another's `state`."""
        self.model.load_state_dict(content["model"])
        self.average.module.load_state_dict(content["average"])
        rates = [group["base"] for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(content["optimiser"])
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["base"] = rate
        self.average.steps = self.step = content["step"]
        self.seen, self.trained_s = content["seen"], content["trained_s"]

    def save(self, name: str = "last.pt") -> None:
        """Write a checkpoint that a run can go on from, and that says what made it."""
        about = {"plan": asdict(self.plan), "origin": self.origin, "processes": self.processes}
        checkpoint.save(self.folder / name, **self.state(), **about, **self.record())

    def run_batches(self, stream: Iterable[Batch]) -> None:
        """Train until the plan is done; the first process writes logbook, pictures and checkpoints."""
        batches = iter(stream)
        saved = time.monotonic()
        total = self.plan.steps if math.isinf(self.plan.minutes) else None
        with (
            Logbook(self.folder, self.step) if self.rank == 0 else nullcontext() as log,
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
                self._write(log, bar, batch, terms)
                due = self.step % self.plan.save_every == 0 or time.monotonic() - saved > SAVE_EVERY_S
                if due or self.progress >= 1:
                    self.save()
                    saved = time.monotonic()

    def _write(self, log: Logbook, bar: tqdm, batch: Batch, terms: dict[str, float]) -> None:
        terms |= self.measure()
        log.add(terms)
        if self.step % self.log_every == 0 or self.progress >= 1:
            bar.set_postfix(as_text(terms))
            log.numbers(self.step)
        if self.plan.picture_every and self.step % self.plan.picture_every == 0:
            with torch.no_grad():
                log.picture(self.step, self.picture(batch))

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One optimiser step on one batch; returns the loss's terms."""
        factor = self.rate_factor()
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * factor
        self.model.train()
        for part in self.frozen:  # their batch norms keep their statistics, too
            part.eval()
        loss, terms = self.loss(batch)
        loss.backward()
        distributed.average_gradients(self.model.parameters(), self.processes)
        # One by one: a pre-trained backbone's gradients are a hundred times the others', which would hardly move.
        norms = [torch.nn.utils.clip_grad_norm_(g["params"], self.largest_norm) for g in self.optimiser.param_groups]
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


def frozen_parts(model: nn.Module) -> list[nn.Module]:
    """Modules that no step changes."""
    with_parameters = [(part, list(part.parameters())) for part in model.modules()]
    return [part for part, own in with_parameters if own and not any(p.requires_grad for p in own)]


def on_cpu(state: Any) -> Any:
    """A state's tensors on the CPU: another process would take them onto this one's device."""
    if isinstance(state, Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: on_cpu(value) for key, value in state.items()}
    if isinstance(state, list):
        return [on_cpu(value) for value in state]
    return state
