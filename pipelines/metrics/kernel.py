"""Kernel distance between two sets of features: squared maximum mean discrepancy with the kernel (x·y/d + 1)³ (Bińkowski et al. 2018).

The unbiased estimate of their eq. 3 (Gretton et al. 2012, eq. 3) is averaged over random subsets of one size, as is customary for the
kernel inception distance: 1000 images, or as many as the smaller set has. The subsets are drawn as torch-fidelity draws them, with its seed.
"""

from __future__ import annotations

import numpy as np

SUBSET = 1000  # images
SUBSETS = 100
SEED = 2020


def subset_size(first: int, second: int) -> int:
    """How many images of each set are compared at a time."""
    return min(SUBSET, first, second)


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Kernel distance of feature sets (n₁, d) and (n₂, d); unbiased, so about 0, and as often below, for sets of one distribution.

    Raises ValueError on sets of fewer than two rows or of different width.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"features have shapes {first.shape} and {second.shape}, expected at least two rows each and as many columns"
        )
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    size, random = subset_size(len(first), len(second)), np.random.RandomState(SEED)
    chosen = np.zeros(
        (SUBSETS if max(len(first), len(second)) > size else 1, len(first) + len(second))
    )
    for one in chosen:
        one[random.choice(len(first), size, replace=False)] = 1
        one[len(first) + random.choice(len(second), size, replace=False)] = 1
    x, y = chosen[:, : len(first)], chosen[:, len(first) :]
    within = _within(polynomial(first, first), x) + _within(polynomial(second, second), y)
    across = ((x @ polynomial(first, second)) * y).sum(axis=1)
    return float((within / (size * (size - 1)) - 2 * across / size**2).mean())


def polynomial(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The kernel (n₁, n₂) of features (n₁, d) and (n₂, d)."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def discrepancy(within_first: np.ndarray, within_second: np.ndarray, across: np.ndarray) -> float:
    """The unbiased estimate from kernels (n₁, n₁), (n₂, n₂) and (n₁, n₂)."""
    parts = [
        (kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))
        for kernel in (within_first, within_second)
    ]
    return float(sum(parts) - 2 * across.mean())


def _within(kernel: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The sum over pairs of different chosen images, for each row of `chosen`, which is 1 for a chosen image and else 0."""
    return ((chosen @ kernel) * chosen).sum(axis=1) - chosen @ np.diag(kernel)
