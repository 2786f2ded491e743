"""Randomness as a function of names, not of history.

Every random decision is drawn from a generator keyed by (seed, what it is for, where we are), so
step 1,000 draws the same numbers whether or not the process was restarted before it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    # Else imported where it is used: importing data needs none, and each worker would carry it.
    import torch


def key(seed: int, *names: int | str) -> int:
    """Return a 63-bit key for (seed, names…): SHA-256 of their text, so near keys share nothing."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(
    seed: int, *names: int | str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return torch's generator of random numbers for (seed, names…), on a device."""
    import torch

    return torch.Generator(device).manual_seed(key(seed, *names))


def seed_layers(device: torch.device, seed: int, *names: int | str) -> None:
    """Seed the generator that layers draw from on a device, as dropout does, for (seed, names…).

    For a CPU only its own: `torch.manual_seed` takes 0.2 ms of each step to look for GPUs.
    """
    import torch

    if device.type == "cpu":
        torch.default_generator.manual_seed(key(seed, *names))
    else:
        torch.manual_seed(key(seed, *names))


def numpy_generator(seed: int, *names: int | str) -> np.random.Generator:
    """Return NumPy's generator of random numbers for (seed, names…)."""
    return np.random.default_rng(key(seed, *names))


def batch_indices(n: int, batch_size: int, step: int, seed: int, rank: int = 0) -> torch.Tensor:
    """Return the images (batch_size,) of batch number `step`, from 0, of an endless shuffled pass.

    Every image is seen once before any is seen twice.
    """
    return endless_pass(n, step * batch_size, batch_size, seed, rank)


def endless_pass(n: int, first: int, count: int, seed: int, *names: int | str) -> torch.Tensor:
    """Return the items (count,) at positions first, first + 1, … of an endless shuffled pass.

    Position p of the stream is item p mod n of the permutation of epoch p // n, so the order is
    arithmetic on (seed, names, position).
    """
    import torch

    if count == 0:
        return torch.empty(0, dtype=torch.long)
    order = torch.cat(
        [
            torch.randperm(n, generator=torch_generator(seed, "order", *names, epoch))
            for epoch in range(first // n, (first + count - 1) // n + 1)
        ]
    )  # (epochs touched · n,)
    offset = first % n
    return order[offset : offset + count]
