"""Sessions that run on the CPU and claim other providers: what decides between files and providers needs no GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnxruntime
import pytest

CPU = "CPUExecutionProvider"


def claim(
    monkeypatch: pytest.MonkeyPatch, *available: str, starts: Callable[[str], bool] = lambda name: True
) -> list[str]:
    """Let this onnxruntime have these providers, and report those it is asked for that start; the first of every session
    that is made goes into the list."""
    real, made = onnxruntime.InferenceSession, []

    def session(path: str, options: Any, providers: Any, enable_fallback: int) -> Any:
        made.append(providers[0][0])
        running = real(path, options, providers=[CPU])
        running.get_providers = lambda: [name for name, _ in providers if starts(name)]
        return running

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*available])
    return made
