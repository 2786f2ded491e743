"""95 % intervals of scores.

Those of distances, neighbours and diversity come from half-samples (Efron 1982, chapter 8; Shao &
Wu 1989, the delete-d jackknife with d = n/2): the score is taken anew of random halves of both
sides, drawn without replacement and, of reals, whole patients at a time; for a mean the variance
between halves of n images is that of the mean of all n. The usual bootstrap, with replacement,
would be dishonest here: an image drawn twice is its own nearest neighbour at distance 0, counts as
a pair in the kernel distance, and takes from the rank of a covariance, so that resampled Fréchet
and kernel distances lie above the value they should surround. Halves have a bias too, that of
fewer images, so only their spread is used, around the value itself: value ± 1.96 standard
deviations.

A share has at least Wilson's (1927) interval, for halves do not vary where it is 0 or 1; a share
of independent images has the exact one of Clopper & Pearson (1934).

The accuracies of classifiers are means over test images, and have the bootstrap over patients that
the classifiers' own metrics have: it says how sure one is of this classifier, not how another draw
of training images would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
from scipy.stats import binomtest

from classifier.bootstrap import RESAMPLES, percentile_interval, resampled_means
from classifier.weighted_measures import roc_auc
from runtime.estimate import Estimate
from runtime.randomness import numpy_generator

CANDIDATE_DRAWS = 10  # of n candidates, where there are more
HALF_SAMPLES = 100
Z = 1.959964  # standard deviations on either side of a 95 % interval

Measure = Callable[[np.ndarray, np.ndarray], Mapping[str, float]]


def estimate_by_half_samples(
    reals: np.ndarray,
    candidates: np.ndarray,
    n: int,
    measure: Measure,
    purpose: str,
) -> dict[str, Estimate]:
    """Score all reals and n of the candidates, with intervals by half-samples.

    Where there are more than n candidates, the value is the mean over several draws of n.

    Args:
        reals, candidates: The patient of each image.
        n: How many candidates are scored at a time.
        measure: Takes the places of reals and of candidates, returns their scores by name.
        purpose: A name that the random draws belong to.
    """
    random = numpy_generator(0, "score", purpose)
    draws = CANDIDATE_DRAWS if len(candidates) > n else 1
    values, variances = [], []
    for _ in range(draws):
        chosen = _draw_images(candidates, n, random)
        values.append(measure(np.arange(len(reals)), chosen))
        halves = [
            measure(
                _draw_images(reals, len(reals) // 2, random),
                chosen[_draw_images(candidates[chosen], n // 2, random)],
            )
            for _ in range(HALF_SAMPLES // draws)
        ]
        variances.append(
            {name: np.var([half[name] for half in halves], ddof=1) for name in halves[0]}
        )
    estimates = {}
    for name in values[0]:
        value = float(np.mean([draw[name] for draw in values]))
        reach = Z * sqrt(np.mean([draw[name] for draw in variances]))
        estimates[name] = Estimate(value, value - reach, value + reach, n)
    return estimates


def widen_to_wilson(estimate: Estimate, count: int) -> Estimate:
    """Make a share's interval at least as wide as Wilson's over `count` images, within 0..1."""
    low, high = _wilson_interval(estimate.value, count)
    return replace(
        estimate, low=max(min(estimate.low, low), 0.0), high=min(max(estimate.high, high), 1.0)
    )


def estimate_accuracy(correct: np.ndarray, patients: np.ndarray) -> Estimate:
    """Take the share of correct answers (N,), each 0 or 1, of images of these patients (N,).

    Its interval is the bootstrap's over patients or Wilson's, whichever is wider.
    """
    return widen_to_wilson(estimate_mean(correct, patients), len(correct))


def estimate_mean(values: np.ndarray, patients: np.ndarray) -> Estimate:
    """Take the mean of a value (N,) of each image of these patients (N,).

    Its interval is the bootstrap's over patients.
    """
    means = resampled_means(values, np.ones(len(values)), patients.tolist())
    return Estimate(float(values.mean()), *percentile_interval(means), len(values))


def estimate_share(count: int, n: int) -> Estimate:
    """Take the share of `count` in n, with the exact interval of Clopper & Pearson."""
    interval = binomtest(count, n).proportion_ci(method="exact")
    return Estimate(count / n, float(interval.low), float(interval.high), n)


def estimate_auc(positives: np.ndarray, scores: np.ndarray, patients: Sequence[str]) -> Estimate:
    """Take the share of pairs in which the positive has the higher score, ties counting half.

    The interval is the bootstrap's over whole patients.

    Args:
        positives: bool (N,), some of each kind.
        scores: (N,).
        patients: (N,).
    """
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    random, count = numpy_generator(0, "bootstrap"), patient.max() + 1
    resampled = [
        np.bincount(random.integers(count, size=count), minlength=count)[patient]
        for _ in range(RESAMPLES)
    ]
    with np.errstate(invalid="ignore"):
        values = roc_auc(positives, scores, np.stack([np.ones(len(patient)), *resampled]))
    return Estimate(float(values[0]), *percentile_interval(values[1:]), len(patient))


def _draw_images(patients: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw the places of `count` images of random patients, all images of each but the last."""
    names, patient = np.unique(patients, return_inverse=True)
    return np.argsort(random.permutation(len(names))[patient], kind="stable")[:count]


def _wilson_interval(share: float, count: int) -> tuple[float, float]:
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    reach = Z / (1 + Z**2 / count) * sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
