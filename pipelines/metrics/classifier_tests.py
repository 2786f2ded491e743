"""What a simple classifier makes of synthetic images: can it learn from them, and tell them apart?

- Train on synthetic, test on real (Esteban et al. 2017) and its reverse: logistic regression on
  features in units of their spread over the training images, inverse penalty 0.1, all classes
  equally weighted.
- Two-sample test (Lopez-Paz & Oquab 2017): how often a classifier tells on held-out folds which of
  two sets an image is of; 1/2 is by chance. It is regularised least squares on labels ±1 (Fisher's
  discriminant), whose held-out outputs are linear in the labels: so the p value can be that of a
  permutation test, exact at any n, where the customary normal one takes folds that share training
  images for independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from runtime.randomness import numpy_generator

INVERSE_PENALTY = 0.1
RIDGE = 1.0  # where features are scaled so that an image has a squared length of 1 on average
FOLDS = 5
PERMUTATIONS = 999


def correct_answers(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> np.ndarray:
    """Train logistic regression on features (n, d); say which test features (m, d) it gets right.

    The answers (m,) are 0 or 1.
    """
    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=1000),
    )
    return (model.fit(train, train_labels).predict(test) == test_labels).astype(float)


@dataclass(frozen=True)
class TwoSample:
    """Which of the images (2n,) were told correctly on their held-out fold, 0 or 1.

    p: how likely as good a share is by chance.
    """

    correct: np.ndarray
    p: float


def two_sample_test(first: np.ndarray, second: np.ndarray) -> TwoSample:
    """Test whether the features (n, d) of one set can be told from those of another, as large.

    Rows must be independent: one image of a patient. Raises ValueError when the sets differ in
    size or have fewer rows than folds.
    """
    if first.shape != second.shape or len(first) < FOLDS:
        raise ValueError(
            f"features have shapes {first.shape} and {second.shape}, expected equal ones with at "
            f"least {FOLDS} rows"
        )
    rows = np.concatenate([first, second]).astype(np.float64)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0).clip(min=1e-12)
    similarity = rows @ rows.T / rows.shape[1]
    random = numpy_generator(0, "two-sample test")
    # A row of either set, as a pair, is in one fold: folds are balanced, and labels may be swapped
    # within pairs.
    folds = np.tile(random.permutation(len(first)) % FOLDS, 2)
    weights = _held_out_weights(similarity, folds)
    labels = np.repeat([1.0, -1.0], len(first))
    swaps = random.choice([1.0, -1.0], size=(PERMUTATIONS, len(first)))
    permuted = np.concatenate([swaps, -swaps], axis=1)
    correct = weights @ labels * labels > 0
    by_chance = ((permuted @ weights.T) * permuted > 0).mean(axis=1)
    as_good = (by_chance >= correct.mean()).sum()
    return TwoSample(correct.astype(float), float((1 + as_good) / (1 + PERMUTATIONS)))


def _held_out_weights(similarity: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return the output for each row, from the other folds, as weights of all labels (2n, 2n)."""
    weights = np.zeros_like(similarity)
    for fold in range(FOLDS):
        held_out, kept = folds == fold, folds != fold
        weights[np.ix_(held_out, kept)] = np.linalg.solve(
            similarity[np.ix_(kept, kept)] + RIDGE * np.eye(kept.sum()),
            similarity[np.ix_(kept, held_out)],
        ).T
    return weights
