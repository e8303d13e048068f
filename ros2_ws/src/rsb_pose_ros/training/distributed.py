"""Several processes, one model: `torchrun --nproc-per-node N -- tools/train.py …`.

Gradients are averaged by hand rather than by DistributedDataParallel: parts of the network are frozen, stages call
parts of it, and the INT8 rounding rewrites weights between forward passes, all of which a wrapper takes offence at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed
from torch import Tensor


def own_device(device: str) -> str:
    """The GPU of this process where torchrun started several and `cuda` names none: each process takes another one."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" else device


def start(device: str) -> tuple[int, int]:
    """(rank, processes) of this process; joins the others where torchrun started several."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        return 0, 1
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # broadcasts of objects go through the current device
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return torch.distributed.get_rank(), processes


def from_first(content: Any, processes: int) -> Any:
    """What the first process holds, in all of them: they start from nothing with random numbers of their own."""
    if processes == 1:
        return content
    shared = [content]
    torch.distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def average_gradients(parameters: Iterable[Tensor], processes: int) -> None:
    """Replace gradients by their mean over all processes, in place; those of parameters without one count as zero."""
    if processes == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    together = torch.cat([g.flatten() for g in gradients])
    torch.distributed.all_reduce(together)
    together /= processes
    for parameter, mean in zip(trained, together.split([p.numel() for p in trained]), strict=True):
        parameter.grad = mean.view_as(parameter).clone()


def extreme(value: float, processes: int, device: torch.device, largest: bool = True) -> float:
    """The largest (or least) of all processes' values: what they have to agree on."""
    if processes == 1:
        return value
    shared = torch.tensor(value, device=device)
    operation = torch.distributed.ReduceOp.MAX if largest else torch.distributed.ReduceOp.MIN
    torch.distributed.all_reduce(shared, operation)
    return float(shared)
