"""What synthetic images are worth in real ones: the further reals of the same accuracy.

The learning curve of `real` over the fractions, made never to fall (isotonic regression), is read
backwards, on a logarithmic scale of images, at the accuracy that was reached with synthetic images.
The interval is a bootstrap over test patients and over replicates, both drawn anew for all arms
together. Beyond the largest and below the smallest fraction there is no curve: there the answer is
"at least" or "at most".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import isotonic_regression

from classifier.bootstrap import resampled_weights
from pipelines.comparison.design import Trial
from pipelines.results.arm_result import ArmResult
from pipelines.results.comparison_summary import DataEfficiency
from runtime.randomness import numpy_generator

RESAMPLES = 1000


def estimate_data_efficiency(
    results: Sequence[ArmResult], is_right: Mapping[Trial, np.ndarray], patients: Sequence[str]
) -> tuple[DataEfficiency, ...]:
    """Work out what the synthetic images of real+gan are worth, at each fraction and ratio.

    is_right: For each classifier, 1 where the label is right, (N,). patients: (N,).
    """
    sizes = {result.fraction: result.real_images for result in results if result.arm == "real"}
    fractions = sorted(sizes)
    curve_sizes = [sizes[fraction] for fraction in fractions]
    accuracies = _ResampledAccuracies(is_right, patients)
    curves = np.stack(
        [accuracies.mean("real", fraction, None) for fraction in fractions], axis=1
    )  # (1 + R, F)
    entries = []
    for result in results:
        if result.arm == "real+gan":
            reached = accuracies.mean(result.arm, result.fraction, result.ratio)
            equal = [
                images_for(level, curve_sizes, curve)
                for level, curve in zip(reached, curves, strict=True)
            ]
            entries.append(_describe(result, np.array(equal), curve_sizes[0], curve_sizes[-1]))
    return tuple(entries)


class _ResampledAccuracies:
    """Accuracies of all classifiers, as they are (first) and for resampled patients and seeds."""

    def __init__(self, is_right: Mapping[Trial, np.ndarray], patients: Sequence[str]) -> None:
        weights = np.concatenate(
            [np.ones((1, len(patients))), resampled_weights(patients, RESAMPLES)]
        )  # (1 + R, N)
        self._accuracy = {
            trial: weights @ values / weights.sum(axis=1) for trial, values in is_right.items()
        }  # (1 + R,)
        self._seeds = sorted({trial.replicate.seed for trial in is_right})
        count = len(self._seeds)
        drawn = numpy_generator(0, "worth").integers(count, size=(RESAMPLES, count))
        times = np.stack([(drawn == place).sum(axis=1) for place in range(count)], axis=1)
        self._times = np.concatenate([np.ones((1, count)), times])  # of each seed, (1 + R, S)

    def mean(self, arm: str, fraction: float, ratio: float | None) -> np.ndarray:
        """Average over the classifiers of a condition, its seeds as they are drawn, (1 + R,)."""
        per_seed = [
            np.mean(
                [
                    values
                    for trial, values in self._accuracy.items()
                    if (trial.arm, trial.fraction, trial.ratio, trial.replicate.seed)
                    == (arm, fraction, ratio, seed)
                ],
                axis=0,
            )
            for seed in self._seeds
        ]
        weighted = self._times * np.stack(per_seed, axis=1)
        return weighted.sum(axis=1) / self._times.sum(axis=1)


def images_for(level: float, sizes: Sequence[int], accuracies: Sequence[float]) -> float:
    """Return the real images that give an accuracy `level`; the fewest where several do.

    sizes, accuracies: The learning curve, (F,), sizes in ascending order. −inf where even the
    fewest give more, inf where not even the most give so much.
    """
    rising = isotonic_regression(accuracies)
    if level < rising[0]:
        return -math.inf
    if level > rising[-1]:
        return math.inf
    after = int(np.searchsorted(rising, level))
    if after == 0:
        return float(sizes[0])
    before = after - 1
    share = (level - rising[before]) / (rising[after] - rising[before])
    log_before, log_after = np.log(sizes[before]), np.log(sizes[after])
    return float(np.exp(log_before + share * (log_after - log_before)))


@dataclass(frozen=True)
class _Range:
    """The sizes that the learning curve covers, and that of the reals beside the synthetic."""

    own: int
    fewest: int
    most: int

    def extra(self, images: float) -> int:
        """Return how many reals that are more than there are, within the curve."""
        return round(float(np.clip(images, self.fewest, self.most))) - self.own

    def text(self, images: float) -> str:
        """Write that, with "at least" or "at most" where the curve ends."""
        bound = {math.inf: "at least ", -math.inf: "at most "}.get(images, "")
        return f"{bound}{self.extra(images):+d}".replace("-", "−")


def _describe(result: ArmResult, equal: np.ndarray, fewest: int, most: int) -> DataEfficiency:
    """Sum up the equal numbers of reals (1 + R,), the first of the patients as they are."""
    curve = _Range(result.real_images, fewest, most)
    ordered = np.sort(equal[1:])
    low = float(ordered[int(0.025 * len(ordered))])
    high = float(ordered[math.ceil(0.975 * len(ordered)) - 1])
    value = float(equal[0])
    return DataEfficiency(
        fraction=result.fraction,
        ratio=result.ratio,
        synthetic_images=result.synthetic_images,
        real_images=result.real_images,
        extra=curve.extra(value),
        low=curve.extra(low),
        high=curve.extra(high),
        lower_open=math.isinf(low),
        upper_open=math.isinf(high),
        sentence=(
            f"Beside {result.real_images} real images, {result.synthetic_images} synthetic ones "
            f"did what {curve.text(value)} real ones would have done "
            f"(95 % interval {curve.text(low)} to {curve.text(high)})."
        ),
    )
