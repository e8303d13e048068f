"""A GPU that is not there: tensors sent to it stay where they are, but what a real one refuses is refused.

Code written for a GPU is mostly wrong in one way: it mixes tensors of two devices. That can be found without one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("meta")
"""Its name: of all devices, PyTorch knows this one everywhere and needs no driver for it."""
CPU = torch.device("cpu")
TAKES_A_DEVICE = ("to", "arange", "empty", "full", "ones", "tensor", "zeros")
READS_OF_BOTH = ("copy_",)


def is_on_gpu(tensor: Tensor) -> bool:
    """Was it made there, or sent there?"""
    return getattr(tensor, "pretends_gpu", False)


class PretendGpu(TorchFunctionMode):
    """Within this context GPU is a device. Raises RuntimeError where tensors of both meet, and where cuDNN would round to
    TensorFloat-32."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(func, "__name__", str(func))
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return GPU if is_on_gpu(args[0]) else CPU
        args, kwargs, wanted = _without_device(name, args, dict(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        there = [t for t in tensors if is_on_gpu(t)]
        if name in ("to", "cpu"):
            return _sent(func, args, kwargs, CPU if name == "cpu" else wanted or _device_of(args[-1], args[0]))
        if name == "numpy" and there:
            raise RuntimeError("numpy() of a tensor on the GPU; expected .cpu() first")
        if name == "conv2d" and there and torch.backends.cudnn.allow_tf32:
            raise RuntimeError("conv2d would compute in TensorFloat-32; expected cudnn.flags(allow_tf32=False)")
        # Numbers may come from anywhere; indices may lie on the CPU.
        here = [t for t in tensors if not is_on_gpu(t) and t.dim() > 0]
        if there and here and name not in READS_OF_BOTH and not (name == "__getitem__" and is_on_gpu(args[0])):
            shapes = [(tuple(t.shape), "GPU" if is_on_gpu(t) else "CPU") for t in tensors]
            raise RuntimeError(f"{name} of tensors on two devices: {shapes}")
        result = func(*args, **kwargs)
        return _on_gpu(result) if there or wanted == GPU else result


def _without_device(name: str, args: tuple, kwargs: dict) -> tuple[tuple, dict, torch.device | None]:
    """The arguments with the CPU in place of a device, and that device."""
    wanted = kwargs.get("device")
    if wanted is not None:
        kwargs["device"] = CPU
    if name in TAKES_A_DEVICE:
        named = [a for a in args if isinstance(a, (str, torch.device))]
        wanted = named[0] if named else wanted
        args = tuple(CPU if isinstance(a, (str, torch.device)) else a for a in args)
    return args, kwargs, None if wanted is None else torch.device(wanted)


def _device_of(other: Any, own: Tensor) -> torch.device:
    """Where `own.to(other)` lies."""
    like = other if isinstance(other, Tensor) else own
    return GPU if is_on_gpu(like) else CPU


def _sent(func: Any, args: tuple, kwargs: dict, device: torch.device) -> Tensor:
    result = func(*args, **kwargs)
    result = result.clone() if result is args[0] else result
    return _on_gpu(result) if device == GPU else result


def _on_gpu(result: Any) -> Any:
    """The same, each of its tensors marked."""
    for value in tree_leaves(result):
        if isinstance(value, Tensor):
            value.pretends_gpu = True  # type: ignore[attr-defined]
    return result
