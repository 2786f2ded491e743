"""Fréchet distance between Gaussians fitted to two sets of features (Dowson & Landau 1982; Heusel et al. 2017, eq. 6).

    d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr √(Σ₁Σ₂)

With centred features A (n₁, d) and B (n₂, d), tr √(Σ₁Σ₂) = ‖A Bᵀ‖₊ / √((n₁−1)(n₂−1)), the nuclear norm: no matrix
square root, and exact also for fewer images than features, where the covariances are singular. A set with more
images than features is first reduced to the triangular factor of its QR decomposition, which has the same AᵀA.
"""

from __future__ import annotations

import numpy as np


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Fréchet distance d² ≥ 0 between feature sets (n₁, d) and (n₂, d), in squared units of the features.

    Computed in float64, covariances over n − 1 as in pytorch-fid. Raises ValueError on sets of fewer than two rows,
    of different width, or with values that are not finite.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    for features in (first, second):
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"features have shape {features.shape}, expected (n, d) with n of at least 2")
        if not np.isfinite(features).all():
            raise ValueError("features hold values that are not finite")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"features have {first.shape[1]} and {second.shape[1]} columns, expected the same")
    means = first.mean(axis=0), second.mean(axis=0)
    a, b = _factor(first - means[0]), _factor(second - means[1])
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    distance = np.square(means[0] - means[1]).sum() + np.square(a).sum() + np.square(b).sum() - 2 * cross
    return max(float(distance), 0.0)


def _factor(centred: np.ndarray) -> np.ndarray:
    """A matrix F (min(n, d), d) with FᵀF the covariance of centred features (n, d)."""
    scaled = centred / np.sqrt(len(centred) - 1)
    return np.linalg.qr(scaled, mode="r") if len(scaled) > scaled.shape[1] else scaled
