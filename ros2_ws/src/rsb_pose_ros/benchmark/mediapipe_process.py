"""MediaPipe Pose as a partner process: its environment, its start, one question per stereo pair."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsb_pose_ros.benchmark import BenchmarkError
from rsb_pose_ros.landmarks import LANDMARK_COUNT

ROOT = Path(__file__).resolve().parents[4]
ENVIRONMENT = ROOT / "cache/mediapipe-venv"
REQUIREMENTS = ROOT / "requirements/mediapipe.txt"
PACKAGE = "mediapipe==0.10.14"
WORKER = Path(__file__).with_name("mediapipe_worker.py")
VERSIONS = ("3.12", "3.11", "3.10", "3.9")
"""Pythons for which there is a wheel."""


class MediaPipeError(BenchmarkError):
    """MediaPipe cannot be installed, started or asked."""


@dataclass(frozen=True)
class PairLandmarks:
    """landmarks: (2, 33, 3) x, y in pixels and visibility, NaN where nobody was found in a view; seconds: it took."""

    landmarks: np.ndarray
    seconds: float

    @property
    def found(self) -> bool:
        """Whether there is somebody in both views."""
        return bool(np.isfinite(self.landmarks).all())


def environment_python(environment: Path = ENVIRONMENT) -> Path | None:
    """The interpreter of the environment, or None when it was not made yet."""
    python = environment / "bin/python"
    return python if (environment / ".complete").is_file() and python.is_file() else None


def make_environment(environment: Path = ENVIRONMENT) -> Path:
    """Install MediaPipe into an environment of its own, once; says what it does. Returns the interpreter.

    Raises MediaPipeError with the end of pip's output.
    """
    if (python := environment_python(environment)) is not None:
        return python
    interpreter = _interpreter()
    print(
        f"installing {PACKAGE} into {environment} with {interpreter} (once; about 130 MB to download, 410 MB on disk)",
        file=sys.stderr,
    )
    environment.parent.mkdir(parents=True, exist_ok=True)
    steps = (
        [str(ROOT / "tools/make_venv.sh"), str(environment), str(REQUIREMENTS)],
        [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", PACKAGE],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, env={**os.environ, "PYTHON": interpreter})
        if done.returncode:
            tail = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise MediaPipeError(
                f"{' '.join(step)} failed with code {done.returncode}; expected {PACKAGE} in {environment}; without "
                f"MediaPipe: --without-mediapipe. The end of its output:\n  {tail}"
            )
    (environment / ".complete").touch()
    return environment / "bin/python"


def _interpreter() -> str:
    """A Python that MediaPipe has a wheel for, this one if it can be."""
    names = [f"python{version}" for version in VERSIONS]
    if f"python{sys.version_info.major}.{sys.version_info.minor}" in names:
        return sys.executable
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise MediaPipeError(
            f"{PACKAGE} has wheels for Python {', '.join(VERSIONS)}; this is {sys.version.split()[0]} and none of these "
            "is installed: install one, or leave MediaPipe out with --without-mediapipe"
        )
    return found


class MediaPipePose:
    """The running process; a context manager."""

    def __init__(self, python: str | Path, *, still: bool, worker: Path = WORKER) -> None:
        """still: pairs are independent; else people are followed from pair to pair, as in a video."""
        self._command = [str(python), "-I", str(worker), *(["--still"] if still else [])]
        self.version = ""

    def __enter__(self) -> MediaPipePose:
        self._log = tempfile.TemporaryFile("w+")
        self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)
        self.version = str(self._reply().get("mediapipe", "unknown"))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._child.pid

    def ask(self, left: np.ndarray, right: np.ndarray) -> PairLandmarks:
        """Landmarks of both views, (H, W, 3) BGR uint8."""
        assert self._child.stdin is not None
        views = np.stack([left, right])
        try:
            self._child.stdin.write(json.dumps({"shape": views.shape}).encode() + b"\n" + views.tobytes())
            self._child.stdin.flush()
        except OSError as error:
            raise self._failure() from error
        reply = self._reply()
        nobody = np.full((LANDMARK_COUNT, 3), np.nan)
        views_found = [nobody if view is None else np.array(view, np.float64) for view in reply["landmarks"]]
        return PairLandmarks(np.stack(views_found), float(reply["seconds"]))

    def _reply(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def _failure(self) -> MediaPipeError:
        code = self._child.wait(10)
        self._log.seek(0)
        tail = "\n  ".join(self._log.read().strip().splitlines()[-5:])
        return MediaPipeError(
            f"{' '.join(self._command)} ended with code {code}; expected an answer; the end of its output:\n  {tail}"
        )
