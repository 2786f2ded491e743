"""What a classifier's predictions are worth, every measure with its 95 % interval.

Intervals are percentile bootstraps over patients (see `bootstrap`): every measure is computed for
the images as they are and for all resamples of them at once (see `weighted_measures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from classifier.bootstrap import percentile_interval, resampled_weights
from classifier.weighted_measures import (
    average_precision,
    balanced_accuracy,
    brier_score,
    calibration_error,
    confidence_bins,
    confusion_matrices,
    decision_measures,
    log_loss,
    matthews_correlation,
    roc_auc,
)
from runtime.estimate import Estimate


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest."""

    precision: float
    recall: float
    f1: float
    specificity: float
    roc_auc: float
    support: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Images of like confidence: the mean of it, and how often their answers were right."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Metrics:
    """What is measured on one set of images.

    Attributes:
        n, patients: How many images and patients it has.
        positive: The class that sensitivity, specificity, precision and F1 are of.
        measures: Each measure by its name, decisions by the most probable class.
        threshold: Of the positive class's probability, chosen on other images.
        at_threshold: Sensitivity, specificity, precision and F1 of decisions by the threshold.
        classes: Each class by its name.
        confusion: Number of images by true class (rows) and predicted class (columns).
        reliability: The bins of confidence that have images, from the least sure up.
    """

    n: int
    patients: int
    positive: str
    measures: dict[str, Estimate]
    threshold: float
    at_threshold: dict[str, Estimate]
    classes: dict[str, ClassMetrics]
    confusion: list[list[int]]
    reliability: list[ReliabilityBin]


def evaluate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    positive: str,
    patients: Sequence[str],
    threshold: float = 0.5,
) -> Metrics:
    """Measure class probabilities (N, K) against label indices (N,).

    ROC AUC and average precision are of the positive class, or of more than two classes the macro
    mean. patients: (N,), over whom the intervals are. Raises ValueError when a class has no image,
    since its measures do not exist.
    """
    absent = [name for index, name in enumerate(classes) if not (labels == index).any()]
    if absent:
        raise ValueError(
            f"no image of {', '.join(absent)} among the {len(labels)} to evaluate on; "
            f"expected every class"
        )
    positive_index = classes.index(positive)
    is_positive = labels == positive_index
    above_threshold = probabilities[:, positive_index] >= threshold
    predicted = probabilities.argmax(axis=1)
    weights = np.concatenate([np.ones((1, len(labels))), resampled_weights(patients)])  # (R, N)
    with np.errstate(invalid="ignore", divide="ignore"):
        confusion = confusion_matrices(labels, predicted, len(classes), weights)
        class_aucs = np.stack(
            [
                roc_auc(labels == index, probabilities[:, index], weights)
                for index in range(len(classes))
            ]
        )  # (K, R)
        values = _measure_all(labels, probabilities, positive_index, weights, confusion, class_aucs)
        at_threshold = decision_measures(is_positive, above_threshold, weights)
    return Metrics(
        n=len(labels),
        patients=len(set(patients)),
        positive=positive,
        measures=_estimates(values, is_positive, predicted == positive_index),
        threshold=float(threshold),
        at_threshold=_estimates(at_threshold, is_positive, above_threshold),
        classes=_class_metrics(labels, predicted, classes, class_aucs[:, 0]),
        confusion=confusion[0].astype(int).tolist(),
        reliability=_reliability_bins(labels, probabilities),
    )


def best_threshold(positives: np.ndarray, scores: np.ndarray) -> float:
    """Return the threshold with the largest sensitivity + specificity (Youden 1950).

    It lies midway between two scores; of several equally good ones it is that nearest to 0.5.
    positives: bool (N,), scores (N,), of images that are not tested on.
    """
    distinct = np.unique(scores)
    cuts = np.concatenate([distinct[:1], (distinct[1:] + distinct[:-1]) / 2])
    gains = [(scores[positives] >= cut).mean() + (scores[~positives] < cut).mean() for cut in cuts]
    best = np.flatnonzero(np.isclose(gains, np.max(gains)))
    return float(cuts[best[np.abs(cuts[best] - 0.5).argmin()]])


def _measure_all(
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: int,
    weights: np.ndarray,
    confusion: np.ndarray,
    class_aucs: np.ndarray,
) -> dict[str, np.ndarray]:
    """Compute every measure for each row of weights, (R,), in the order they are listed in."""
    class_precisions = np.stack(
        [
            average_precision(labels == index, probabilities[:, index], weights)
            for index in range(probabilities.shape[1])
        ]
    )  # (K, R)
    predicted = probabilities.argmax(axis=1)
    return {
        "accuracy": np.trace(confusion, axis1=1, axis2=2) / weights.sum(axis=1),
        "balanced_accuracy": balanced_accuracy(confusion),
        **decision_measures(labels == positive, predicted == positive, weights),
        "roc_auc": _positive_or_mean(class_aucs, positive),
        "average_precision": _positive_or_mean(class_precisions, positive),
        "matthews": matthews_correlation(confusion),
        "calibration_error": calibration_error(labels, probabilities, weights),
        "brier": brier_score(labels, probabilities, positive, weights),
        "log_loss": log_loss(labels, probabilities, weights),
    }


def _positive_or_mean(per_class: np.ndarray, positive: int) -> np.ndarray:
    """Take the positive class of two, or the mean of more, of values (K, R)."""
    return per_class[positive] if len(per_class) == 2 else per_class.mean(axis=0)


def _estimates(
    values: dict[str, np.ndarray], positives: np.ndarray, called: np.ndarray
) -> dict[str, Estimate]:
    """Make an estimate of each measure's value (first) and its resamples (the others).

    positives, called: bool (N,), the images that are positive and those that were called so.
    """
    counts = {
        "sensitivity": positives.sum(),
        "specificity": (~positives).sum(),
        "precision": called.sum(),
        "f1": (positives | called).sum(),
    }
    return {
        name: Estimate(
            float(value[0]), *percentile_interval(value[1:]), int(counts.get(name, len(positives)))
        )
        for name, value in values.items()
    }


def _class_metrics(
    labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str], aucs: np.ndarray
) -> dict[str, ClassMetrics]:
    """Measure each class against the rest; aucs: (K,)."""
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=range(len(classes)), zero_division=0
    )
    return {
        name: ClassMetrics(
            precision=float(precision[index]),
            recall=float(recall[index]),
            f1=float(f1[index]),
            specificity=float((predicted[labels != index] != index).mean()),
            roc_auc=float(aucs[index]),
            support=int(support[index]),
        )
        for index, name in enumerate(classes)
    }


def _reliability_bins(labels: np.ndarray, probabilities: np.ndarray) -> list[ReliabilityBin]:
    """Average the confidence and the accuracy of each bin that has images."""
    bins = confidence_bins(probabilities)
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    return [
        ReliabilityBin(
            confidence=float(confidence[bins == number].mean()),
            accuracy=float(is_right[bins == number].mean()),
            count=int((bins == number).sum()),
        )
        for number in np.unique(bins)
    ]
