"""Measures of a classifier's answers as functions of a weight for each image.

Weights are (R, N): one row for each resample of the N images, and every function returns one value
for each row, (R,). With weights of one a measure is scikit-learn's, to which the tests hold it.
"""

from __future__ import annotations

import numpy as np

CONFIDENCE_BINS = 10


def confusion_matrices(
    labels: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray
) -> np.ndarray:
    """Return the weight of each true class (rows) that was called each class, (R, K, K)."""
    rows = [
        np.stack(
            [weights @ ((labels == true) & (predicted == called)) for called in range(classes)],
            axis=1,
        )
        for true in range(classes)
    ]
    return np.stack(rows, axis=1)


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes of confusion matrices (R, K, K)."""
    recalls = [
        confusion[:, index, index] / confusion[:, index].sum(axis=1)
        for index in range(confusion.shape[1])
    ]
    return np.mean(recalls, axis=0)


def matthews_correlation(confusion: np.ndarray) -> np.ndarray:
    """Return Gorodkin's K-class correlation (2004, eq. 8) of confusion matrices (R, K, K).

    It is 0 where one side has a single class.
    """
    total, hits = confusion.sum(axis=(1, 2)), np.trace(confusion, axis1=1, axis2=2)
    true, called = confusion.sum(axis=2), confusion.sum(axis=1)
    spread = np.sqrt((total**2 - (true**2).sum(axis=1)) * (total**2 - (called**2).sum(axis=1)))
    return np.where(
        spread > 0,
        (hits * total - (true * called).sum(axis=1)) / np.where(spread > 0, spread, 1),
        0.0,
    )


def decision_measures(
    positives: np.ndarray, called: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Measure calling images `called`, bool (N,), positive when `positives`, bool (N,), are."""
    hits, misses, false_alarms, rejections = (
        weights @ mask
        for mask in (
            positives & called,
            positives & ~called,
            ~positives & called,
            ~positives & ~called,
        )
    )
    precision = np.where(hits + false_alarms > 0, hits / (hits + false_alarms), 0.0)
    return {
        "sensitivity": hits / (hits + misses),
        "specificity": rejections / (rejections + false_alarms),
        "precision": precision,
        "f1": 2 * hits / (2 * hits + false_alarms + misses),
    }


def roc_auc(positives: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of positive-negative pairs in the right order, ties counting half.

    See Hanley & McNeil 1982. positives: bool (N,); scores (N,). NaN where a row gives one side no
    weight.
    """
    positive, negative = _weights_by_score(positives, scores, weights)
    below = negative.sum(axis=1, keepdims=True) - negative.cumsum(axis=1) + negative / 2
    return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def average_precision(positives: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Σ (R_n − R_{n−1}) P_n over thresholds, without interpolation."""
    positive, negative = _weights_by_score(positives, scores, weights)
    called = (positive + negative).cumsum(axis=1)
    precision = np.where(called > 0, positive.cumsum(axis=1) / np.where(called > 0, called, 1), 0.0)
    return (positive * precision).sum(axis=1) / positive.sum(axis=1)


def calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the expected calibration error of the top label (Guo et al. 2017, eq. 3)."""
    surplus = probabilities.max(axis=1) - (probabilities.argmax(axis=1) == labels)
    bins = confidence_bins(probabilities)
    gaps = [
        np.abs(weights @ np.where(bins == number, surplus, 0)) for number in range(CONFIDENCE_BINS)
    ]
    return np.sum(gaps, axis=0) / weights.sum(axis=1)


def brier_score(
    labels: np.ndarray, probabilities: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Return the mean squared error of the positive class's probability.

    Of more than two classes it is the sum over them.
    """
    classes = probabilities.shape[1]
    if classes == 2:
        errors = (probabilities[:, positive] - (labels == positive)) ** 2
    else:
        errors = ((probabilities - np.eye(classes)[labels]) ** 2).sum(axis=1)
    return _mean(errors, weights)


def log_loss(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean negative log-likelihood of the labels."""
    likelihoods = probabilities[np.arange(len(labels)), labels]
    smallest = np.finfo(probabilities.dtype).eps
    return _mean(-np.log(np.clip(likelihoods, smallest, 1)), weights)


def confidence_bins(probabilities: np.ndarray) -> np.ndarray:
    """Return the bin of each image's confidence, the probability of its answer, (N,)."""
    confidence = probabilities.max(axis=1)
    return np.minimum((confidence * CONFIDENCE_BINS).astype(int), CONFIDENCE_BINS - 1)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (weights @ values) / weights.sum(axis=1)


def _weights_by_score(
    positives: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the weights of positives and of negatives at each distinct score, highest first.

    Returns both as (R, number of distinct scores).
    """
    order = np.argsort(-scores, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    ordered = weights[:, order]
    positive, negative = (
        np.add.reduceat(ordered * mask[order], first, axis=1) for mask in (positives, ~positives)
    )
    return positive, negative
