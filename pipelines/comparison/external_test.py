"""Every arm on the external test set, and how far it falls from the study's own test images.

Nothing is chosen by it and no verdict comes of it: the question of a comparison is answered inside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.comparison.arm_results import HeldOutImages, Outcome, Predictions
from pipelines.comparison.datasets import Datasets
from pipelines.metrics.independent_sets import Sample, estimate_fall
from pipelines.metrics.measures import pseudo_values
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import Replicate, estimate_share
from pipelines.results.arm_result import ArmResult, Condition, OutsideMeasure
from pipelines.results.comparison_summary import ExternalSet
from pipelines.results.image_count import ImageCount
from pipelines.results.predictions import EXTERNAL_PREDICTIONS
from pipelines.study.split import Split


@dataclass(frozen=True)
class ExternalTest:
    """The answers of a comparison's classifiers on the external test images.

    Attributes:
        images: What the measures need to know of the M images.
        measures: The names of those that the classes of the images allow.
        probabilities: Of each class by each replicate of a condition, a list over folds of (M, K).
        external: What the summary says of the set.
    """

    images: HeldOutImages
    measures: tuple[str, ...]
    probabilities: Mapping[Condition, Mapping[Replicate, Sequence[np.ndarray]]]
    external: ExternalSet

    @classmethod
    def read(
        cls, outcomes: Sequence[Outcome], datasets: Datasets, positive: str
    ) -> ExternalTest | None:
        """Read the classifiers' predictions; None where there are no external images.

        None too where a classifier, trained by an earlier version, has not seen them.
        """
        split, classes = datasets.external, datasets.classes
        outside = [
            replace(outcome, predictions=outcome.predictions.with_name(EXTERNAL_PREDICTIONS))
            for outcome in outcomes
        ]
        if split is None or not all(outcome.predictions.exists() for outcome in outside):
            return None
        probabilities: dict[Condition, dict[Replicate, list[np.ndarray]]] = {}
        for outcome in outside:
            own = probabilities.setdefault(outcome.condition, defaultdict(list))
            own[outcome.trial.replicate].append(outcome.probabilities(classes))
        images = HeldOutImages(split.labels, split.patients, None, classes.index(positive))
        labels = {name: _count(split, split.labels == place) for place, name in enumerate(classes)}
        absent = [name for name, count in labels.items() if not count.images]
        measures = _defined_measures(images, len(classes))
        everything = _count(split, np.ones(len(split.labels), bool))
        external = ExternalSet(everything, labels, _explain_undefined(absent, measures))
        return cls(images, measures, probabilities, external)

    def add_to(
        self,
        results: Sequence[ArmResult],
        predictions: Mapping[Condition, Predictions],
        inside: HeldOutImages,
    ) -> tuple[ArmResult, ...]:
        """Add to every arm its measures outside, and its falls from inside.

        predictions, inside: Of the study's own test images.
        """
        return tuple(
            replace(
                result,
                outside={
                    measure: self._measure(
                        measure, result.condition, predictions[result.condition], inside
                    )
                    for measure in self.measures
                },
            )
            for result in results
        )

    def _measure(
        self, measure: str, condition: Condition, predictions: Predictions, inside: HeldOutImages
    ) -> OutsideMeasure:
        replicates = predictions.replicates
        values = np.stack(
            [
                self._values(measure, np.stack(self.probabilities[condition][replicate]))
                for replicate in replicates
            ]
        )  # (R, M)
        n = self.images.count(measure)
        return OutsideMeasure(
            estimate=estimate_share(values, self.images.patients, replicates, n=n),
            fall=estimate_fall(
                Sample(
                    predictions.values[measure],
                    inside.patients,
                    inside.count(measure),
                    inside.folds,
                ),
                Sample(values, self.images.patients, n),
                replicates,
            ),
        )

    def _values(self, measure: str, of_folds: np.ndarray) -> np.ndarray:
        """Average the pseudo-values over one replicate's classifiers of all F folds, (M,).

        of_folds: Their probabilities, (F, M, K).
        """
        images = self.images
        return pseudo_values(measure, images.labels, of_folds, images.positive).mean(axis=0)


def _defined_measures(images: HeldOutImages, num_classes: int) -> tuple[str, ...]:
    """Return the measures that exist for images of these classes."""
    num_positive = int((images.labels == images.positive).sum())
    has_all = len(set(images.labels.tolist())) == num_classes
    defined = {
        "accuracy": True,
        "balanced_accuracy": has_all,
        "roc_auc": has_all,
        "sensitivity": num_positive > 0,
        "specificity": num_positive < len(images.labels),
    }
    return tuple(name for name in MEASURE_TITLES if defined[name])


def _explain_undefined(absent: Sequence[str], measures: Sequence[str]) -> str:
    """Say which measures the absence of classes leaves undefined; empty for none."""
    titles = [title for name, title in MEASURE_TITLES.items() if name not in measures]
    if not titles:
        return ""
    return (
        f"the external set has no image of {' or '.join(absent)}, without which "
        f"{', '.join(titles[:-1])} and {titles[-1]} are not defined"
    )


def _count(split: Split, chosen: np.ndarray) -> ImageCount:
    """Count some images of a split, bool (M,), and their patients."""
    places = chosen.nonzero()[0]
    return ImageCount(images=len(places), patients=len({split.patients[place] for place in places}))
