"""Paired comparison of two arms over subsets, generators, synthetic draws, seeds and patients.

Several things make a measured difference uncertain: which patients are tested, and the luck of the
training images, of a generator, of a draw of its images and of a training. `crossed_variance` takes
them apart; the interval is that of Student's t with the degrees of freedom of that variance, for a
share in Wilson's (1927) form. Several contrasts share one error rate by Holm's (1979) method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import binomtest

from pipelines.metrics.crossed_variance import Variance, analyse, combine
from runtime.estimate import Estimate

CONFIDENCE = 0.95
POWER = 0.8
FEW_PATIENTS = 20  # of a class in the test split; with fewer an interval is not to be trusted
MANY_GENERATORS = 3  # of so many or more a verdict is about the method


@dataclass(frozen=True)
class Replicate:
    """Which throws of the dice made one classifier; None for a level that its arm does not have.

    Attributes:
        subset: Of the training images, where only a fraction is used.
        generator: Within the subset.
        draw: Of synthetic images, within the generator.
        seed: Of the classifier; it crosses the others.
    """

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

    subsets: float | None
    generators: float | None
    draws: float | None
    seeds: float | None

    def measured(self) -> dict[str, float]:
        """Return the levels that have several members, by name."""
        levels = {
            "subsets": self.subsets,
            "generators": self.generators,
            "draws": self.draws,
            "seeds": self.seeds,
        }
        return {name: deviation for name, deviation in levels.items() if deviation is not None}


def estimate_share(
    values: np.ndarray,
    patients: Sequence[str],
    replicates: Sequence[Replicate],
    *,
    n: int,
    folds: np.ndarray | None = None,
) -> ReplicatedEstimate:
    """Estimate a measure between 0 and 1: the mean over replicates and images of pseudo-values.

    The interval is Wilson's (1927) with Student's t, for as many independent answers as would have
    the variance that was found (Korn & Graubard 1998, Survey Methodology 24:193).

    Args:
        values: Pseudo-values of each test image in each replicate (`measures`), (R, N).
        patients: Whose image it is, (N,).
        replicates: Every seed in every subset, generator and draw, (R,).
        n: How many images the measure is about.
        folds: In which fold each image was tested, (N,); None where there are none.
    """
    mean = _estimate_mean(values, patients, replicates, n, folds)
    low, high = mean.wilson_interval()
    return ReplicatedEstimate(mean.value, low, high, n, mean.per_replicate, mean.detectable)


def estimate_difference(
    values: np.ndarray,
    patients: Sequence[str],
    replicates: Sequence[Replicate],
    *,
    n: int,
    folds: np.ndarray | None = None,
) -> DifferenceEstimate:
    """Estimate a difference of measures from paired differences of pseudo-values, (R, N).

    The other arguments are those of `estimate_share`.
    """
    mean = _estimate_mean(values, patients, replicates, n, folds)
    return DifferenceEstimate(
        mean.value,
        max(mean.value - mean.reach, -1.0),
        min(mean.value + mean.reach, 1.0),
        n,
        mean.per_replicate,
        mean.detectable,
        mean.p,
    )


@dataclass(frozen=True)
class _Mean:
    """A mean with its variance.

    Attributes:
        counted_patients: Of the images that the measure is about.
    """

    value: float
    variance: Variance
    per_replicate: tuple[float, ...]
    counted_patients: float

    @property
    def reach(self) -> float:
        """Half the length of the confidence interval."""
        return interval_reach(self.variance)

    @property
    def detectable(self) -> float:
        return smallest_found(self.variance, 1 - CONFIDENCE)

    @property
    def p(self) -> float:
        error = math.sqrt(self.variance.value)
        return 2 * float(stdtr(self.variance.freedom, -abs(self.value) / error))

    def wilson_interval(self) -> tuple[float, float]:
        """Return the interval of a share; it never ends at the value, be that 0 or 1."""
        patients = self.counted_patients
        share = min(max(self.value, 0.0), 1.0)
        smoothed = (share * patients + 1) / (patients + 2)
        independent = smoothed * (1 - smoothed) / self.variance.value
        square = _quantile((1 + CONFIDENCE) / 2, self.variance) ** 2 / independent
        middle = (share + square / 2) / (1 + square)
        reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
        return max(middle - reach, 0.0), min(middle + reach, 1.0)


def interval_reach(variance: Variance) -> float:
    """Return half the length of the confidence interval of a mean of this variance."""
    return _quantile((1 + CONFIDENCE) / 2, variance) * math.sqrt(variance.value)


def _quantile(probability: float, variance: Variance) -> float:
    return float(stdtrit(variance.freedom, probability))


def smallest_found(variance: Variance, error_rate: float) -> float:
    """Return the true difference whose verdict is right in 80 % of studies of this variance."""
    quantiles = _quantile(1 - error_rate / 2, variance) + _quantile(POWER, variance)
    return quantiles * math.sqrt(variance.value)


def _estimate_mean(
    values: np.ndarray,
    patients: Sequence[str],
    replicates: Sequence[Replicate],
    n: int,
    folds: np.ndarray | None,
) -> _Mean:
    """Average over replicates and images, with the variance of all levels and patients."""
    num_images = values.shape[1]
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    fold = None if folds is None else np.unique(folds, return_inverse=True)[1]
    counted_patients = len(names) * n / num_images
    parts = analyse(arrange_cells(values, replicates), patient, fold, 1 / counted_patients)
    return _Mean(
        value=float(values.mean()),
        variance=combine(parts),
        per_replicate=tuple(values.mean(axis=1).tolist()),
        counted_patients=counted_patients,
    )


def arrange_cells(values: np.ndarray, replicates: Sequence[Replicate]) -> np.ndarray:
    """Average (R, N) within each row and seed, (rows, seeds, N).

    Rows are the members of the topmost level of which there are several.
    """
    rows = rows_of(replicates)
    seeds = [replicate.seed for replicate in replicates]
    cells = [
        [
            [place for place, cell in enumerate(zip(rows, seeds, strict=True)) if cell == (r, s)]
            for s in sorted(set(seeds))
        ]
        for r in sorted(set(rows))
    ]
    sizes = {len(places) for row in cells for places in row}
    if len(sizes) > 1:
        raise ValueError(
            f"{len(replicates)} replicates of {len(cells)} generators, draws or subsets and "
            f"{len(cells[0])} seeds: expected as many of each seed in each"
        )
    return np.stack([np.stack([values[places].mean(axis=0) for places in row]) for row in cells])


def rows_of(replicates: Sequence[Replicate]) -> list[int]:
    """Return the member of the topmost level with several that each replicate is of, or zeros."""
    for level in ("subset", "generator", "draw"):
        members = [getattr(replicate, level) for replicate in replicates]
        if len(set(members)) > 1:
            return members
    return [0] * len(replicates)


def speaks_of(replicates: Sequence[Replicate], folds: int = 1) -> str:
    """Say whether a verdict is about the "method" or about these synthetic "images" alone.

    It is about the method where the luck of generators is in the interval with two degrees of
    freedom or more: from three generators, subsets or folds on, or two generators in each of two
    folds. With fewer, false verdicts are too many where generators differ (docs/method.md). An arm
    without generators speaks of its method.
    """
    if all(replicate.generator is None for replicate in replicates):
        return "method"
    subsets = {replicate.subset for replicate in replicates}
    members = subsets if len(subsets) > 1 else {replicate.generator for replicate in replicates}
    freedom = max(folds * (len(members) - 1), folds - 1)
    return "method" if freedom >= MANY_GENERATORS - 1 else "images"


def estimate_spread(
    values: Sequence[float] | np.ndarray, replicates: Sequence[Replicate]
) -> Spread:
    """Estimate how far apart the members of each level lie within one of the level above.

    By nested analysis of variance; an estimate below zero counts as zero.

    Args:
        values: Of each replicate, (R,), or of each in each fold, (R, K), whose variances are
            averaged.
        replicates: (R,).
    """
    groups: dict[tuple[int | None, ...], np.ndarray] = {
        (replicate.subset, replicate.generator, replicate.draw, place): np.atleast_1d(value)
        for place, (value, replicate) in enumerate(zip(values, replicates, strict=True))
    }
    deviations: list[float | None] = []
    luck = 0.0  # of the level below, in the mean of a member
    for depth in (3, 2, 1, 0):
        members: dict[tuple[int | None, ...], list[np.ndarray]] = {}
        for name, mean in groups.items():
            members.setdefault(name[:depth], []).append(mean)
        each = len(groups) / len(members)
        if each > 1:
            variances = [np.var(several, axis=0, ddof=1).mean() for several in members.values()]
            variance = float(np.mean(variances))
            deviations.append(math.sqrt(max(variance - luck, 0.0)))
            luck = variance / each
        else:
            deviations.append(None)
        groups = {name: np.mean(several, axis=0) for name, several in members.items()}
    seeds, draws, generators, subsets = deviations
    return Spread(subsets, generators, draws, seeds)


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
