"""How long a step of training takes on this machine's CPU, by PyTorch alone and with training/on_cpu."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[4]


@dataclass(frozen=True)
class Job:
    """What one process measures: steps on one batch of noise."""

    config: Path
    batch: int
    steps: int
    plain: bool
    int8: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py training`."""
    parser.add_argument("--config", type=Path, default=ROOT / "config/models/rsb_pose_edge.yaml", help="network")
    parser.add_argument("--batch", type=int, default=16, help="pairs a step (default 16)")
    parser.add_argument("--steps", type=int, default=8, help="of each kind and round (default 8)")
    parser.add_argument("--rounds", type=int, default=2, help="so often, kinds in turn (default 2)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a pair (medians over all steps) of one thread, each kind in processes of its own, in turn."""
    from tqdm import tqdm

    kinds = {
        "PyTorch alone": (True, False),
        "with on_cpu": (False, False),
        "with on_cpu, rounding as INT8": (False, True),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    turns = [kind for _ in range(arguments.rounds) for kind in kinds]
    context = get_context("spawn")
    for kind in tqdm(turns, desc="kinds", unit="process"):
        job = Job(arguments.config, arguments.batch, arguments.steps, *kinds[kind])
        with context.Pool(1) as pool:  # what the C library was told of memory holds for a whole process
            times[kind] += pool.apply(_steps, (job,))
    medians = {kind: 1000 * statistics.median(spent) / arguments.batch for kind, spent in times.items()}
    return {
        "benchmark": "training",
        "batch": arguments.batch,
        "ms_per_pair": medians,
        "times_faster": medians["PyTorch alone"] / medians["with on_cpu"],
        "load_average": os.getloadavg()[0],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores seen, Python {platform.python_version()}",
    }


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{kind:32}{value:8.1f} ms a pair" for kind, value in result["ms_per_pair"].items()]
    lines.append(
        f"{result['times_faster']:.2f} times as fast; batch {result['batch']}, one thread, {result['machine']}"
    )
    return "\n".join(lines)


def _steps(job: Job) -> list[float]:
    """Seconds of each step after two that warm up; all but the backbone's first stages learn, as in docs/training.md."""
    import torch

    from rsb_pose_ros.model import ModelConfig
    from rsb_pose_ros.training.co_keypoints import CoKeypointTrainer, Plan

    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = ModelConfig.from_yaml(job.config)
    kept = ("stem", "stem_separable", "stage4") if config.backbone == "blazepose" else ()
    plan = Plan(
        steps=10**6, batch=job.batch, size=config.image_size, backbone_rate=1e-5, kept=kept, int8_share=float(job.int8)
    )
    with TemporaryDirectory() as folder:
        trainer = CoKeypointTrainer(config, plan, Path(folder), plain=job.plain)
        batch = noise(job.batch, config.image_size)
        for _ in range(2 + 8 * job.int8):  # rounding only watches the first batches
            trainer.train_step(batch)
        spent = []
        for _ in range(job.steps):
            start = time.perf_counter()
            trainer.train_step(batch)
            spent.append(time.perf_counter() - start)
    return spent


def noise(count: int, size: int) -> dict[str, Any]:
    """A batch with labels: it costs what a real one costs."""
    import torch

    from rsb_pose_ros.training.export import example_pair

    crops, projections = example_pair(size)
    uvd = torch.rand(count, 17, 3) * torch.tensor([0.6 * size, 0.6 * size, 20.0]) + 0.2 * size
    left = uvd[..., :2]
    keypoints = torch.stack([left, torch.stack([left[..., 0] - uvd[..., 2] + 0.2 * size, left[..., 1]], -1)], 1)
    return {
        "crops": crops.repeat(count, 1, 1, 1, 1),
        "projections": projections.repeat(count, 1, 1, 1),
        "joints": torch.rand(count, 17, 3) + torch.tensor([-0.5, -0.5, 2.0]),
        "keypoints": keypoints,
        "visibility": torch.full((count, 2, 17), 3, dtype=torch.uint8),
        "present": torch.ones(count, dtype=torch.bool),
    }
