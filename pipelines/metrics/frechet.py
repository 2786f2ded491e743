"""Fréchet distance between Gaussians fitted to two sets of features.

Dowson & Landau 1982; Heusel et al. 2017, eq. 6:

    d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr √(Σ₁Σ₂)

A covariance is kept as a factor F (k, d) with FᵀF = Σ, and tr √(Σ₁Σ₂) = ‖F₁F₂ᵀ‖₊, the nuclear norm:
no matrix square root, and exact also for fewer images than features, where the covariances are
singular. Of centred features X (n, d) the factor is X / √(n − 1); with more images than features,
the triangular factor of its QR decomposition; of a covariance, the scaled eigenvectors.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.metrics.scores import Parts
from runtime.files import atomic

# From this side on, singular values come from the eigenvalues of the squared matrix: 5 to 20 times
# faster, to 8 digits.
LARGE_SIDE = 32
EXPECTED_STATISTICS = "expected statistics as pytorch-fid saves them, an .npz with mu and sigma"


@dataclass(frozen=True)
class Gaussian:
    """A fitted Gaussian: its mean (d,) and a factor (k, d) of its covariance, both float64."""

    mean: np.ndarray
    factor: np.ndarray


def fit(features: np.ndarray) -> Gaussian:
    """Fit a Gaussian to features (n, d), covariance over n − 1 as in pytorch-fid, in float64.

    Raises ValueError on fewer than two rows or values that are not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(
            f"features have shape {features.shape}, expected (n, d) with n of at least 2"
        )
    if not np.isfinite(features).all():
        raise ValueError("features hold values that are not finite")
    mean = features.mean(axis=0)
    scaled = (features - mean) / np.sqrt(len(features) - 1)
    if len(scaled) <= scaled.shape[1]:
        return Gaussian(mean, scaled)
    return Gaussian(mean, np.asarray(np.linalg.qr(scaled, mode="r")))


def distance(first: Gaussian, second: Gaussian) -> float:
    """Return the squared Fréchet distance d² ≥ 0, in squared units of the features.

    Raises ValueError when the Gaussians differ in width.
    """
    if len(first.mean) != len(second.mean):
        raise ValueError(
            f"features have {len(first.mean)} and {len(second.mean)} columns, expected the same"
        )
    gap = np.square(first.mean - second.mean).sum()
    spread = np.square(first.factor).sum() + np.square(second.factor).sum()
    return max(float(gap + spread - 2 * nuclear_norm(first.factor @ second.factor.T)), 0.0)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared Fréchet distance between feature sets (n₁, d) and (n₂, d)."""
    return distance(fit(first), fit(second))


def nuclear_norm(matrix: np.ndarray) -> float:
    """Return the sum of the singular values."""
    if min(matrix.shape) < LARGE_SIDE:
        return float(np.linalg.svd(matrix, compute_uv=False).sum())
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    return float(np.sqrt(np.linalg.eigvalsh(wide @ wide.T).clip(min=0)).sum())


def warn_of_few_images(features: Mapping[str, Parts], patients: Mapping[str, int]) -> list[str]:
    """Say, for each extractor, that sets have fewer images than it has features, if they do.

    Args:
        features: By extractor and set, (N, d).
        patients: How many patients each set is of, one image of each being scored.
    """
    warnings = []
    for extractor, parts in features.items():
        width = next(iter(parts.values())).shape[1]
        small = [
            f"{count} {name.replace('_', '-')}"
            for name, count in patients.items()
            if count <= width
        ]
        if small:
            warnings.append(
                f"{extractor}: fewer images ({', '.join(small)}, of reals one a patient) than its "
                f"{width} features, so covariances are singular; Fréchet distances come from the "
                "exact small form and are larger than those of more images would be: compare at "
                "equal n only"
            )
    return warnings


def read_statistics(path: Path) -> Gaussian:
    """Read a Gaussian from pytorch-fid's statistics, an .npz with `mu` (d,) and `sigma` (d, d).

    Raises FileNotFoundError, or ValueError that says what is wrong with the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {EXPECTED_STATISTICS}")
    mean, covariance = _read_moments(path)
    if (
        mean.ndim != 1
        or covariance.shape != (len(mean), len(mean))
        or not np.isfinite(mean).all()
        or not np.isfinite(covariance).all()
    ):
        raise ValueError(
            f"{path}: mu has shape {mean.shape} and sigma {covariance.shape}, "
            "expected finite (d,) and (d, d)"
        )
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if values[0] < -1e-3 * max(values[-1], 0):
        raise ValueError(
            f"{path}: sigma has an eigenvalue of {values[0]:.3g}, a covariance has none below 0"
        )
    return Gaussian(mean, np.sqrt(values.clip(min=0))[:, None] * vectors.T)


def write_statistics(path: Path, gaussian: Gaussian) -> None:
    """Write mu and sigma as pytorch-fid reads them."""
    with atomic(path) as file:
        np.savez_compressed(file, mu=gaussian.mean, sigma=gaussian.factor.T @ gaussian.factor)


def _read_moments(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read mu and sigma as they stand in a file of statistics."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file["mu"], np.float64), np.asarray(file["sigma"], np.float64)
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read ({problem}); {EXPECTED_STATISTICS}") from error
