"""Large tensors are given memory that was used before.

By default glibc takes every large block from the system and gives it back: each tensor then costs page faults and zeroes,
more than the arithmetic on it.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1
STEP_BYTES = 1 << 26


def keep_freed_memory() -> bool:
    """Let this process keep what it frees (mallopt(3)); False where the C library has no such settings."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER) and mallopt(M_TOP_PAD, STEP_BYTES))
