"""Paired comparison of an arm with the reals, over generators, synthetic draws, classifier seeds and patients.

Several things make a measured difference uncertain: which patients the test split holds, and the luck of one generator, one draw of its
images and one training. The first is a bootstrap over patients of the difference averaged over all replicates. The others are a two-way
random-effects analysis of variance of the replicates: rows are generators (or draws, where there is one generator), columns classifier seeds,
which all rows share. With mean squares MS of rows, columns and the rest over n replicates, the variance of the mean is
(MS_rows + MS_columns − MS_rest) / n (Scheffé 1959, ch. 7), here never taken to be less than its largest part. All variances add, with the degrees of
freedom of Satterthwaite (1946) and Welch (1947). Several arms share one error rate by Holm's (1979) method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm, t

from classifier.metrics import resampled_means

CONFIDENCE = 0.95
POWER = 0.8
FEW_PATIENTS = (
    20  # of a class in the test split, below which a bootstrap over them is not to be trusted
)


@dataclass(frozen=True)
class Replicate:
    """Which throws of the dice made one classifier; None for a level that its arm does not have."""

    generator: int | None
    draw: int | None
    seed: int


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval and the value of each replicate; all are shares, or differences of shares."""

    mean: float
    interval: tuple[float, float]
    per_replicate: tuple[float, ...]
    detectable: float  # smallest true difference from zero found in 80 % of such studies
    p: float | None  # two-sided, of a mean of zero; None for a share


@dataclass(frozen=True)
class Discordance:
    """How many test images only one of two predictions gets right, with McNemar's exact p-value."""

    only_arm: int
    only_real: int
    p: float


def estimate(
    values: np.ndarray,
    counted: np.ndarray,
    patients: Sequence[str],
    replicates: Sequence[Replicate],
    lowest: float,
) -> Estimate:
    """The mean over replicates and images of `values`, and how sure it is.

    values (R, N): of each test image in each replicate, such as correct (0 or 1) or a paired difference of it.
    counted (N,): which images count, such as those of one class. patients (N,): whose image it is. replicates (R,).
    lowest: the least possible value, 0 for a share and −1 for a difference of shares; 1 is the greatest.
    """
    of_replicates = values[:, counted].mean(axis=1)
    drawn = resampled_means(
        np.where(counted, values.mean(axis=0), 0.0), counted.astype(float), patients
    )
    tied = len(set(np.asarray(patients)[counted]))
    parts = [
        (float(np.nanvar(drawn, ddof=1)), max(tied - 1, 1)),
        *_variances(of_replicates, replicates),
    ]
    variance = sum(part for part, _ in parts)
    mean = float(of_replicates.mean())
    if variance <= 0:
        return Estimate(
            mean,
            (mean, mean),
            tuple(of_replicates.tolist()),
            0.0,
            float(mean == 0) if lowest < 0 else None,
        )
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    error = float(np.sqrt(variance))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    detectable = reach + float(t.ppf(POWER, freedom)) * error
    p = 2 * float(t.sf(abs(mean) / error, freedom)) if lowest < 0 else None
    return Estimate(
        mean,
        (max(mean - reach, lowest), min(mean + reach, 1.0)),
        tuple(of_replicates.tolist()),
        detectable,
        p,
    )


def _variances(values: np.ndarray, replicates: Sequence[Replicate]) -> list[tuple[float, int]]:
    """Variance of the mean of the replicates' values (R,) and its degrees of freedom, in one or two parts."""
    rows = _rows(replicates)
    seeds = sorted({one.seed for one in replicates})
    by_seed = np.array([values[[one.seed == seed for one in replicates]].mean() for seed in seeds])
    of_seeds = by_seed.var(ddof=1) / len(seeds) if len(seeds) > 1 else 0.0
    if rows is None:
        return [(float(of_seeds), max(len(seeds) - 1, 1))]
    names = sorted(set(rows))
    by_row = np.array([values[[row == name for row in rows]].mean() for name in names])
    of_rows = by_row.var(ddof=1) / len(names)
    if len(seeds) == 1:
        return [(float(of_rows), len(names) - 1)]
    rest = _rest(values, rows, replicates, by_row, by_seed)
    larger = max(of_rows, of_seeds)
    shared = (
        max(of_rows + of_seeds - rest / len(values), larger) / (of_rows + of_seeds)
        if larger > 0
        else 1.0
    )
    return [(float(of_rows * shared), len(names) - 1), (float(of_seeds * shared), len(seeds) - 1)]


def _rows(replicates: Sequence[Replicate]) -> list[int] | None:
    """The row of each replicate: its generator, or of a single generator its draw; None where there is one of both."""
    for level in ("generator", "draw"):
        found = [getattr(one, level) for one in replicates]
        if len(set(found)) > 1:
            return found
    return None


def _rest(
    values: np.ndarray,
    rows: Sequence[int],
    replicates: Sequence[Replicate],
    by_row: np.ndarray,
    by_seed: np.ndarray,
) -> float:
    """Mean square of what rows and seeds do not explain."""
    names, seeds = sorted(set(rows)), sorted({one.seed for one in replicates})
    row, seed = (
        np.array([names.index(one) for one in rows]),
        np.array([seeds.index(one.seed) for one in replicates]),
    )
    left = values - by_row[row] - by_seed[seed] + values.mean()
    freedom = len(values) - len(names) - len(seeds) + 1
    return float((left**2).sum() / freedom) if freedom > 0 else 0.0


def spread(values: Sequence[float], replicates: Sequence[Replicate]) -> dict[str, float | None]:
    """Standard deviation due to generators, draws within a generator, and classifier seeds within a draw, by nested analysis of variance.

    None for a level with one member; an estimate below zero counts as zero.
    """
    values = np.asarray(values, float)
    sets: dict[tuple, np.ndarray] = {
        key: values[[(one.generator, one.draw) == key for one in replicates]]
        for key in {(one.generator, one.draw) for one in replicates}
    }
    per_set = len(values) / len(sets)
    generators = {key[0] for key in sets}
    means = {key: found.mean() for key, found in sets.items()}
    of_generator = {
        name: np.array([mean for key, mean in means.items() if key[0] == name])
        for name in generators
    }
    draws = len(sets) / len(generators)
    seeds = float(np.mean([found.var(ddof=1) for found in sets.values()])) if per_set > 1 else None
    within = (
        float(np.mean([found.var(ddof=1) for found in of_generator.values()]))
        if draws > 1
        else None
    )  # of the means of draws
    between = (
        float(np.var([found.mean() for found in of_generator.values()], ddof=1))
        if len(generators) > 1
        else None
    )
    of_draws = None if within is None else within - (seeds or 0.0) / per_set
    of_generators = (
        None
        if between is None
        else between - (within / draws if within is not None else (seeds or 0.0) / per_set)
    )
    found = {"generators": of_generators, "draws": of_draws, "seeds": seeds}
    return {
        name: None if variance is None else float(np.sqrt(max(variance, 0.0)))
        for name, variance in found.items()
    }


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, in the same order (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(
        [(len(p) - place) * p[index] for place, index in enumerate(order)]
    )
    found = np.empty(len(p))
    found[order] = np.minimum(adjusted, 1.0)
    return found.tolist()


def mcnemar(arm: np.ndarray, real: np.ndarray) -> Discordance:
    """The exact test of two predictions on the same images (McNemar 1947); arm, real: bool (N,), right or wrong. Takes images for independent."""
    only_arm, only_real = int((arm & ~real).sum()), int((real & ~arm).sum())
    return Discordance(
        only_arm,
        only_real,
        float(binomtest(only_arm, only_arm + only_real).pvalue) if only_arm + only_real else 1.0,
    )


def verdict(difference: float, p: float) -> str:
    """ "helps", "hurts" or "cannot tell", from a difference and its p-value after Holm's adjustment."""
    if p > 1 - CONFIDENCE:
        return "cannot tell"
    return "helps" if difference > 0 else "hurts"


def detectable(
    discordant: float, patients: int, seeds: int, arms: int = 1, spread_of_seeds: float = 0.01
) -> float:
    """The difference found in 80 % of studies, foretold before any training.

    discordant: share of test images that only one of the two arms gets right. patients: in the test split, each counted as one image,
    as if all of a patient's images went the same way. arms: how many are compared with the reals (Bonferroni, which Holm never exceeds).
    spread_of_seeds: standard deviation of a classifier's accuracy from seed to seed.
    """
    error = np.sqrt(discordant / patients + 2 * spread_of_seeds**2 / seeds)
    return float((norm.ppf(1 - (1 - CONFIDENCE) / 2 / arms) + norm.ppf(POWER)) * error)
