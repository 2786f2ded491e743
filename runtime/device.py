"""Where the arithmetic runs, and in which precision.

bfloat16 is used only where the hardware multiplies it natively. Elsewhere it is emulated and
slower than float32, so `auto` never picks it there and an explicit request is refused.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Compute:
    """A device and the precision of the matrix products on it."""

    device: torch.device
    precision: str  # "fp32" or "bf16"

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}"


def choose_compute(device: str = "auto", precision: str = "auto") -> Compute:
    """Resolve the options `--device` and `--precision` on this machine.

    device: "auto" (CUDA, else Apple's MPS, else CPU), "cpu", "cuda", "cuda:N" or "mps".
    precision: "auto" (bf16 where the hardware is fast at it), "fp32" or "bf16".
    Raises ValueError when the device is absent or is not fast in the precision asked for.
    """
    chosen = _choose_device(device)
    fast = _is_fast_in_bf16(chosen)
    if precision not in ("auto", "fp32", "bf16"):
        raise ValueError(f"--precision {precision}: expected auto, fp32 or bf16")
    if precision == "bf16" and not fast:
        raise ValueError(f"--precision bf16: {chosen} has no native bfloat16 and would only be slower; use fp32 or auto")
    return Compute(chosen, "bf16" if precision != "fp32" and fast else "fp32")


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and (kind != "cuda" or not index.isdigit())):
        raise ValueError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps")
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }[kind]
    if int(index or 0) >= count:
        raise ValueError(f"--device {name}: this machine has {count} {kind} device(s); use --device auto")
    return torch.device(name)


def _is_fast_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False
