"""Paired comparison of an arm with `real`, over generators, synthetic draws, seeds and patients.

Several things make a measured difference uncertain: which patients the test split holds, and the
luck of one generator, one draw of its images and one training. The first is a bootstrap over
patients of the difference averaged over all replicates. The others are a two-way random-effects
analysis of variance of the replicates: rows are generators (or draws, where there is one
generator), columns classifier seeds, which all rows share. With mean squares MS of rows, columns
and the rest over n replicates, the variance of the mean is
(MS_rows + MS_columns − MS_rest) / n (Scheffé 1959, ch. 7), here never taken to be less than its
largest part. All variances add, with the degrees of freedom of Satterthwaite (1946) and Welch
(1947). Several arms share one error rate by Holm's (1979) method.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm, t

from classifier.bootstrap import resampled_means
from runtime.estimate import Estimate

CONFIDENCE = 0.95
POWER = 0.8
FEW_PATIENTS = 20  # of a class in the test split; with fewer a bootstrap is not to be trusted


@dataclass(frozen=True)
class Replicate:
    """Which throws of the dice made one classifier; None for a level that its arm does not have."""

    subset: int | None
    generator: int | None
    draw: int | None
    seed: int


@dataclass(frozen=True)
class ReplicatedEstimate(Estimate):
    """A mean over replicates with its 95 % interval: a share, or a difference of shares.

    Attributes:
        per_replicate: The value of each replicate.
        detectable: The smallest true difference from zero found in 80 % of such studies.
    """

    per_replicate: tuple[float, ...]
    detectable: float


@dataclass(frozen=True)
class DifferenceEstimate(ReplicatedEstimate):
    """A mean difference over replicates, and its two-sided p-value.

    Attributes:
        p: The probability of a mean so far from zero, or farther, were the true one zero.
    """

    p: float


@dataclass(frozen=True)
class Discordance:
    """How many test images only one of two predictions gets right, and McNemar's exact p-value."""

    only_arm: int
    only_real: int
    p: float


@dataclass(frozen=True)
class Spread:
    """Standard deviations due to each level of replication; None for a level with one member."""

    generators: float | None
    draws: float | None
    seeds: float | None

    def measured(self) -> dict[str, float]:
        """Return the levels that have several members, by name."""
        levels = {"generators": self.generators, "draws": self.draws, "seeds": self.seeds}
        return {name: deviation for name, deviation in levels.items() if deviation is not None}


def estimate_share(
    values: np.ndarray,
    counted: np.ndarray,
    patients: Sequence[str],
    replicates: Sequence[Replicate],
) -> ReplicatedEstimate:
    """Estimate a share: the mean over replicates and images of `values` in 0..1.

    values: Of each test image in each replicate, such as right (1) or wrong (0), (R, N).
    counted: Which images count, such as those of one class, bool (N,).
    patients: Whose image it is, (N,). replicates: (R,).
    """
    mean = _estimate_mean(values, counted, patients, replicates)
    return ReplicatedEstimate(
        mean.value, *mean.interval(0.0, 1.0), mean.n, mean.per_replicate, mean.detectable
    )


def estimate_difference(
    values: np.ndarray,
    counted: np.ndarray,
    patients: Sequence[str],
    replicates: Sequence[Replicate],
) -> DifferenceEstimate:
    """Estimate a difference of shares from paired differences `values` (R, N) in −1..1.

    The arguments are those of `estimate_share`.
    """
    mean = _estimate_mean(values, counted, patients, replicates)
    return DifferenceEstimate(
        mean.value, *mean.interval(-1.0, 1.0), mean.n, mean.per_replicate, mean.detectable, mean.p
    )


@dataclass(frozen=True)
class _Mean:
    """A mean with its standard error and the degrees of freedom of that."""

    value: float
    error: float
    freedom: float
    n: int
    per_replicate: tuple[float, ...]

    @property
    def reach(self) -> float:
        """Half the length of the confidence interval."""
        return float(t.ppf((1 + CONFIDENCE) / 2, self.freedom)) * self.error

    @property
    def detectable(self) -> float:
        return self.reach + float(t.ppf(POWER, self.freedom)) * self.error

    @property
    def p(self) -> float:
        if self.error == 0:
            return float(self.value == 0)
        return 2 * float(t.sf(abs(self.value) / self.error, self.freedom))

    def interval(self, lowest: float, highest: float) -> tuple[float, float]:
        """Return the confidence interval, cut to what is possible."""
        return max(self.value - self.reach, lowest), min(self.value + self.reach, highest)


def _estimate_mean(
    values: np.ndarray,
    counted: np.ndarray,
    patients: Sequence[str],
    replicates: Sequence[Replicate],
) -> _Mean:
    """Average over replicates and counted images, with the variances of patients and replicates.

    They add by Satterthwaite's and Welch's rule: freedom = (Σ v)² / Σ (v² / degrees).
    """
    per_replicate = values[:, counted].mean(axis=1)  # (R,)
    resampled = resampled_means(
        np.where(counted, values.mean(axis=0), 0.0), counted.astype(float), patients
    )
    num_patients = len(set(np.asarray(patients)[counted]))
    parts = [
        (float(np.nanvar(resampled, ddof=1)), max(num_patients - 1, 1)),
        *_replicate_variances(per_replicate, replicates),
    ]
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        error, freedom = 0.0, math.inf
    else:
        error = float(np.sqrt(variance))
        freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    return _Mean(
        value=float(per_replicate.mean()),
        error=error,
        freedom=freedom,
        n=int(counted.sum()),
        per_replicate=tuple(per_replicate.tolist()),
    )


def _replicate_variances(
    values: np.ndarray, replicates: Sequence[Replicate]
) -> list[tuple[float, int]]:
    """Work out the variance of the mean of `values` (R,) and its degrees of freedom.

    In one part, of seeds, or in two, of generators or draws and of seeds.
    """
    rows = _row_of_replicates(replicates)
    seeds = sorted({replicate.seed for replicate in replicates})
    seed_means = np.array(
        [values[[replicate.seed == seed for replicate in replicates]].mean() for seed in seeds]
    )
    seed_variance = seed_means.var(ddof=1) / len(seeds) if len(seeds) > 1 else 0.0
    if rows is None:
        return [(float(seed_variance), max(len(seeds) - 1, 1))]
    names = sorted(set(rows))
    row_means = np.array([values[[row == name for row in rows]].mean() for name in names])
    row_variance = row_means.var(ddof=1) / len(names)
    if len(seeds) == 1:
        return [(float(row_variance), len(names) - 1)]
    row_index = np.array([names.index(row) for row in rows])
    seed_index = np.array([seeds.index(replicate.seed) for replicate in replicates])
    residuals = values - row_means[row_index] - seed_means[seed_index] + values.mean()
    residual_freedom = len(values) - len(names) - len(seeds) + 1
    residual = float((residuals**2).sum() / residual_freedom) if residual_freedom > 0 else 0.0
    larger = max(row_variance, seed_variance)
    total = max(row_variance + seed_variance - residual / len(values), larger)
    scale = total / (row_variance + seed_variance) if larger > 0 else 1.0
    return [
        (float(row_variance * scale), len(names) - 1),
        (float(seed_variance * scale), len(seeds) - 1),
    ]


def _row_of_replicates(replicates: Sequence[Replicate]) -> list[int] | None:
    """Return the generator of each replicate, or of a single generator the draw.

    None where there is one of both, or none.
    """
    generators = [replicate.generator for replicate in replicates]
    draws = [replicate.draw for replicate in replicates]
    for level in (generators, draws):
        if len(set(level)) > 1:
            return [member for member in level if member is not None]
    return None


def estimate_spread(values: Sequence[float], replicates: Sequence[Replicate]) -> Spread:
    """Estimate how far apart generators, draws within one, and seeds within a draw lie.

    By nested analysis of variance; an estimate below zero counts as zero.
    """
    set_values: dict[tuple[int | None, int | None], list[float]] = {}
    for value, replicate in zip(values, replicates, strict=True):
        set_values.setdefault((replicate.generator, replicate.draw), []).append(value)
    set_means: dict[int | None, list[float]] = {}
    for (generator, _), members in set_values.items():
        set_means.setdefault(generator, []).append(float(np.mean(members)))
    seeds_per_set = len(values) / len(set_values)
    draws_per_generator = len(set_values) / len(set_means)
    of_seeds = _mean_variance(set_values.values()) if seeds_per_set > 1 else None
    seed_luck = (of_seeds or 0.0) / seeds_per_set  # in the mean of a set
    of_set_means = _mean_variance(set_means.values()) if draws_per_generator > 1 else None
    of_draws = None if of_set_means is None else of_set_means - seed_luck
    of_generators = None
    if len(set_means) > 1:
        lower_luck = seed_luck if of_set_means is None else of_set_means / draws_per_generator
        generator_means = [np.mean(means) for means in set_means.values()]
        of_generators = float(np.var(generator_means, ddof=1)) - lower_luck
    return Spread(_deviation(of_generators), _deviation(of_draws), _deviation(of_seeds))


def _mean_variance(groups: Iterable[Sequence[float]]) -> float:
    """Average the variances within groups."""
    return float(np.mean([np.var(group, ddof=1) for group in groups]))


def _deviation(variance: float | None) -> float | None:
    return None if variance is None else float(np.sqrt(max(variance, 0.0)))


def adjust_holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values for being several, in the same order (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    ascending = np.maximum.accumulate(
        [(len(p) - place) * p[index] for place, index in enumerate(order)]
    )
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(ascending, 1.0)
    return [float(value) for value in adjusted]


def mcnemar_test(arm: np.ndarray, real: np.ndarray) -> Discordance:
    """Test two predictions of the same images exactly (McNemar 1947); takes images for independent.

    arm, real: right or wrong, bool (N,).
    """
    only_arm, only_real = int((arm & ~real).sum()), int((real & ~arm).sum())
    total = only_arm + only_real
    return Discordance(
        only_arm, only_real, p=float(binomtest(only_arm, total).pvalue) if total else 1.0
    )


def judge(difference: float, p: float) -> str:
    """Say "helps", "hurts" or "cannot tell", from a difference and its p by Holm's method."""
    if p > 1 - CONFIDENCE:
        return "cannot tell"
    return "helps" if difference > 0 else "hurts"


def detectable_difference(
    discordant: float,
    patients: int,
    seeds: int,
    arms: int = 1,
    seed_deviation: float = 0.01,
) -> float:
    """Foretell, before any training, the difference that is found in 80 % of studies.

    discordant: Share of test images that only one of the two arms gets right.
    patients: In the test split, each counted as one image, as if all of a patient's images went
        the same way.
    arms: How many are compared with `real` (Bonferroni, which Holm never exceeds).
    seed_deviation: Standard deviation of a classifier's accuracy from seed to seed.
    """
    error = np.sqrt(discordant / patients + 2 * seed_deviation**2 / seeds)
    quantiles = norm.ppf(1 - (1 - CONFIDENCE) / 2 / arms) + norm.ppf(POWER)
    return float(quantiles * error)
