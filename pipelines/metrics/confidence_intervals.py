"""95 % intervals of scores.

Those of distances, neighbours and diversity come from half-samples (Efron 1982, chapter 8; Shao & Wu 1989, the delete-d jackknife with
d = n/2): the score is taken anew of random halves of both sides, drawn without replacement and, of reals, whole patients at a time; for a mean
the variance between halves of n images is that of the mean of all n. The usual bootstrap, with replacement, would be dishonest here: an image
drawn twice is its own nearest neighbour at distance 0, counts as a pair in the kernel distance, and takes from the rank of a covariance, so that
resampled Fréchet and kernel distances lie above the value they should surround. Halves have a bias too, that of fewer images, so only their
spread is used, around the value itself: value ± 1.96 standard deviations. A share has at least Wilson's (1927) interval, for halves do not
vary where it is 0 or 1.

The accuracies of classifiers are means over test images, and have the bootstrap over patients that the classifiers' own metrics have: it says
how sure one is of this classifier, not how another draw of training images would do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from classifier.bootstrap import resampled_means
from runtime.randomness import numpy_generator

DRAWS = 10  # of n candidates, where there are more
HALVES = 100
Z = 1.959964  # standard deviations on either side


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float
    p: float | None = None


def half_sampled(
    reals: np.ndarray,
    candidates: np.ndarray,
    n: int,
    measure: Callable[[np.ndarray, np.ndarray], dict[str, float]],
    what: str,
) -> dict[str, Estimate]:
    """Scores of all reals and n of the candidates, with intervals by half-samples.

    reals, candidates: the patient of each image. measure: scores of the reals and candidates at these places. what: a name for the draws.
    """
    random = numpy_generator(0, "score", what)
    draws = DRAWS if len(candidates) > n else 1
    values, variances = [], []
    for _ in range(draws):
        j = _drawn(candidates, n, random)
        values.append(measure(np.arange(len(reals)), j))
        halves = [
            measure(
                _drawn(reals, len(reals) // 2, random), j[_drawn(candidates[j], n // 2, random)]
            )
            for _ in range(HALVES // draws)
        ]
        variances.append(
            {name: np.var([half[name] for half in halves], ddof=1) for name in halves[0]}
        )
    estimates = {}
    for name in values[0]:
        value, reach = (
            float(np.mean([one[name] for one in values])),
            Z * sqrt(np.mean([one[name] for one in variances])),
        )
        estimates[name] = Estimate(value, value - reach, value + reach)
    return estimates


def at_least_wilson(estimate: Estimate, count: int) -> Estimate:
    """A share with an interval at least as wide as Wilson's over `count` images, and within 0..1."""
    low, high = _wilson(estimate.value, count)
    return replace(
        estimate, low=max(min(estimate.low, low), 0.0), high=min(max(estimate.high, high), 1.0)
    )


def share_of(right: np.ndarray, patients: np.ndarray, p: float | None = None) -> Estimate:
    """The share of right answers (N,), each 0 or 1, with the bootstrap over patients or Wilson's interval, whichever is wider."""
    low, high = np.nanquantile(
        resampled_means(right, np.ones(len(right)), patients.tolist()), (0.025, 0.975)
    ).tolist()
    return at_least_wilson(Estimate(float(right.mean()), low, high, p), len(right))


def _drawn(patients: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The places of `count` images of random patients, with all images of a patient but the last's."""
    names, of = np.unique(patients, return_inverse=True)
    return np.argsort(random.permutation(len(names))[of], kind="stable")[:count]


def _wilson(share: float, count: int) -> tuple[float, float]:
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    reach = Z / (1 + Z**2 / count) * sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
