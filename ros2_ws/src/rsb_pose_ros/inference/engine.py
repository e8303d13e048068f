"""TensorRT engines: where they are kept, and building one in a process of its own.

Building takes minutes. In this process it would hold Python's lock with ONNX Runtime releases of before 2026, so that
nothing else ran (no diagnostics, no signs of life, no signals); it could not be ended; and where memory runs out, the
robot's node would die of it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from rsb_pose_ros.inference.card import ModelCard, ModelError
from rsb_pose_ros.inference.gpu import gpu, tensorrt_version

TENSORRT = "TensorrtExecutionProvider"
LOG = logging.getLogger(__name__)

ANNOUNCE_EVERY = 30.0
"""Seconds between two signs of life while an engine is built."""
COMPLETE = "engine.json"
"""Lies in the folder of an engine that was built to its end: one graph may become several engines."""
BUILD_LOG = "build.log"
WHOLE, PARTITIONED = (
    "Whole graph will run on TensorRT",
    "Graph is partitioned and number of subgraphs running on TensorRT",
)
"""What ONNX Runtime's TensorRT provider says of a graph, at level INFO."""

_PROGRAM = f"import json, sys; from {__name__} import build; build(json.loads(sys.argv[1]))"
_PR_SET_PDEATHSIG = 1
_NUMPY = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
}


@dataclass(frozen=True)
class EngineSettings:
    """cache: folder for the engines of all models, default $XDG_CACHE_HOME/rsb_pose_ros or ~/.cache/rsb_pose_ros.

    fp16, int8: what TensorRT may compute in. It must not say no to a precision that the file itself uses: Q/DQ nodes
    need int8, float16 tensors fp16.
    """

    cache: str | Path | None = None
    fp16: bool = True
    int8: bool = True

    def for_card(self, card: ModelCard) -> EngineSettings:
        """The same for one model: INT8 is allowed where the file brings its ranges along. TensorRT would look for a
        calibration of a file without Q/DQ nodes, and build nothing."""
        return replace(self, int8=self.int8 and bool(card.configuration.get("quantization")))

    def folder(self, model_hash: str, extra: dict[str, Any] | None = None, name: str = "") -> Path:
        """Where one model's engine is kept: named after all that an engine depends on, so that it is built anew where
        any of it changes: the model's hash and name (ONNX Runtime finds engines by the latter), versions of ONNX Runtime
        and TensorRT, GPU, precisions, other options.

        extra: options beyond ours. The folder need not exist.
        """
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        base = Path(self.cache).expanduser() if self.cache else caches / "rsb_pose_ros"
        extra = extra or {}
        parts = [
            model_hash[:16],
            *([name] if name else []),
            f"ort{onnxruntime.__version__}",
            f"trt{tensorrt_version() or '-unknown'}",
            gpu(int(extra.get("device_id", 0))) or "gpu-unknown",
            "-".join(name for name, wanted in (("fp16", self.fp16), ("int8", self.int8)) if wanted) or "fp32",
        ]
        if extra:
            parts.append(hashlib.sha256(json.dumps(extra, sort_keys=True, default=str).encode()).hexdigest()[:8])
        return base / re.sub(r"[^a-z0-9.-]+", "-", "-".join(parts).lower()).strip("-")

    def options(self, model_hash: str, extra: dict[str, Any] | None = None, name: str = "") -> dict[str, Any]:
        """Options of ONNX Runtime's TensorRT provider; `extra` wins over ours. Makes the folder; raises ModelError."""
        folder = self.folder(model_hash, extra, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return {
            "trt_fp16_enable": self.fp16,
            "trt_int8_enable": self.int8,
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": str(folder),
            "trt_auxiliary_streams": 0,  # no second stream: it costs memory
            **(extra or {}),
        }


def _unwritable(folder: Path, error: OSError) -> ModelError:
    return ModelError(
        f"engine cache {folder}: cannot be written ({error.strerror}); expected a folder for TensorRT's engines that can "
        "be: name another one (engine_cache)"
    )


def ensure_built(
    model: Path, providers: Sequence[tuple[str, dict[str, Any]]], threads: int = 0, every: float | None = None
) -> bool:
    """Build the engine of a model unless it lies in the cache, and say so: at the start, every so many seconds, at the end.

    Returns whether it was built now. Nothing to do without TensorRT, or with its cache switched off. Raises ModelError
    when the building process fails, with its last words, or makes no engine.
    """
    folder = _cache_of(providers)
    if folder is None:
        return False
    if is_complete(folder):
        LOG.info("TensorRT engine of %s: from %s", model.name, folder)
        _warn_of_pieces(model, folder)
        return False
    # Warnings: seen by those, too, who have set up no logging, and who wait.
    LOG.warning("building the TensorRT engine of %s in %s, this takes minutes the first time", model.name, folder)
    started = time.monotonic()
    try:
        code = _build_elsewhere(model, providers, threads, folder, ANNOUNCE_EVERY if every is None else every)
    except OSError as error:
        raise _unwritable(folder, error) from error
    seconds = time.monotonic() - started
    if code != 0:
        raise ModelError(
            f"model {model}: building its TensorRT engine failed after {seconds:.0f} s: {_last_words(folder, code)} "
            f"(all of it: {folder / BUILD_LOG})"
        )
    if not any(folder.glob("*.engine")):
        raise ModelError(
            f"model {model}: TensorRT made no engine in {folder}; it takes no part of this graph, so that all of it would "
            "run elsewhere: see tools/check_tensorrt.py, or ask for another provider"
        )
    record = {
        "model": model.name,
        "seconds": round(seconds, 1),
        "gpu": gpu(),
        "tensorrt": tensorrt_version(),
        "whole": _whole((folder / BUILD_LOG).read_text(errors="replace")),
    }
    (folder / COMPLETE).write_text(json.dumps(record) + "\n", encoding="utf-8")
    LOG.info("the TensorRT engine of %s is built, after %.0f s", model.name, seconds)
    _warn_of_pieces(model, folder)
    return True


def discard(model: Path, providers: Sequence[tuple[str, dict[str, Any]]]) -> bool:
    """Take a model's engine out of the cache, so that it is built anew; whether there was one."""
    folder = _cache_of(providers)
    if folder is None or not is_complete(folder):
        return False
    LOG.warning("the TensorRT engine of %s in %s cannot be used, and is built anew", model.name, folder)
    (folder / COMPLETE).unlink()
    for engine in folder.glob("*.engine"):
        engine.unlink()
    return True


def _cache_of(providers: Sequence[tuple[str, dict[str, Any]]]) -> Path | None:
    """The folder of the engine; None without TensorRT, or with its cache switched off."""
    options = dict(providers).get(TENSORRT)
    if options is None or not options.get("trt_engine_cache_enable"):
        return None
    return Path(str(options["trt_engine_cache_path"]))


def _whole(log: str) -> bool | None:
    """Whether TensorRT takes all of the graph, by what ONNX Runtime said of it; None where it said nothing."""
    if WHOLE in log:
        return True
    return False if PARTITIONED in log else None


def _warn_of_pieces(model: Path, folder: Path) -> None:
    """A graph that TensorRT takes in pieces runs, and is slow: nobody would know."""
    try:
        whole = json.loads((folder / COMPLETE).read_text(encoding="utf-8")).get("whole")
    except (OSError, ValueError, AttributeError):
        return
    if whole is False:
        LOG.warning(
            "TensorRT takes %s in pieces and leaves the rest to the next provider, which is slow: "
            "tools/check_tensorrt.py names operators that it does not take, %s what it said itself",
            model.name,
            folder / BUILD_LOG,
        )


def is_complete(folder: Path) -> bool:
    """Whether an engine lies there that was built to its end."""
    return (folder / COMPLETE).is_file() and any(folder.glob("*.engine"))


def _build_elsewhere(
    model: Path, providers: Sequence[tuple[str, dict[str, Any]]], threads: int, folder: Path, every: float
) -> int:
    order = json.dumps(
        {"model": str(model.resolve()), "providers": list(providers), "threads": threads, "parent": os.getpid()}
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    started = time.monotonic()
    with open(folder / BUILD_LOG, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, order],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # an interrupt of the terminal is ours to answer, below
        )
        try:
            while True:
                try:
                    return process.wait(every)
                except subprocess.TimeoutExpired:
                    elapsed = time.monotonic() - started
                    LOG.warning("building the TensorRT engine of %s: %.0f s so far", model.name, elapsed)
        finally:
            process.kill()
            process.wait()


def _last_words(folder: Path, code: int) -> str:
    lines = (folder / BUILD_LOG).read_text(errors="replace").strip().splitlines()
    words = lines[-1] if lines else "without a word"
    if code == -signal.SIGKILL:
        return f"the process was killed, most likely for want of memory: close other programs, add swap ({words})"
    return words if code > 0 else f"signal {-code} ({words})"


def build(order: dict[str, Any]) -> None:
    """Load and run a model once, which makes TensorRT build and store its engine. Run by ensure_built, as a process."""
    # When the parent goes, however it goes, nobody waits for the engine any more.
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order["parent"]:
        sys.exit("the process that wanted the engine is gone")
    onnxruntime.set_default_logger_severity(1)  # how much of the graph TensorRT takes is said at this level
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = order["threads"]
    options.log_severity_level = 2
    providers = [(name, settings) for name, settings in order["providers"]]
    session = onnxruntime.InferenceSession(order["model"], options, providers=providers, enable_fallback=0)
    if TENSORRT not in session.get_providers():
        sys.exit(f"{TENSORRT} could not start, {', '.join(session.get_providers())} would run instead")
    try_out(session)  # a graph whose shapes vary is only built when it is run


def try_out(session: onnxruntime.InferenceSession) -> None:
    """Run a session once on zeros, where shapes vary on the smallest. Raises what ONNX Runtime raises."""
    feeds = {
        value.name: np.zeros([d if isinstance(d, int) else 1 for d in value.shape], _NUMPY[value.type])
        for value in session.get_inputs()
    }
    session.run(None, feeds)
