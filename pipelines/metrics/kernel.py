"""Kernel distance between two sets of features (Bińkowski et al. 2018).

It is the squared maximum mean discrepancy with the kernel (x·y/d + 1)³. The unbiased estimate of
their eq. 3 (Gretton et al. 2012, eq. 3) is averaged over random subsets of one size, as is
customary for the kernel inception distance: 1000 images, or as many as the smaller set has. The
subsets are drawn as torch-fidelity draws them, with its seed.
"""

from __future__ import annotations

import numpy as np

SUBSET_SIZE = 1000  # images
SUBSETS = 100
SEED = 2020


def subset_size(first: int, second: int) -> int:
    """Return how many images of sets of these sizes are compared at a time."""
    return min(SUBSET_SIZE, first, second)


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the kernel distance of feature sets (n₁, d) and (n₂, d).

    It is unbiased, so of sets of one distribution it is about 0, and as often below as above.
    Raises ValueError on sets of fewer than two rows or of different width.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"features have shapes {first.shape} and {second.shape}, expected at least two rows "
            "each and as many columns"
        )
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    size, random = subset_size(len(first), len(second)), np.random.RandomState(SEED)
    subsets = SUBSETS if max(len(first), len(second)) > size else 1
    chosen = np.zeros((subsets, len(first) + len(second)))  # 1 for an image in the subset, else 0
    for subset in chosen:
        subset[random.choice(len(first), size, replace=False)] = 1
        subset[len(first) + random.choice(len(second), size, replace=False)] = 1
    x, y = chosen[:, : len(first)], chosen[:, len(first) :]
    within = _sum_of_pairs(polynomial(first, first), x)
    within = within + _sum_of_pairs(polynomial(second, second), y)
    across = ((x @ polynomial(first, second)) * y).sum(axis=1)
    return float((within / (size * (size - 1)) - 2 * across / size**2).mean())


def polynomial(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the kernel (n₁, n₂) of features (n₁, d) and (n₂, d)."""
    return polynomial_of_products(first @ second.T, first.shape[1])


def polynomial_of_products(products: np.ndarray, width: int) -> np.ndarray:
    """Return the kernel of inner products of features that are `width` wide."""
    return (products / width + 1) ** 3


def discrepancy(within_first: np.ndarray, within_second: np.ndarray, across: np.ndarray) -> float:
    """Return the unbiased estimate from kernels (n₁, n₁), (n₂, n₂) and (n₁, n₂)."""
    within = mean_of_pairs(within_first) + mean_of_pairs(within_second)
    return float(within - 2 * across.mean())


def mean_of_pairs(values: np.ndarray) -> float:
    """Return the mean of a symmetric matrix outside its diagonal."""
    return float((values.sum() - np.trace(values)) / (len(values) * (len(values) - 1)))


def _sum_of_pairs(kernel: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Sum the kernel over pairs of different chosen images, for each row of `chosen` (S, n)."""
    return ((chosen @ kernel) * chosen).sum(axis=1) - chosen @ np.diag(kernel)
