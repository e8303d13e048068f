"""What GPU and which TensorRT there are, asked from NVIDIA's own libraries: an engine fits one kind of each only."""

from __future__ import annotations

import ctypes

TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer.so.11", "libnvinfer.so.8", "libnvinfer.so")
"""ONNX Runtime's provider is linked against one of them; 10 is that of JetPack 6 and 7."""
DRIVER = "libcuda.so.1"

_MAJOR, _MINOR = 75, 76
"""CUDA driver API: attributes of a device that hold its compute capability."""


def tensorrt_version() -> str | None:
    """Version of the installed TensorRT such as "10.3.0"; None where there is none that can be loaded."""
    for name in TENSORRT_LIBRARIES:
        library = _library(name)
        if library is None:
            continue
        try:
            number = int(library.getInferLibVersion())
        except AttributeError:
            continue
        # 100300 is 10.3.0; before version 10 a digit for the minor version had to do: 8601 is 8.6.1.
        major, minor = divmod(number // 100, 100 if number >= 100_000 else 10)
        return f"{major}.{minor}.{number % 100}"
    return None


def gpu(device: int = 0) -> str | None:
    """Name and compute capability of a GPU such as "Orin sm_87"; None where no driver answers."""
    driver = _library(DRIVER)
    if driver is None:
        return None
    handle, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    try:
        steps = (
            driver.cuInit(0),
            driver.cuDeviceGet(ctypes.byref(handle), device),
            driver.cuDeviceGetName(name, len(name), handle),
            driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle),
            driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle),
        )
    except AttributeError:
        return None
    if any(steps):
        return None
    return f"{name.value.decode(errors='replace')} sm_{major.value}{minor.value}"


def _library(name: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None
