"""What a comparison's classifiers add up to: a result per arm, fraction and ratio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.comparison.datasets import Datasets
from pipelines.comparison.design import Design, Trial
from pipelines.metrics.measures import count_images, pseudo_values
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import Replicate, estimate_share, estimate_spread
from pipelines.results.arm_result import ArmMeasures, ArmResult, Condition
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_rows import ClassifierRow
from pipelines.results.predictions import read_predictions
from runtime.run import Run


@dataclass(frozen=True)
class Outcome:
    """A finished classifier: its trial, its row in results.csv, its predictions of test images."""

    trial: Trial
    row: ClassifierRow
    predictions: Path

    @property
    def condition(self) -> Condition:
        return Condition(self.trial.arm, self.trial.fraction, self.trial.ratio)

    def probabilities(self, classes: Sequence[str]) -> np.ndarray:
        """Return the probability of each class, (N, K)."""
        return read_predictions(self.predictions, classes).probabilities

    def validation(self, measure: str) -> float:
        """Return one of its measures on the validation images."""
        return ClassifierResult.load(Run(self.predictions.parent)).validation[measure]


@dataclass(frozen=True)
class HeldOutImages:
    """What the measures need to know of the N test images, of all folds one after another.

    Attributes:
        labels: Indices of classes, (N,).
        patients: Whose image it is, (N,).
        folds: Which fold each is of, (N,); None where there are none.
        positive: Index of the class that sensitivity is of.
    """

    labels: np.ndarray
    patients: Sequence[str]
    folds: np.ndarray | None
    positive: int

    @classmethod
    def of(cls, datasets: Datasets, positive: str) -> HeldOutImages:
        """Describe the study's own test images."""
        test, index = datasets.test, datasets.classes.index(positive)
        return cls(test.labels, test.patients, datasets.test_folds, index)

    def count(self, measure: str) -> int:
        """Return how many images a measure is about."""
        return count_images(measure, self.labels, self.positive)

    def means_of_folds(self, values: np.ndarray) -> np.ndarray:
        """Average pseudo-values (R, N) over the images of each of K folds, (R, K)."""
        folds = np.zeros(len(self.labels)) if self.folds is None else self.folds
        return np.stack(
            [values[:, folds == fold].mean(axis=1) for fold in np.unique(folds)], axis=1
        )


@dataclass(frozen=True)
class Predictions:
    """The predictions of all R replicates of one condition.

    Attributes:
        replicates: (R,), each of all folds together.
        values: By measure, what each test image adds to it (`metrics.measures`), (R, N).
        pooled_right: Where the class of the largest mean probability is right, bool (N,).
        validation: The mean measure on the validation images, by name.
    """

    replicates: tuple[Replicate, ...]
    values: dict[str, np.ndarray]
    pooled_right: np.ndarray
    validation: dict[str, float]

    @classmethod
    def read(
        cls, outcomes: Sequence[Outcome], classes: Sequence[str], test: HeldOutImages
    ) -> Predictions:
        """Read the predictions of one condition's classifiers."""
        by_replicate: dict[Replicate, list[Outcome]] = defaultdict(list)
        for outcome in sorted(outcomes, key=lambda outcome: outcome.trial.fold or 0):
            by_replicate[outcome.trial.replicate].append(outcome)
        probabilities = np.stack(
            [
                np.concatenate([outcome.probabilities(classes) for outcome in folds])
                for folds in by_replicate.values()
            ]
        )  # (R, N, K)
        return cls(
            replicates=tuple(by_replicate),
            values={
                measure: pseudo_values(
                    measure, test.labels, probabilities, test.positive, test.folds
                )
                for measure in MEASURE_TITLES
            },
            pooled_right=probabilities.mean(axis=0).argmax(axis=1) == test.labels,
            validation={
                measure: float(np.mean([outcome.validation(measure) for outcome in outcomes]))
                for measure in MEASURE_TITLES
            },
        )

    def paired_with(self, replicates: Sequence[Replicate]) -> list[int]:
        """Return, for each of these replicates, the place of the one here that it is paired with.

        It is the one of the same subset and seed where this arm has neither generators nor draws,
        and else of the same generator and draw too, by their numbers.
        """
        if self.replicates[0].generator is not None:
            same = {own: place for place, own in enumerate(self.replicates)}
            return [same[other] for other in replicates]
        places = {(own.subset, own.seed): place for place, own in enumerate(self.replicates)}
        return [places[other.subset, other.seed] for other in replicates]


def read_by_condition(
    design: Design, outcomes: Sequence[Outcome], datasets: Datasets, test: HeldOutImages
) -> dict[Condition, Predictions]:
    """Read the predictions of every condition of a design, in its order."""
    own: dict[Condition, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        own[outcome.condition].append(outcome)
    conditions = [
        Condition(arm.name, fraction, ratio) for arm, fraction, ratio in design.conditions()
    ]
    return {
        condition: Predictions.read(own[condition], datasets.classes, test)
        for condition in conditions
    }


def arm_results(
    design: Design,
    outcomes: Sequence[Outcome],
    predictions: dict[Condition, Predictions],
    datasets: Datasets,
    test: HeldOutImages,
) -> tuple[ArmResult, ...]:
    """Return a result per arm, fraction and ratio."""
    return tuple(
        _result(
            condition,
            predictions[condition],
            [outcome.row for outcome in outcomes if outcome.condition == condition],
            datasets,
            test,
            design.measure,
        )
        for condition in predictions
    )


def _result(
    condition: Condition,
    predictions: Predictions,
    rows: Sequence[ClassifierRow],
    datasets: Datasets,
    test: HeldOutImages,
    measure: str,
) -> ArmResult:
    """Measure an arm by itself."""
    reals = datasets.count_reals(condition.fraction)
    estimates = {
        name: estimate_share(
            values, test.patients, predictions.replicates, n=test.count(name), folds=test.folds
        )
        for name, values in predictions.values.items()
    }
    return ArmResult(
        arm=condition.arm,
        about=datasets.design.arm(condition.arm).about,
        fraction=condition.fraction,
        ratio=condition.ratio,
        train_images=round(np.mean([row.train_images for row in rows])),
        synthetic_images=round(np.mean([row.synthetic_images for row in rows])),
        real_images=reals.images,
        real_patients=reals.patients,
        measures=ArmMeasures(**estimates),
        replicates=predictions.replicates,
        spread=estimate_spread(
            test.means_of_folds(predictions.values[measure]), predictions.replicates
        ),
        validation=predictions.validation[measure],
    )
