"""Which hardware runs a model: choosing ONNX Runtime execution providers, and saying so when one is not to be had."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime

from rsb_pose_ros.inference.card import ModelError
from rsb_pose_ros.inference.engine import TENSORRT
from rsb_pose_ros.inference.gpu import gpu

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

ALIASES = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}
BEST_FIRST = (TENSORRT, CUDA, CPU)

LOG = logging.getLogger(__name__)

Provider = tuple[str, dict[str, Any]]


def resolve(providers: str | Sequence[str | Provider] | None) -> list[list[Provider]]:
    """What to try, best first: each a list of providers with options, in ONNX Runtime's order of preference.

    providers: names ("cpu", "cuda", "tensorrt" or ONNX Runtime's own), or (name, options) pairs, or one name; None is
    the CPU. ["auto"] is TensorRT, CUDA, CPU, from the best one on that this runtime was built with; what it lacks is
    logged. All others are required: one that is missing raises ModelError and never falls back in silence.
    """
    if isinstance(providers, str):
        providers = [providers]
    wanted = list(providers) if providers else [CPU]
    if wanted == ["auto"]:
        known = _automatic()
        return [[(name, {}) for name in known[i:]] for i in range(len(known))]
    if "auto" in wanted:
        raise ModelError(f"execution providers {wanted}: auto stands alone; expected [auto], or the providers by name")
    available = onnxruntime.get_available_providers()
    resolved: list[Provider] = []
    for entry in wanted:
        name, options = (entry, {}) if isinstance(entry, str) else entry
        name = ALIASES.get(name.lower(), name)
        if name not in available:
            raise ModelError(
                f"execution provider {name} is not in {runtime()}; it has {', '.join(available)}: {remedy(name)}, or ask "
                "for one of these"
            )
        resolved.append((name, dict(options)))
    return [resolved]


def _automatic() -> list[str]:
    """What [auto] tries, best first; says what it cannot try, aloud where there is a GPU that lies idle for it."""
    available = onnxruntime.get_available_providers()
    missing = [name for name in BEST_FIRST if name not in available]
    known = [name for name in BEST_FIRST if name in available]
    LOG.info("providers: %s has %s", runtime(), ", ".join(known))
    device = gpu() if missing else None
    for name in missing:
        if device:
            LOG.warning(
                "providers: there is a GPU (%s), but %s is not in %s: %s", device, name, runtime(), remedy(name)
            )
        else:
            LOG.info("providers: %s is not in this onnxruntime, and is not tried", name)
    return known


def runtime() -> str:
    """The ONNX Runtime that runs, and the packages that brought it: two of them hide each other."""
    packages = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            packages.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return f"this onnxruntime {onnxruntime.__version__} (installed: {', '.join(packages) or 'no package, a build'})"


def remedy(name: str) -> str:
    """What to install for a provider that is missing."""
    if name not in (TENSORRT, CUDA):
        return "install a build of onnxruntime that has it"
    first = "uninstall onnxruntime and onnxruntime-gpu, then install"
    if platform.machine() == "aarch64":
        return f"{first} a build with CUDA and TensorRT for this JetPack (docs/jetson.md)"
    return f"{first} onnxruntime-gpu" + (
        " and TensorRT 10, its libraries on LD_LIBRARY_PATH" if name == TENSORRT else ""
    )


def only_cpu(providers: Sequence[Provider]) -> bool:
    """Whether nothing but the CPU is among resolved providers."""
    return all(name == CPU for name, _ in providers)


def check_running(wanted: Sequence[Provider], running: list[str], model: str | Path) -> None:
    """Raise ModelError when ONNX Runtime dropped a provider that was asked for (a missing library, no device)."""
    dropped = [name for name, _ in wanted if name not in running]
    if dropped:
        raise ModelError(
            f"model {model}: {', '.join(dropped)} was asked for but could not start, {', '.join(running)} would run "
            f"instead; the GPU is {gpu() or 'not to be seen'}. Check the driver and the CUDA, cuDNN and TensorRT libraries "
            f"(`ldd {Path(onnxruntime.__file__).parent}/capi/libonnxruntime_providers_*.so` names missing ones), or ask "
            "for another provider"
        )
