"""Which hardware runs a model: choosing ONNX Runtime execution providers, and saying so when one is not to be had."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from rsb_pose_ros.inference.card import ModelError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

ALIASES = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}

Provider = tuple[str, dict[str, Any]]


def resolve(
    providers: str | Sequence[str | Provider] | None, model_hash: str, cache: str | Path | None = None
) -> list[Provider]:
    """Full names with options, in order of preference.

    providers: names ("cpu", "cuda", "tensorrt" or ONNX Runtime's own), or (name, options) pairs, or one name; None is
    the CPU.
    ["auto"] is the best that this runtime was built with. All others are required: one that is missing raises
    ModelError and never falls back in silence. TensorRT keeps its engines in `cache` (see tensorrt_options).
    """
    if isinstance(providers, str):
        providers = [providers]
    wanted = list(providers) if providers else [CPU]
    available = onnxruntime.get_available_providers()
    if wanted == ["auto"]:
        wanted = [name for name in (TENSORRT, CUDA, CPU) if name in available]
    resolved: list[Provider] = []
    for entry in wanted:
        name, options = (entry, {}) if isinstance(entry, str) else entry
        name = ALIASES.get(name.lower(), name)
        if name not in available:
            raise ModelError(
                f"execution provider {name} is not in this onnxruntime {onnxruntime.__version__}; it has "
                f"{', '.join(available)}: install a build that has it (see docs/), or ask for one of these"
            )
        if name == TENSORRT:
            options = {**tensorrt_options(model_hash, cache), **options}
        resolved.append((name, options))
    return resolved


def tensorrt_options(model_hash: str, cache: str | Path | None = None) -> dict[str, Any]:
    """Options for TensorRT: FP16 and explicit INT8 (QDQ), engines cached per model and runtime version.

    cache: folder for engines, default $XDG_CACHE_HOME/rsb_pose_ros or ~/.cache/rsb_pose_ros. TensorRT itself adds the
    GPU's compute capability and its own version to the engine's name.
    """
    base = Path(cache) if cache else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rsb_pose_ros"
    folder = base / f"{model_hash[:16]}-ort{onnxruntime.__version__}"
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


def check_running(wanted: list[Provider], running: list[str], model: str | Path) -> None:
    """Raise ModelError when ONNX Runtime dropped a provider that was asked for (a missing library, no device)."""
    dropped = [name for name, _ in wanted if name not in running]
    if dropped:
        raise ModelError(
            f"model {model}: {', '.join(dropped)} was asked for but could not start, {', '.join(running)} would run "
            "instead; check the driver and the CUDA/TensorRT libraries, or ask for another provider"
        )
