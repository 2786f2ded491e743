"""What synthetic images are worth in real patients: how many further ones do as much.

The learning curve of an arm without synthetic images over the fractions is read backwards where the
synthetic images came to (`metrics.learning_curve`): for the arm of the question that of what the
question holds it against, the best that could be had without them as fixed before training, and for
every other arm that of its like.
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

import numpy as np

from classifier.bootstrap import resampled_weights
from pipelines.comparison.arms import ARMS, Arm
from pipelines.comparison.design import Trial
from pipelines.metrics.learning_curve import never_falling, place_on_curve, size_at
from pipelines.results.arm_result import ArmResult
from pipelines.results.comparison_summary import Question
from pipelines.results.data_efficiency import DataEfficiency, FurtherReals
from pipelines.study.fractions import RealFraction
from runtime.randomness import numpy_generator

RESAMPLES = 1000


def estimate_data_efficiency(
    results: Sequence[ArmResult],
    values: Mapping[Trial, np.ndarray],
    patients: Sequence[str],
    question: Question,
    by_name: Mapping[str, Arm] = ARMS,
) -> tuple[DataEfficiency, ...]:
    """Work out what the synthetic images beside reals are worth, at each fraction and ratio.

    Of the arms that mix them with the reals, where there is a learning curve to read, at the
    fractions of all classes alike.
    values: For each classifier what each test image of its fold adds to the measure, such as 1
    where the label is right. patients: (N,), of the test images of all folds one after another.
    """
    measures, with_arm = _ResampledMeasures(values, patients), {own.arm for own in results}
    curves: dict[str, _Learning] = {}
    entries = []
    for name, arm in by_name.items():
        reference = question.reference if name == question.arm else arm.like
        if (
            name not in with_arm
            or not arm.like
            or reference not in with_arm
            or arm.reals != "mixed"
        ):
            continue
        if reference not in curves:
            curves[reference] = _Learning(reference, results, measures)
        for result in results:
            if result.arm == name and not isinstance(result.fraction, str):
                reached = measures.mean(name, result.fraction, result.ratio)
                places = curves[reference].places(reached)
                entries.append(_describe(result, reference, curves[reference], places))
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


class _Learning:
    """The learning curve of an arm without synthetic images over the fractions."""

    def __init__(
        self, arm: str, results: Sequence[ArmResult], measures: _ResampledMeasures
    ) -> None:
        points = sorted(
            (
                result
                for result in results
                if result.arm == arm and not isinstance(result.fraction, str)
            ),
            key=lambda result: result.real_images,
        )
        self.patients = [point.real_patients for point in points]
        self.images = [point.real_images for point in points]
        values = [measures.mean(arm, point.fraction, None) for point in points]
        self._curves = [never_falling(curve) for curve in np.stack(values, axis=1)]  # (1 + R, F)

    def places(self, levels: np.ndarray) -> list[float]:
        """Return where each curve comes to its level, (1 + R,)."""
        return [
            place_on_curve(level, curve) for level, curve in zip(levels, self._curves, strict=True)
        ]

    def further(self, place: float, result: ArmResult) -> FurtherReals:
        """Return how many reals more than those of a result there are at a place."""
        return FurtherReals(
            patients=round(size_at(place, self.patients)) - result.real_patients,
            images=round(size_at(place, self.images)) - result.real_images,
            bound={math.inf: "at least", -math.inf: "at most"}.get(place, ""),
        )


def _describe(
    result: ArmResult, reference: str, curve: _Learning, places: Sequence[float]
) -> DataEfficiency:
    """Sum up the places on the curve (1 + R,), the first of the patients as they are."""
    ordered = sorted(places[1:])
    further = curve.further(places[0], result)
    low = curve.further(ordered[int(0.025 * len(ordered))], result)
    high = curve.further(ordered[math.ceil(0.975 * len(ordered)) - 1], result)
    return DataEfficiency(
        arm=result.arm,
        reference=reference,
        fraction=result.fraction,
        ratio=result.ratio,
        synthetic_images=result.synthetic_images,
        real_patients=result.real_patients,
        real_images=result.real_images,
        further=further,
        low=low,
        high=high,
        sentence=(
            f"Beside {result.real_patients} patients ({result.real_images} real images), "
            f"{result.synthetic_images} synthetic images did what {_as_much(further, result)} "
            f"(95 % interval: {_end(low)} to {_end(high)})."
        ),
    )


def _as_much(further: FurtherReals, result: ArmResult) -> str:
    """Say which reals do as much."""
    patients, bound = abs(further.patients), "at least" if further.bound else "about"
    images = f"{abs(further.images)} {'image' if abs(further.images) == 1 else 'images'}"
    if patients == 0 and further.bound:
        side = "further" if further.bound == "at least" else "fewer"
        return f"{side} patients would have done, how many lies beyond the learning curve"
    if patients == 0:
        return f"these {result.real_patients} patients do without them"
    noun = "patient" if patients == 1 else "patients"
    if further.patients > 0:
        return f"{bound} {patients} further {noun} ({images}) would have done"
    return f"{bound} {patients} {noun} ({images}) fewer would have done"


def _end(further: FurtherReals) -> str:
    """Write an end of the interval of further patients."""
    patients = abs(further.patients)
    if patients == 0:
        beyond = {"": "none", "at least": "more", "at most": "fewer"}[further.bound]
        return f"{beyond} than the curve has" if further.bound else beyond
    number = f"at least {patients}" if further.bound else f"{patients}"
    return number if further.patients > 0 else f"{number} fewer"
