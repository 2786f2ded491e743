"""Where the arithmetic runs, in which precision, and in how many processes.

bfloat16 is used only where the hardware multiplies it natively. Elsewhere it is emulated and
slower than float32, so `auto` never picks it there and an explicit request is refused. It is a
precision of training alone: what is chosen by or reported is computed in float32, and that is never
TensorFloat-32, which CUDA's convolutions would take instead and which keeps no more than 11 bits.

On CUDA many sums are by default made in whatever order threads come, so that the same seed gives
other bytes each time. A deterministic Compute has PyTorch take algorithms of one fixed order, and
raise RuntimeError at an operation that has none.

Several processes are started by `torchrun`, which tells each its rank; they talk by gloo, or NCCL
on CUDA, where each has a GPU of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, distributed

from runtime.options import OptionError
from runtime.processors import count_processors

Value = TypeVar("Value")

torch.backends.cudnn.allow_tf32 = False  # of all processes: exported files have it written in

PEER_TIMEOUT = timedelta(days=2)  # of a process that waits for others, each at work of its own
NOT_DETERMINISTIC = "not deterministic"  # as config.json says it
CUBLAS_WORKSPACE = ":4096:8"  # 8 buffers of 4 MiB, with which cuBLAS sums in one order
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt
LARGE_TENSOR = 2**25  # bytes, from which on a tensor's memory goes back to the system as before
MOST_KEPT = 2**28  # bytes that are kept, besides what lies between tensors that live

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compute:
    """Where a process computes, and its place among those that work together.

    Attributes:
        device: Where the tensors are.
        precision: Of the matrix products of training: "fp32" or "bf16".
        rank: The number of this process, from 0.
        world_size: How many there are.
        deterministic: Whether the same seed gives the same bytes; False on CUDA alone.
    """

    device: torch.device
    precision: str
    rank: int = 0
    world_size: int = 1
    deterministic: bool = True

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
        parts = [self.device.type if self.world_size > 1 else str(self.device), self.precision]
        if not self.deterministic:
            parts.append(NOT_DETERMINISTIC)
        if self.world_size > 1:
            parts.append(f"{self.world_size} processes")
        return ", ".join(parts)


class ComputeChoice(NamedTuple):
    """Device, precision and determinism as `choose_compute` takes them."""

    device: str = "auto"
    precision: str = "auto"
    deterministic: bool = True


def parse_compute(text: str) -> ComputeChoice:
    """Return the choice that leads to a Compute written as text.

    Raises ValueError when it is no such text.
    """
    match text.split(", "):
        case [device, precision, *others] if len(others) < 3:
            return ComputeChoice(device, precision, NOT_DETERMINISTIC not in others)
    raise ValueError(f"{text!r:.60} names no device and precision, as in 'cpu, fp32'")


def choose_compute(
    device: str = "auto", precision: str = "auto", deterministic: bool = True
) -> Compute:
    """Resolve device and precision on this machine, and have PyTorch compute so.

    Joins the other processes where torchrun started several.

    Args:
        device: "auto" (CUDA, else Apple's MPS, else CPU), "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto" (bf16 where the hardware is fast at it), "fp32" or "bf16".
        deterministic: Take algorithms that sum in one fixed order. Of CUDA alone: on a CPU all
            that is done here is so anyway.

    Raises:
        OptionError: The device is absent, or is not fast in the precision asked for.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = _choose_device(device)
    if world_size > 1 and chosen.type == "cuda":
        chosen = _own_gpu(device)
    fast = _is_fast_in_bf16(chosen)
    if precision not in ("auto", "fp32", "bf16"):
        raise OptionError("precision", precision, "expected auto, fp32 or bf16")
    if precision == "bf16" and not fast:
        raise OptionError(
            "precision",
            precision,
            f"{chosen} has no native bfloat16 and would only be slower; use fp32 or auto",
        )
    if precision == "auto" and chosen.type == "cuda" and not fast:
        _say_once(f"{chosen} has no native bfloat16; training is in fp32")
    deterministic = deterministic or chosen.type != "cuda"
    _set_determinism(chosen, deterministic)
    _keep_to_processors()
    if chosen.type == "cpu":
        _keep_freed_memory()
    if world_size > 1 and not distributed.is_initialized():
        _join_processes(chosen)
    return Compute(
        device=chosen,
        precision="bf16" if precision != "fp32" and fast else "fp32",
        rank=distributed.get_rank() if world_size > 1 else 0,
        world_size=world_size,
        deterministic=deterministic,
    )


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on the device; where it is copied to CUDA, that is not waited for."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _own_gpu(device: str) -> torch.device:
    """Return the GPU of this process, one of several on this machine."""
    if ":" in device:
        raise OptionError(
            "device", device, "each process takes a GPU of its own; expected cuda, cpu or auto"
        )
    rank, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if rank >= count:
        raise OptionError(
            "device",
            device,
            f"each process takes a GPU of its own and this machine has {count}; start as many "
            "processes, or use cpu",
        )
    return torch.device("cuda", rank)


def _set_determinism(device: torch.device, deterministic: bool) -> None:
    """Have PyTorch compute so from here on; before CUDA has computed anything."""
    is_fixed = deterministic and device.type == "cuda"
    if is_fixed:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
        os.environ["TORCHINDUCTOR_DETERMINISTIC"] = "1"  # where networks are compiled
    # As `use_deterministic_algorithms`, which takes seconds, to import the compiler.
    torch.set_deterministic_debug_mode("error" if is_fixed else "default")
    torch.backends.cudnn.deterministic = is_fixed
    torch.backends.cudnn.benchmark = False  # it tries algorithms, and takes another each time
    # Nothing here reads memory that nobody has written; to fill it would take a pass over it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@cache
def _keep_to_processors() -> None:
    """Have PyTorch compute on no more threads than there are processors for.

    It sees those of the machine. Of a quota of fewer, its threads use up in a moment what all have
    for a tenth of a second, and wait for one another for the rest of it. OMP_NUM_THREADS, where it
    is set, says how many there are to be.
    """
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > count_processors():
        torch.set_num_threads(count_processors())


@cache
def _keep_freed_memory() -> None:
    """Have the C library keep memory that tensors leave for the next ones, where that is glibc.

    It would give all of more than a few MiB back to the system, which clears it anew for each
    tensor: 3000 pages and a sixteenth of the time of a GAN's step at 64 px.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_TENSOR)
        libc.mallopt(M_TRIM_THRESHOLD, MOST_KEPT)


@cache
def _say_once(text: str) -> None:
    _log.warning("%s", text)


def _join_processes(device: torch.device) -> None:
    """Join the processes that torchrun started; leave them when the interpreter ends."""
    # Imported once the group exists (Adam does so), this module's default arguments hold it for
    # ever: its threads outlive the interpreter, ask it for its lock and abort the process.
    importlib.import_module("torch.distributed.nn")
    if device.type == "cuda":
        torch.cuda.set_device(device)
        distributed.init_process_group("nccl", timeout=PEER_TIMEOUT, device_id=device)
    else:
        distributed.init_process_group("gloo", timeout=PEER_TIMEOUT)
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
