"""The bootstrap over patients (Efron 1979): images of one patient are drawn together.

They are not independent of each other, so a resample draws whole patients with replacement. It is
kept as a weight for each image: how often its patient was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.randomness import numpy_generator

RESAMPLES = 1000


def resampled_weights(
    patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Draw whole patients; return how often each image is in each resample, (resamples, N)."""
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    count = patient.max() + 1
    return (
        numpy_generator(seed, "bootstrap")
        .multinomial(count, np.full(count, 1 / count), size=resamples)[:, patient]
        .astype(np.float64)
    )


def resampled_means(
    values: np.ndarray,
    weights: np.ndarray,
    patients: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Return Σ values / Σ weights of each resample, (resamples,); NaN where no weight was drawn."""
    drawn = resampled_weights(patients, resamples, seed)
    with np.errstate(invalid="ignore"):
        return (drawn @ values) / (drawn @ weights)


def percentile_interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile interval of a resampled value, passing over NaN."""
    low, high = np.nanpercentile(resampled, (2.5, 97.5))
    return float(low), float(high)
