"""Which hardware runs a model: choosing ONNX Runtime execution providers, and saying so when one is not to be had."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime

from rsb_pose_ros.inference.card import ModelError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

ALIASES = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}

LOG = logging.getLogger(__name__)

ANNOUNCE_EVERY = 15.0
"""Seconds between two signs of life while an engine is built."""

Provider = tuple[str, dict[str, Any]]


def resolve(
    providers: Sequence[str | Provider] | None, model_hash: str, cache: str | Path | None = None
) -> list[list[Provider]]:
    """What to try, best first: each a list of providers with options, in ONNX Runtime's order of preference.

    providers: names ("cpu", "cuda", "tensorrt" or ONNX Runtime's own), or (name, options) pairs; None is the CPU.
    ["auto"] is TensorRT, CUDA, CPU, from the best one on that this runtime was built with. All others are required: one
    that is missing raises ModelError and never falls back in silence. TensorRT keeps its engines in `cache` (see
    tensorrt_options).
    """
    wanted = list(providers) if providers else [CPU]
    available = onnxruntime.get_available_providers()
    if wanted == ["auto"]:
        known = [name for name in (TENSORRT, CUDA, CPU) if name in available]
        LOG.info("onnxruntime %s has %s", onnxruntime.__version__, ", ".join(known))
        return [[_with_options(name, {}, model_hash, cache) for name in known[i:]] for i in range(len(known))]
    resolved: list[Provider] = []
    for entry in wanted:
        name, options = (entry, {}) if isinstance(entry, str) else entry
        name = ALIASES.get(name.lower(), name)
        if name not in available:
            raise ModelError(
                f"execution provider {name} is not in this onnxruntime {onnxruntime.__version__}; it has "
                f"{', '.join(available)}: install a build that has it (docs/jetson.md), or ask for one of these"
            )
        resolved.append(_with_options(name, options, model_hash, cache))
    return [resolved]


def _with_options(name: str, options: dict[str, Any], model_hash: str, cache: str | Path | None) -> Provider:
    return name, {**tensorrt_options(model_hash, cache), **options} if name == TENSORRT else options


def only_cpu(providers: Sequence[str | Provider] | None) -> bool:
    """Whether a model asked for with these providers will run on the CPU, as far as is known before it is loaded."""
    if not providers:
        return True
    if list(providers) == ["auto"]:
        return not {TENSORRT, CUDA} & set(onnxruntime.get_available_providers())
    names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
    return {ALIASES.get(name.lower(), name) for name in names} == {CPU}


def tensorrt_options(model_hash: str, cache: str | Path | None = None) -> dict[str, Any]:
    """Options for TensorRT: FP16 and explicit INT8 (QDQ), engines cached per model, versions and GPU.

    cache: folder for engines, default $XDG_CACHE_HOME/rsb_pose_ros or ~/.cache/rsb_pose_ros.
    """
    base = Path(cache) if cache else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsb_pose_ros"
    folder = base / f"{model_hash[:16]}-{platform_key()}"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "trt_fp16_enable": True,
        "trt_int8_enable": True,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder),
        "trt_auxiliary_streams": 0,
    }


def platform_key() -> str:
    """ONNX Runtime, TensorRT and GPU, as part of a folder's name: an engine fits only those that it was built by and for."""
    try:
        tensorrt = metadata.version("tensorrt")
    except metadata.PackageNotFoundError:
        tensorrt = "system"  # from the distribution: TensorRT writes its version into the engine's name, too
    parts = [f"ort{onnxruntime.__version__}", f"trt{tensorrt}", gpu_name()]
    return re.sub(r"[^a-zA-Z0-9.-]+", "-", "-".join(parts)).strip("-").lower()


def gpu_name() -> str:
    """The board of a Jetson, or the first NVIDIA card; "gpu" where neither can be read."""
    board = Path("/proc/device-tree/model")
    if board.is_file():
        return board.read_text(errors="replace").strip("\0 \n")
    for card in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        found = re.search(r"^Model:\s*(.+)$", card.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1]
    return "gpu"


@contextmanager
def announced(providers: Sequence[Provider], model: str | Path, every: float = ANNOUNCE_EVERY) -> Iterator[None]:
    """Says that TensorRT builds an engine, and every so many seconds how long it has taken; silent for other providers."""
    names = [name for name, _ in providers]
    if TENSORRT not in names:
        yield
        return
    folder = Path(str(dict(providers)[TENSORRT]["trt_engine_cache_path"]))
    if any(folder.glob("*.engine")):
        LOG.info("TensorRT: engine of %s is in %s", Path(model).name, folder)
    else:
        LOG.info("TensorRT builds the engine of %s into %s: this takes minutes, once", Path(model).name, folder)
    done, started = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every):
            LOG.info("TensorRT is still at it after %.0f s", time.monotonic() - started)

    teller = threading.Thread(target=tell, name="engine announcement", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        LOG.info("TensorRT: done after %.1f s", time.monotonic() - started)


def check_running(wanted: list[Provider], running: list[str], model: str | Path) -> None:
    """Raise ModelError when ONNX Runtime dropped a provider that was asked for (a missing library, no device)."""
    dropped = [name for name, _ in wanted if name not in running]
    if dropped:
        raise ModelError(
            f"model {model}: {', '.join(dropped)} was asked for but could not start, {', '.join(running)} would run "
            "instead; check the driver and the CUDA/TensorRT libraries, or ask for another provider"
        )
