"""What synthetic images are worth in real ones: how many further reals do as much.

The learning curve of the same arm without synthetic images over the fractions, made never to fall
(isotonic regression), is read backwards, on a logarithmic scale of images, where the synthetic
images came to.
The interval is a bootstrap over test patients, drawn anew for all arms together, and over all
levels of replication: subsets of the reals and classifier seeds for all arms together, generators
within subsets and draws within generators for the arms that have them, each fold by itself but for
the seeds. Of the m members of a level m − 1 are drawn, with which the variance of a mean is right
however few they are (Rao & Wu 1988). Beyond the largest and below the smallest fraction there is no
curve: there the answer is "at least" or "at most".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import isotonic_regression

from classifier.bootstrap import resampled_weights
from pipelines.comparison.arms import ARMS, Arm
from pipelines.comparison.design import Trial
from pipelines.results.arm_result import ArmResult
from pipelines.results.comparison_summary import DataEfficiency
from pipelines.study.fractions import RealFraction, of_all_classes
from runtime.randomness import numpy_generator

RESAMPLES = 1000


def estimate_data_efficiency(
    results: Sequence[ArmResult],
    values: Mapping[Trial, np.ndarray],
    patients: Sequence[str],
    by_name: Mapping[str, Arm] = ARMS,
) -> tuple[DataEfficiency, ...]:
    """Work out what the synthetic images beside reals are worth, at each fraction and ratio.

    Of the arms that mix them with the reals, where their like without them is an arm too, at the
    fractions of all classes alike.
    values: For each classifier what each test image of its fold adds to the measure, such as 1
    where the label is right. patients: (N,), of the test images of all folds one after another.
    """
    sizes = {result.fraction: result.real_images for result in results}
    fractions = of_all_classes(sizes)
    curve_sizes = [sizes[fraction] for fraction in fractions]
    measures, arms = _ResampledMeasures(values, patients), {result.arm for result in results}
    entries = []
    for name, arm in by_name.items():
        if name not in arms or arm.like not in arms or arm.reals != "mixed":
            continue
        curves = np.stack(
            [measures.mean(arm.like, fraction, None) for fraction in fractions], axis=1
        )  # (1 + R, F)
        for result in results:
            if result.arm == name and result.fraction in fractions:
                reached = measures.mean(name, result.fraction, result.ratio)
                equal = [
                    images_for(level, curve_sizes, curve)
                    for level, curve in zip(reached, curves, strict=True)
                ]
                ends = curve_sizes[0], curve_sizes[-1]
                entries.append(_describe(result, np.array(equal), ends, by_name[name].classical))
    return tuple(entries)


class _ResampledMeasures:
    """Measures of conditions, as they are (first) and with everything drawn anew."""

    def __init__(self, values: Mapping[Trial, np.ndarray], patients: Sequence[str]) -> None:
        weights = np.concatenate(
            [np.ones((1, len(patients))), resampled_weights(patients, RESAMPLES)]
        )  # (1 + R, N)
        self._images = weights.sum(axis=1)  # (1 + R,)
        self._sums: dict[Trial, np.ndarray] = {}  # weighted, over a fold's images, (1 + R,)
        images_of_fold = {trial.fold: len(of_images) for trial, of_images in values.items()}
        first = 0
        for fold in sorted(images_of_fold, key=lambda fold: fold or 0):
            own = weights[:, first : first + images_of_fold[fold]]
            first += images_of_fold[fold]
            self._sums |= {
                trial: own @ of_images for trial, of_images in values.items() if trial.fold == fold
            }
        self._levels = _ResampledLevels(list(values))

    def mean(self, arm: str, fraction: RealFraction, ratio: float | None) -> np.ndarray:
        """Average over the classifiers of a condition, of each fold as they are drawn, (1 + R,)."""
        folds: dict[int | None, list[Trial]] = {}
        for trial in self._sums:
            if (trial.arm, trial.fraction, trial.ratio) == (arm, fraction, ratio):
                folds.setdefault(trial.fold, []).append(trial)
        total = np.zeros(1 + RESAMPLES)
        for trials in folds.values():
            times = np.stack([self._levels.times(trial) for trial in trials])
            sums = np.stack([self._sums[trial] for trial in trials])
            total += (times * sums).sum(axis=0) / times.sum(axis=0)
        return total / self._images


class _ResampledLevels:
    """How many times each member of each level of replication is drawn."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        members: dict[tuple[object, ...], set[int]] = {}  # of each level that there is
        for trial in trials:
            for level, member in self._places(trial):
                members.setdefault(level, set()).add(member)
        self._times: dict[tuple[object, ...], np.ndarray] = {}
        for level, names in members.items():
            drawn = _draw_members(len(names), level)
            self._times |= {
                (*level, name): times for name, times in zip(sorted(names), drawn, strict=True)
            }

    def times(self, trial: Trial) -> np.ndarray:
        """Return how many times a classifier is drawn, (1 + R,)."""
        return np.prod(
            [self._times[*level, member] for level, member in self._places(trial)], axis=0
        )

    def _places(self, trial: Trial) -> list[tuple[tuple[object, ...], int]]:
        """Return the levels that a classifier is a member of, and which."""
        replicate, fold = trial.replicate, trial.fold
        own = (fold, trial.fraction, replicate.subset)  # the reals of its generator
        nested: list[tuple[tuple[object, ...], int | None]] = [
            (("seed",), replicate.seed),
            (("subset", fold), replicate.subset),
            (("generator", *own), replicate.generator),
            (("draw", *own, replicate.generator), replicate.draw),
        ]
        return [(level, member) for level, member in nested if member is not None]


def _draw_members(count: int, level: tuple[object, ...]) -> np.ndarray:
    """Say how many times each of `count` members is drawn, (count, 1 + R); once in the first."""
    drawn = numpy_generator(0, "worth", *map(str, level)).integers(
        count, size=(RESAMPLES, max(count - 1, 1))
    )
    times = np.stack([(drawn == place).sum(axis=1) for place in range(count)])
    return np.concatenate([np.ones((count, 1)), times], axis=1)


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


def _describe(
    result: ArmResult, equal: np.ndarray, ends: tuple[int, int], classical: bool
) -> DataEfficiency:
    """Sum up the equal numbers of reals (1 + R,), the first of the patients as they are."""
    curve = _Range(result.real_images, *ends)
    ordered = np.sort(equal[1:])
    low = float(ordered[int(0.025 * len(ordered))])
    high = float(ordered[math.ceil(0.975 * len(ordered)) - 1])
    value = float(equal[0])
    augmented = ", classically augmented," if classical else ""
    return DataEfficiency(
        arm=result.arm,
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
            f"Beside {result.real_images} real images{augmented or ','} "
            f"{result.synthetic_images} synthetic ones did what {curve.text(value)} real ones "
            f"would have done (95 % interval {curve.text(low)} to {curve.text(high)})."
        ),
    )
