"""Measures of a classifier as means over test images, so that one analysis serves them all.

The *pseudo-value* of an image is what it contributes to a measure: their mean over all images is
the measure, and their variance between patients is the measure's, to first order. Of accuracy it
is 1 where the answer is right and 0 elsewhere. Of a mean θ over n_c of n images, as sensitivity is,
it is θ + n/n_c (x − θ) for those and θ for the others. Of the area θ under the ROC curve x is the
placement value of DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44:837, eq. 4 and 5): the share
of the other kind's images that an image is on the right side of, ties counting half, and n_c
the number of its own kind. Sums over a patient's images make them right for images that belong
together (Obuchowski 1997, Biometrics 53:567).

The definitions are those of classifier/metrics.py. In a comparison with folds a measure is taken
within each and averaged with the folds' images as weights, since the probabilities of two
classifiers have no common scale.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from pipelines.metrics.names import MEASURE_TITLES


def pseudo_values(
    measure: str,
    labels: np.ndarray,
    probabilities: np.ndarray,
    positive: int,
    folds: np.ndarray | None = None,
) -> np.ndarray:
    """Return the contribution of each test image to a measure, (R, N).

    Args:
        measure: One of MEASURE_TITLES.
        labels: Indices of classes, (N,).
        probabilities: Of each class by each of R classifiers, (R, N, K).
        positive: The class that sensitivity, specificity and, of two classes, ROC AUC are of.
        folds: Which fold each image was tested in, (N,); None where there are none.

    Raises ValueError where a fold lacks images of a class, since the measure does not exist.
    """
    if measure not in MEASURE_TITLES:
        raise ValueError(f"measure {measure}: expected {', '.join(MEASURE_TITLES)}")
    if folds is None:
        return _of_one_fold(measure, labels, probabilities, positive)
    values = np.empty(probabilities.shape[:2])
    for fold in np.unique(folds):
        inside = folds == fold
        values[:, inside] = _of_one_fold(
            measure, labels[inside], probabilities[:, inside], positive
        )
    return values


def count_images(measure: str, labels: np.ndarray, positive: int) -> int:
    """Count the images that a measure is about: those of one kind, or all."""
    if measure == "sensitivity":
        return int((labels == positive).sum())
    if measure == "specificity":
        return int((labels != positive).sum())
    return len(labels)


def _of_one_fold(
    measure: str, labels: np.ndarray, probabilities: np.ndarray, positive: int
) -> np.ndarray:
    if measure == "roc_auc":
        of_classes = [
            _auc_values(labels == index, probabilities[:, :, index])
            for index in range(probabilities.shape[2])
        ]
        return of_classes[positive] if len(of_classes) == 2 else np.mean(of_classes, axis=0)
    predicted = probabilities.argmax(axis=2)  # (R, N)
    right = (predicted == labels).astype(float)
    if measure == "accuracy":
        return right
    if measure == "balanced_accuracy":
        recalls = [_mean_over(right, labels == index) for index in range(probabilities.shape[2])]
        return np.asarray(np.mean(recalls, axis=0))
    is_positive = labels == positive
    right_side = ((predicted == positive) == is_positive).astype(float)
    return _mean_over(right_side, is_positive if measure == "sensitivity" else ~is_positive)


def _mean_over(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return pseudo-values (R, N) of the mean of `values` (R, N) over some images, bool (N,)."""
    num_counted = _require_some(counted)
    mean = values[:, counted].mean(axis=1, keepdims=True)
    return mean + np.where(counted, len(counted) / num_counted * (values - mean), 0.0)


def _auc_values(positives: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return pseudo-values (R, N) of the area under the curve of scores (R, N)."""
    num_positives, num_negatives = _require_some(positives), _require_some(~positives)
    ranks = rankdata(scores, axis=1)
    placements = np.empty(scores.shape)
    placements[:, positives] = (
        ranks[:, positives] - rankdata(scores[:, positives], axis=1)
    ) / num_negatives
    placements[:, ~positives] = (
        1 - (ranks[:, ~positives] - rankdata(scores[:, ~positives], axis=1)) / num_positives
    )
    area = placements[:, positives].mean(axis=1, keepdims=True)
    weights = len(positives) / np.where(positives, num_positives, num_negatives)
    return area + weights * (placements - area)


def _require_some(counted: np.ndarray) -> int:
    count = int(counted.sum())
    if count == 0:
        raise ValueError(
            f"a class has no image among the {len(counted)} test images of a fold; "
            "expected every class"
        )
    return count
