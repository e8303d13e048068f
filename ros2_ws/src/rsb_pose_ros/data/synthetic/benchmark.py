"""How fast finished pairs are made, and where the time goes."""

from __future__ import annotations

import argparse
import os
import platform
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[5]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tools/benchmark.py data`."""
    parser.add_argument("--pairs", type=int, default=200, help="pairs for each process (default 200)")
    parser.add_argument("--processes", type=int, default=2, help="rendering at once (default 2)")
    parser.add_argument("--device", help="also draw with PyTorch there, e.g. cuda (default: not at all)")
    parser.add_argument("--batch", type=int, default=32, help="pairs drawn at once on --device (default 32)")
    parser.add_argument("--config", type=Path, default=ROOT / "config/synthetic.yaml")
    parser.add_argument("--bodies", type=Path, default=ROOT / "cache/bodies.npz", help="tools/synthesize.py bake")
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("RSB_POSE_SHARED", ROOT.parent / "shared")),
        help="mocap/, backgrounds/ (default $RSB_POSE_SHARED or ../shared)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures of finished pairs (posed, dressed, rendered, exposed, labelled).

    wall: pairs/s of all processes together; of_core: pairs per second of one core's time, which other load on the
    machine changes little; stages_ms: processor time of a pair by stage.
    """
    from rsb_pose_ros.data.synthetic.config import SyntheticConfig

    if arguments.device:
        _check_device(arguments.device)
    config = SyntheticConfig.from_yaml(arguments.config)
    job = (config, arguments.shared, arguments.bodies, arguments.pairs)
    # Compiled once before: numba's cache is then on disk for all.
    stages = _stages(*job[:3], pairs=min(arguments.pairs, 60))
    context = get_context("spawn")
    with context.Pool(arguments.processes) as pool:
        pool.starmap(_render, [(*job[:3], 3, 0)] * arguments.processes, chunksize=1)
        start = time.perf_counter()
        processor = pool.starmap(_render, [(*job, 10_000 * k) for k in range(arguments.processes)], chunksize=1)
        wall = time.perf_counter() - start
    total = arguments.pairs * arguments.processes
    return {
        "benchmark": "data",
        "crop_px": config.size,
        "processes": arguments.processes,
        "pairs": total,
        "pairs_per_s_wall": total / wall,
        "pairs_per_s_of_core": total / sum(processor),
        "stages_ms": stages,
        "load_average": os.getloadavg()[0],
        "device": _on_device(config, arguments) if arguments.device else None,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores seen, Python {platform.python_version()}",
    }


def text(result: dict[str, Any]) -> str:
    """The figures for people."""
    stages = ", ".join(f"{name} {value:.1f}" for name, value in result["stages_ms"].items())
    return (
        f"{result['pairs_per_s_wall']:.1f} pairs/s of {result['crop_px']}² with {result['processes']} processes "
        f"(load {result['load_average']:.1f}); {result['pairs_per_s_of_core']:.1f} per second of one core's time\n"
        f"processor time of a pair, ms: {stages}" + _device_text(result["device"])
    )


def _device_text(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return ""
    return (
        f"\non {figures['device']}: {figures['drawn_per_s']:.1f} pairs/s drawn, exposed and labelled, "
        f"{figures['batch']} at once, {figures['mbytes_per_pair']:.1f} MB of plans each; "
        f"planning takes {figures['plan_ms']:.1f} ms of a core a pair"
    )


def _check_device(name: str) -> None:
    """Raises ValueError for a device that PyTorch cannot draw on."""
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {name}: {reason}; expected a device of this PyTorch, e.g. cuda or cpu") from error


def _on_device(config: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """drawn_per_s: pairs finished on the device from plans that lie in memory, the best of three passes over two batches;
    plan_ms: processor time that plans of a pair take; mbytes_per_pair: of plans, which travel to the device."""
    import torch

    from rsb_pose_ros.data.synthetic.on_torch.pairs import draw, plan

    pairs, batch = _generator(config, arguments.shared, arguments.bodies), arguments.batch
    started = time.process_time()
    plans = [plan(pairs, range(k * batch, (k + 1) * batch))[0] for k in range(2)]
    planned = time.process_time() - started
    passes = []
    for _ in range(4):  # the first one fills caches
        started = time.perf_counter()
        for packed in plans:
            draw(packed, config.size, arguments.device)["crops"].sum().item()  # waits until it is there
        passes.append(time.perf_counter() - started)
    cuda = torch.device(arguments.device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(arguments.device) if cuda else arguments.device,
        "batch": batch,
        "drawn_per_s": 2 * batch / min(passes[1:]),
        "plan_ms": 1000 * planned / (2 * batch),
        "mbytes_per_pair": sum(v.numel() * v.element_size() for v in plans[0].values()) / batch / 1e6,
    }


def _render(config: Any, shared: Path, bodies: Path, pairs: int, first: int) -> float:
    """Processor seconds for so many pairs in this process."""
    import cv2

    cv2.setNumThreads(1)
    made = _generator(config, shared, bodies)
    made.sample(first)
    start = time.process_time()
    for seed in range(first, first + pairs):
        made.sample(seed)
    return time.process_time() - start


_KNOWN: dict[tuple, Any] = {}


def _generator(config: Any, shared: Path, bodies: Path) -> Any:
    from rsb_pose_ros.data.synthetic.generator import SyntheticPairs

    key = (config, shared, bodies)
    if key not in _KNOWN:
        _KNOWN[key] = SyntheticPairs(config, shared, bodies)
    return _KNOWN[key]


def _stages(config: Any, shared: Path, bodies: Path, pairs: int) -> dict[str, float]:
    """Mean processor milliseconds of a pair's stages."""
    import cv2

    cv2.setNumThreads(1)
    made = _generator(config, shared, bodies)
    for seed in range(pairs):  # what is kept of bodies and pictures is made once, and does not count
        made.sample(seed)
    spent = np.zeros(3)
    for seed in range(pairs):
        generator = np.random.default_rng(seed)
        clock = [time.process_time()]
        plan = made.plan(generator)
        clock.append(time.process_time())
        rendering = made.render(plan)
        clock.append(time.process_time())
        made.labelled(plan, rendering)
        clock.append(time.process_time())
        spent += np.diff(clock)
    return dict(zip(("pose, dress, furnish, light", "render", "expose, label"), (1000 * spent / pairs).tolist()))
