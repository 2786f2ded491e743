"""Paired comparison of two arms over seeds and patients.

Two things make a measured difference uncertain: which patients the test split holds, and the luck of one training.
The first is a bootstrap over patients of the difference averaged over seeds, the second the spread of the difference
between seeds. Their variances add, with the degrees of freedom of Welch (1947) and Satterthwaite (1946).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from classifier.metrics import resampled_means

CONFIDENCE = 0.95
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval and the value in each seed; all are shares, or differences of shares."""

    mean: float
    interval: tuple[float, float]
    per_seed: tuple[float, ...]
    detectable: float  # smallest true difference from zero found in 80 % of such studies


def estimate(values: np.ndarray, counted: np.ndarray, patients: Sequence[str], lowest: float) -> Estimate:
    """The mean over seeds and images of `values`, and how sure it is.

    values (seeds, N): of each test image in each seed, such as correct (0 or 1) or a paired difference of it.
    counted (N,): which images count, such as those of one class. patients (N,): whose image it is.
    lowest: the least possible value, 0 for a share and −1 for a difference of shares; 1 is the greatest.
    """
    seeds = len(values)
    per_seed = values[:, counted].mean(axis=1)
    drawn = resampled_means(np.where(counted, values.mean(axis=0), 0.0), counted.astype(float), patients)
    of_patients = float(np.nanvar(drawn, ddof=1))
    of_seeds = float(per_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    error = np.sqrt(of_patients + of_seeds)
    tied = len(set(np.asarray(patients)[counted]))
    denominator = of_patients**2 / max(tied - 1, 1) + of_seeds**2 / max(seeds - 1, 1)
    freedom = (of_patients + of_seeds) ** 2 / denominator if denominator > 0 else max(tied - 1, 1)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom) * error)
    mean = float(per_seed.mean())
    detectable = reach + float(t.ppf(POWER, freedom) * error)
    return Estimate(mean, (max(mean - reach, lowest), min(mean + reach, 1.0)), tuple(per_seed.tolist()), detectable)


def verdict(difference: Estimate) -> str:
    """"helps", "hurts" or "cannot tell": whether the interval of the difference lies on one side of zero."""
    low, high = difference.interval
    return "helps" if low > 0 else "hurts" if high < 0 else "cannot tell"
