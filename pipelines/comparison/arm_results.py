"""What a comparison's classifiers add up to: a result per arm, fraction and ratio."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pipelines.comparison.arms import Arm
from pipelines.comparison.datasets import Datasets
from pipelines.comparison.design import Design, Trial
from pipelines.metrics.measures import count_images, pseudo_values
from pipelines.metrics.paired_tests import (
    Discordance,
    Replicate,
    adjust_holm,
    estimate_difference,
    estimate_share,
    estimate_spread,
    judge,
    mcnemar_test,
)
from pipelines.results.arm_result import (
    ArmMeasures,
    ArmResult,
    MeanAuc,
    MeasureDifferences,
    PairedDifference,
)
from pipelines.results.comparison_rows import ClassifierRow

Condition = tuple[str, float, float | None]  # of an arm: its name, fraction and ratio


@dataclass(frozen=True)
class Outcome:
    """A finished classifier: its trial, its row in results.csv, its predictions of test images."""

    trial: Trial
    row: ClassifierRow
    predictions: Path

    @cached_property
    def _lines(self) -> list[dict[str, str]]:
        with open(self.predictions, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def is_right(self) -> np.ndarray:
        """Return 1 where the label is right, (N,)."""
        return np.array([line["predicted"] == line["label"] for line in self._lines], float)

    def probabilities(self, classes: Sequence[str]) -> np.ndarray:
        """Return the probability of each class, (N, K)."""
        return np.array(
            [[float(line[f"probability_{name}"]) for name in classes] for line in self._lines]
        )


@dataclass(frozen=True)
class _TestSet:
    """What the measures need to know of the N test images.

    Attributes:
        labels: Indices of classes, (N,).
        patients: Whose image it is, (N,).
        positive: The class that sensitivity is of.
        folds: Which fold each image is of, (N,), or None.
    """

    labels: np.ndarray
    patients: Sequence[str]
    positive: int
    folds: np.ndarray | None

    def measure(
        self, values: Mapping[str, np.ndarray], replicates: Sequence[Replicate]
    ) -> ArmMeasures:
        """Estimate the measures of an arm from their pseudo-values (R, N)."""
        return ArmMeasures(
            **{
                name: estimate_share(
                    of_images, self.patients, replicates, n=self.count(name), folds=self.folds
                )
                for name, of_images in values.items()
            }
        )

    def measure_differences(
        self, values: Mapping[str, np.ndarray], replicates: Sequence[Replicate]
    ) -> MeasureDifferences:
        """Estimate differences of measures from paired differences of pseudo-values (R, N)."""
        return MeasureDifferences(
            **{
                name: estimate_difference(
                    of_images, self.patients, replicates, n=self.count(name), folds=self.folds
                )
                for name, of_images in values.items()
            }
        )

    def count(self, measure: str) -> int:
        return count_images(measure, self.labels, self.positive)


@dataclass(frozen=True)
class _Predictions:
    """The predictions of all R replicates of one condition.

    Attributes:
        values: Pseudo-values of each measure, (R, N).
        pooled_right: Where the class of the largest mean probability is right, bool (N,).
    """

    outcomes: Sequence[Outcome]
    values: Mapping[str, np.ndarray]
    pooled_right: np.ndarray

    @classmethod
    def read(cls, outcomes: Sequence[Outcome], datasets: Datasets, positive: str) -> _Predictions:
        """Read the predictions of one condition's classifiers."""
        labels, positive_index = datasets.test.labels, datasets.classes.index(positive)
        probabilities = np.stack([outcome.probabilities(datasets.classes) for outcome in outcomes])
        return cls(
            outcomes=outcomes,
            values={
                name: pseudo_values(
                    name, labels, probabilities, positive_index, datasets.test_folds
                )
                for name in ("accuracy", "sensitivity", "specificity")
            },
            pooled_right=probabilities.mean(axis=0).argmax(axis=1) == labels,
        )

    @property
    def replicates(self) -> tuple[Replicate, ...]:
        return tuple(outcome.trial.replicate for outcome in self.outcomes)

    def paired_with(self, replicates: Sequence[Replicate]) -> list[int]:
        """Return, for each of these replicates, the place of the one here with the same seed."""
        places = {replicate.seed: place for place, replicate in enumerate(self.replicates)}
        return [places[replicate.seed] for replicate in replicates]


def arm_results(
    design: Design, outcomes: Sequence[Outcome], datasets: Datasets, positive: str
) -> tuple[ArmResult, ...]:
    """Return a result per arm, fraction and ratio, compared with `real` at the same fraction."""
    split = datasets.test
    test = _TestSet(
        split.labels, split.patients, datasets.classes.index(positive), datasets.test_folds
    )
    results: dict[Condition, ArmResult] = {}
    comparisons: dict[Condition, tuple[MeasureDifferences, Discordance]] = {}
    reals: dict[float, _Predictions] = {}
    for arm, fraction, ratio in design.conditions():
        condition = (arm.name, fraction, ratio)
        own = [
            outcome
            for outcome in outcomes
            if (outcome.trial.arm, outcome.trial.fraction, outcome.trial.ratio) == condition
        ]
        predictions = _Predictions.read(own, datasets, positive)
        results[condition] = _result(arm, predictions, datasets, test)
        if arm.name == "real":
            reals[fraction] = predictions
        else:
            comparisons[condition] = _compare(predictions, reals[fraction], test)
    adjusted = _adjust(design, {name: pair[0].accuracy.p for name, pair in comparisons.items()})
    for condition, (difference, mcnemar) in comparisons.items():
        p_holm = adjusted[condition]
        verdict = judge(difference.accuracy.value, p_holm)
        paired = PairedDifference(difference, mcnemar, p_holm, verdict)
        results[condition] = replace(results[condition], against_real=paired)
    return tuple(results.values())


def _result(arm: Arm, predictions: _Predictions, datasets: Datasets, test: _TestSet) -> ArmResult:
    """Measure an arm by itself."""
    first, replicates = predictions.outcomes[0], predictions.replicates
    measures = test.measure(predictions.values, replicates)
    aucs = [outcome.row.roc_auc for outcome in predictions.outcomes]
    reals = datasets.count_reals(first.trial.fraction)
    return ArmResult(
        arm=arm.name,
        about=arm.about,
        fraction=first.trial.fraction,
        ratio=first.trial.ratio,
        train_images=first.row.train_images,
        synthetic_images=first.row.synthetic_images,
        real_images=reals.images,
        real_patients=reals.patients,
        measures=measures,
        roc_auc=MeanAuc(float(np.mean(aucs)), tuple(aucs)),
        replicates=replicates,
        spread=estimate_spread(measures.accuracy.per_replicate, replicates),
        against_real=None,
    )


def _compare(
    predictions: _Predictions, real: _Predictions, test: _TestSet
) -> tuple[MeasureDifferences, Discordance]:
    """Compare an arm with `real`, each replicate with the one of its seed."""
    partners = real.paired_with(predictions.replicates)
    difference = test.measure_differences(
        {name: values - real.values[name][partners] for name, values in predictions.values.items()},
        predictions.replicates,
    )
    return difference, mcnemar_test(predictions.pooled_right, real.pooled_right)


def _adjust(design: Design, p_values: Mapping[Condition, float]) -> dict[Condition, float]:
    """Adjust the p-values of the arms for their number, at each fraction and ratio.

    Arms that add no images belong to the family of every ratio; there the strictest counts.
    """
    adjusted = dict.fromkeys(p_values, 0.0)
    for fraction in design.fractions:
        for ratio in design.ratios:
            family = [
                condition
                for condition in p_values
                if condition[1] == fraction and condition[2] in (ratio, None)
            ]
            p_holm = adjust_holm([p_values[condition] for condition in family])
            for condition, p in zip(family, p_holm, strict=True):
                adjusted[condition] = max(p, adjusted[condition])
    return adjusted
