"""What a classifier's predictions are worth, every measure with an interval over patients.

Intervals are percentile bootstraps (Efron 1979) that draw whole patients with replacement, since images of one patient are not
independent. A resample is a weight for each image, so every measure here is a function of weights, for all resamples at once; with
weights of one it is scikit-learn's, to which the tests hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from runtime.randomness import numpy_generator

RESAMPLES = 1000
BINS = 10  # of confidence, for calibration


@dataclass(frozen=True)
class Measure:
    """A value and its 95 % interval."""

    value: float
    interval: tuple[float, float]


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
class Bin:
    """Images of like confidence: how sure the classifier was of its answers, and how often they were right."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Metrics:
    """What is measured on one set of images."""

    n: int
    patients: int
    positive: str
    measures: dict[str, Measure]
    threshold: float  # of the positive class's probability, chosen on other images
    at_threshold: dict[str, Measure]
    classes: dict[str, ClassMetrics]
    confusion: list[list[int]]  # rows: true class, columns: predicted class
    reliability: list[Bin]


def evaluate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    positive: str,
    patients: Sequence[str],
    threshold: float = 0.5,
) -> Metrics:
    """Measures of class probabilities (N, K) against label indices (N,), with 95 % intervals over `patients` (N,).

    Sensitivity, specificity, precision and F1 are of the positive class against the rest, by the most probable class; `at_threshold` has
    those of its probability being at least `threshold`. ROC AUC and average precision are of the positive class, or of more than two classes
    the macro mean. Calibration error is expected and top-label, in 10 equal bins (Guo et al. 2017, eq. 3); the Brier score is the mean squared error
    of the positive class's probability, or of more than two classes the sum over them.
    Raises ValueError when a class has no image here, since its measures do not exist.
    """
    absent = [name for index, name in enumerate(classes) if not (labels == index).any()]
    if absent:
        raise ValueError(
            f"no image of {', '.join(absent)} among the {len(labels)} to evaluate on; expected every class"
        )
    every, chosen = range(len(classes)), classes.index(positive)
    predicted = probabilities.argmax(axis=1)
    above = probabilities[:, chosen] >= threshold
    weights = np.concatenate(
        [np.ones((1, len(labels))), resampled_weights(patients)]
    )  # (1 + resamples, N), the first the images as they are
    with np.errstate(invalid="ignore", divide="ignore"):
        confusion = np.stack(
            [
                np.stack([weights @ ((labels == i) & (predicted == j)) for j in every], axis=1)
                for i in every
            ],
            axis=1,
        )  # (R, K, K)
        aucs = np.stack(
            [roc_auc(labels == index, probabilities[:, index], weights) for index in every]
        )  # (K, R)
        precisions = np.stack(
            [
                _average_precision(labels == index, probabilities[:, index], weights)
                for index in every
            ]
        )
        two = len(classes) == 2
        values = {
            "accuracy": np.trace(confusion, axis1=1, axis2=2) / weights.sum(axis=1),
            "balanced_accuracy": np.mean(
                [confusion[:, i, i] / confusion[:, i].sum(axis=1) for i in every], axis=0
            ),
            **_of_decisions(labels == chosen, predicted == chosen, weights),
            "roc_auc": aucs[chosen] if two else aucs.mean(axis=0),
            "average_precision": precisions[chosen] if two else precisions.mean(axis=0),
            "matthews": _matthews(confusion),
            "calibration_error": _calibration_error(labels, probabilities, weights),
            "brier": _mean(
                (probabilities[:, chosen] - (labels == chosen)) ** 2
                if two
                else ((probabilities - np.eye(len(classes))[labels]) ** 2).sum(axis=1),
                weights,
            ),
            "log_loss": _mean(
                -np.log(
                    np.clip(
                        probabilities[np.arange(len(labels)), labels],
                        np.finfo(probabilities.dtype).eps,
                        1,
                    )
                ),
                weights,
            ),
        }
        at_threshold = _of_decisions(labels == chosen, above, weights)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    return Metrics(
        n=len(labels),
        patients=len(set(patients)),
        positive=positive,
        measures={name: _measure(value) for name, value in values.items()},
        threshold=float(threshold),
        at_threshold={name: _measure(value) for name, value in at_threshold.items()},
        classes={
            name: ClassMetrics(
                float(precision[i]),
                float(recall[i]),
                float(f1[i]),
                float((predicted[labels != i] != i).mean()),
                float(aucs[i, 0]),
                int(support[i]),
            )
            for i, name in enumerate(classes)
        },
        confusion=confusion[0].astype(int).tolist(),
        reliability=_reliability(labels, probabilities),
    )


def best_threshold(positives: np.ndarray, scores: np.ndarray) -> float:
    """The threshold with the largest sensitivity + specificity (Youden 1950), midway between two scores.

    positives: bool (N,), scores (N,), of images that are not tested on.
    """
    order = np.unique(scores)
    cuts = np.concatenate([order[:1], (order[1:] + order[:-1]) / 2])
    gains = [(scores[positives] >= cut).mean() + (scores[~positives] < cut).mean() for cut in cuts]
    best = np.flatnonzero(np.isclose(gains, np.max(gains)))
    return float(
        cuts[best[np.abs(cuts[best] - 0.5).argmin()]]
    )  # of several equal ones that nearest to the middle


def _measure(values: np.ndarray) -> Measure:
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return Measure(float(values[0]), (float(low), float(high)))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (weights @ values) / weights.sum(axis=1)


def _of_decisions(
    positives: np.ndarray, called: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Measures of calling images positive, bool (N,), when others are, for each row of weights (R, N)."""
    hit, missed, false, right = (
        weights @ mask
        for mask in (
            positives & called,
            positives & ~called,
            ~positives & called,
            ~positives & ~called,
        )
    )
    precision = np.where(hit + false > 0, hit / (hit + false), 0.0)
    return {
        "sensitivity": hit / (hit + missed),
        "specificity": right / (right + false),
        "precision": precision,
        "f1": 2 * hit / (2 * hit + false + missed),
    }


def _matthews(confusion: np.ndarray) -> np.ndarray:
    """Gorodkin's K-class correlation (2004, eq. 8) of confusion matrices (R, K, K); 0 where one side has a single class."""
    total, hits = confusion.sum(axis=(1, 2)), np.trace(confusion, axis1=1, axis2=2)
    true, called = confusion.sum(axis=2), confusion.sum(axis=1)
    spread = np.sqrt((total**2 - (true**2).sum(axis=1)) * (total**2 - (called**2).sum(axis=1)))
    return np.where(
        spread > 0,
        (hits * total - (true * called).sum(axis=1)) / np.where(spread > 0, spread, 1),
        0.0,
    )


def _by_score(
    positives: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives at each distinct score, from the highest down, (R, G) each."""
    order = np.argsort(-scores, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    ordered = weights[:, order]
    return tuple(
        np.add.reduceat(ordered * mask[order], first, axis=1) for mask in (positives, ~positives)
    )


def roc_auc(positives: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of positive-negative pairs in the right order, ties counting half (Hanley & McNeil 1982), (R,).

    positives: bool (N,); scores (N,); weights (R, N). NaN where a row gives one side no weight.
    """
    positive, negative = _by_score(positives, scores, weights)
    below = negative.sum(axis=1, keepdims=True) - negative.cumsum(axis=1) + negative / 2
    return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def _average_precision(
    positives: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Σ (R_n − R_{n−1}) P_n over thresholds, without interpolation."""
    positive, negative = _by_score(positives, scores, weights)
    called = (positive + negative).cumsum(axis=1)
    precision = np.where(called > 0, positive.cumsum(axis=1) / np.where(called > 0, called, 1), 0.0)
    return (positive * precision).sum(axis=1) / positive.sum(axis=1)


def _bin_of(probabilities: np.ndarray) -> np.ndarray:
    return np.minimum((probabilities.max(axis=1) * BINS).astype(int), BINS - 1)


def _calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    surplus = probabilities.max(axis=1) - (probabilities.argmax(axis=1) == labels)
    gaps = [
        np.abs(weights @ np.where(_bin_of(probabilities) == number, surplus, 0))
        for number in range(BINS)
    ]
    return np.sum(gaps, axis=0) / weights.sum(axis=1)


def _reliability(labels: np.ndarray, probabilities: np.ndarray) -> list[Bin]:
    """The bins that have images, from the least sure up."""
    place, confidence, right = (
        _bin_of(probabilities),
        probabilities.max(axis=1),
        probabilities.argmax(axis=1) == labels,
    )
    return [
        Bin(
            float(confidence[place == number].mean()),
            float(right[place == number].mean()),
            int((place == number).sum()),
        )
        for number in np.unique(place)
    ]


def resampled_weights(
    patients: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """How often each image is drawn when whole patients are drawn with replacement, (resamples, N)."""
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    count = patient.max() + 1
    return (
        numpy_generator(seed, "bootstrap")
        .multinomial(count, np.full(count, 1 / count), size=resamples)[:, patient]
        .astype(np.float64)
    )


def resampled_means(
    values: np.ndarray,
    weights: np.ndarray,
    patients: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Σ values / Σ weights (resamples,) over whole patients drawn with replacement; NaN where no weight was drawn."""
    drawn = resampled_weights(patients, resamples, seed)
    with np.errstate(invalid="ignore"):
        return (drawn @ values) / (drawn @ weights)
