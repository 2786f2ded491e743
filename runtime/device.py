"""Where the arithmetic runs, in which precision, and in how many processes.

bfloat16 is used only where the hardware multiplies it natively. Elsewhere it is emulated and
slower than float32, so `auto` never picks it there and an explicit request is refused. It is a
precision of training alone: what is chosen by or reported is computed in float32, and that is never
TensorFloat-32, which CUDA's convolutions would take instead and which keeps no more than 11 bits.

Several processes are started by `torchrun`, which tells each its rank; they talk by gloo, or NCCL
on CUDA.
"""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed

from runtime.options import OptionError

Value = TypeVar("Value")

torch.backends.cudnn.allow_tf32 = False  # of all processes: exported files have it written in

PEER_TIMEOUT = timedelta(days=2)  # of a process that waits for others, each at work of its own


@dataclass(frozen=True)
class Compute:
    """Where a process computes, and its place among those that work together.

    Attributes:
        device: Where the tensors are.
        precision: Of the matrix products of training: "fp32" or "bf16".
        rank: The number of this process, from 0.
        world_size: How many there are.
    """

    device: torch.device
    precision: str
    rank: int = 0
    world_size: int = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is the one process that writes."""
        return self.rank == 0

    def alone(self) -> Compute:
        """Return the same device for work that this process does by itself."""
        return replace(self, rank=0, world_size=1)

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one exchange."""
        if self.world_size > 1:
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            distributed.all_reduce(flat)
            flat /= self.world_size
            parts = flat.split([tensor.numel() for tensor in tensors])
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def agree(self, value: Value) -> Value:
        """Return the main process's value in every process."""
        values = [value]
        if self.world_size > 1:
            distributed.broadcast_object_list(values, src=0)
        return values[0]

    def gather(self, value: Value) -> list[Value]:
        """Return each process's value, in the order of their ranks, in every process."""
        values = [value] * self.world_size
        if self.world_size > 1:
            distributed.all_gather_object(values, value)
        return values

    def any(self, flag: bool) -> bool:
        """Say in every process whether the flag is raised in any."""
        if self.world_size == 1:
            return flag
        raised = torch.tensor(int(flag), device=self.device)
        distributed.all_reduce(raised, distributed.ReduceOp.MAX)
        return bool(raised.item())

    def autocast(self) -> AbstractContextManager[None]:
        """Compute matrix products in the precision, for a block of training."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def __str__(self) -> str:
        """Write it as config.json has it; of several processes the kind of device they share."""
        if self.world_size > 1:
            return f"{self.device.type}, {self.precision}, {self.world_size} processes"
        return f"{self.device}, {self.precision}"


def parse_compute(text: str) -> tuple[str, str]:
    """Return device and precision, as `choose_compute` takes them, of a Compute written as text.

    Raises ValueError when it is no such text.
    """
    match text.split(", "):
        case [device, precision] | [device, precision, _]:
            return device, precision
    raise ValueError(f"{text!r:.60} names no device and precision, as in 'cpu, fp32'")


def choose_compute(device: str = "auto", precision: str = "auto") -> Compute:
    """Resolve device and precision on this machine.

    Joins the other processes where torchrun started several.

    Args:
        device: "auto" (CUDA, else Apple's MPS, else CPU), "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" (bf16 where the hardware is fast at it), "fp32" or "bf16".

    Raises:
        OptionError: The device is absent, or is not fast in the precision asked for.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = _choose_device(device)
    if world_size > 1 and chosen == torch.device("cuda"):
        chosen = _choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
    fast = _is_fast_in_bf16(chosen)
    if precision not in ("auto", "fp32", "bf16"):
        raise OptionError("precision", precision, "expected auto, fp32 or bf16")
    if precision == "bf16" and not fast:
        raise OptionError(
            "precision",
            precision,
            f"{chosen} has no native bfloat16 and would only be slower; use fp32 or auto",
        )
    if world_size > 1 and not distributed.is_initialized():
        _join_processes(chosen)
    return Compute(
        chosen,
        "bf16" if precision != "fp32" and fast else "fp32",
        distributed.get_rank() if world_size > 1 else 0,
        world_size,
    )


def _join_processes(device: torch.device) -> None:
    """Join the processes that torchrun started; leave them when the interpreter ends."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Imported once the group exists (Adam does so), this module's default arguments hold it for
    # ever: its threads outlive the interpreter, ask it for its lock and abort the process.
    importlib.import_module("torch.distributed.nn")
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PEER_TIMEOUT)
    atexit.register(distributed.destroy_process_group)


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and (kind != "cuda" or not index.isdecimal())):
        raise OptionError("device", name, "expected auto, cpu, cuda, cuda:N or mps")
    count = _count_devices(kind)
    if int(index or 0) >= count:
        raise OptionError(
            "device", name, f"this machine has {count} {kind} device(s); use `device` auto"
        )
    return torch.device(name)


def _count_devices(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count()
    return int(kind == "cpu" or torch.backends.mps.is_available())


def _is_fast_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False
