"""What a classifier's test predictions are worth, with intervals over patients.

Values come from scikit-learn. Intervals are percentile bootstraps (Efron 1979) that draw whole patients
with replacement, since images of one patient are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, roc_auc_score

from runtime.randomness import numpy_generator

RESAMPLES = 1000


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest."""

    precision: float
    recall: float
    f1: float
    specificity: float
    support: int


@dataclass(frozen=True)
class Metrics:
    """Test metrics; sensitivity and specificity are those of the positive class, AUC of it or the macro mean."""

    n: int
    patients: int
    positive: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    sensitivity: float
    sensitivity_interval: tuple[float, float]
    specificity: float
    specificity_interval: tuple[float, float]
    roc_auc: float
    log_loss: float
    classes: dict[str, ClassMetrics]
    confusion: list[list[int]]  # rows: true class, columns: predicted class


def evaluate(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], positive: str, patients: Sequence[str]) -> Metrics:
    """Metrics of class probabilities (N, K) against label indices (N,), with 95 % intervals over `patients` (N,).

    Raises ValueError when a class has no image here, since its measures do not exist.
    """
    absent = [name for index, name in enumerate(classes) if not (labels == index).any()]
    if absent:
        raise ValueError(f"no image of {', '.join(absent)} among the {len(labels)} to evaluate on; expected every class")
    predicted = probabilities.argmax(axis=1)
    every = range(len(classes))
    confusion = confusion_matrix(labels, predicted, labels=every)
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    specificity = [float((predicted[labels != index] != index).mean()) for index in every]
    chosen = classes.index(positive)
    if len(classes) == 2:
        auc = roc_auc_score(labels == chosen, probabilities[:, chosen])
    else:
        auc = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro", labels=every)
    hits, is_positive = predicted == labels, labels == chosen
    called_right = (predicted == chosen) == is_positive
    return Metrics(
        n=len(labels),
        patients=len(set(patients)),
        positive=positive,
        accuracy=float(hits.mean()),
        accuracy_interval=interval(hits, np.ones_like(hits), patients),
        sensitivity=float(recall[chosen]),
        sensitivity_interval=interval(called_right, is_positive, patients),
        specificity=specificity[chosen],
        specificity_interval=interval(called_right, ~is_positive, patients),
        roc_auc=float(auc),
        log_loss=float(log_loss(labels, probabilities, labels=every)),
        classes={
            name: ClassMetrics(float(precision[index]), float(recall[index]), float(f1[index]), specificity[index], int(support[index]))
            for index, name in enumerate(classes)
        },
        confusion=confusion.tolist(),
    )


def interval(hits: np.ndarray, counted: np.ndarray, patients: Sequence[str]) -> tuple[float, float]:
    """95 % bootstrap interval over patients of the share of `hits` among the `counted`, both (N,)."""
    shares = resampled_means(np.where(counted, hits, 0), counted, patients)
    low, high = np.nanpercentile(shares, (2.5, 97.5))
    return float(low), float(high)


def resampled_means(values: np.ndarray, weights: np.ndarray, patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Σ values / Σ weights (resamples,) over whole patients drawn with replacement; NaN where no weight was drawn."""
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    value_sums = np.bincount(patient, values)
    weight_sums = np.bincount(patient, weights)
    count = len(value_sums)
    drawn = numpy_generator(seed, "bootstrap").multinomial(count, np.full(count, 1 / count), size=resamples)  # (resamples, patients)
    with np.errstate(invalid="ignore"):
        return (drawn @ value_sums) / (drawn @ weight_sums)
