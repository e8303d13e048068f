"""Checkpoints: written atomically, resumable after a kill, with the configuration and the code's version."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch


@cache
def code_version() -> str:
    """The git commit of the code, with '+' when the tree is changed; 'unknown' outside a checkout.

    As it was when first asked, which trainers do when they start: a commit made during a run is not what runs.
    """
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=Path(__file__).parent, capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    return run.stdout.strip() or "unknown"


def save(path: Path, **content: Any) -> None:
    """Write a checkpoint; a kill in the middle leaves the one before intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({"code_version": code_version(), **content}, partial)
    partial.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Raises FileNotFoundError or ValueError naming the file."""
    if not path.exists():
        raise FileNotFoundError(f"checkpoint {path}: not found; expected a .pt file that tools/train.py wrote")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"checkpoint {path}: cannot be read ({error}); expected one of tools/train.py") from error
