"""Pseudo-values: their mean is the measure, their variance DeLong's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from classifier.metrics import evaluate
from pipelines.metrics.measures import count_images, pseudo_values
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.metrics.paired_tests import Replicate, estimate_difference

ONE = [Replicate(None, None, None, 0)]


def predictions(seed: int, images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) with every class, and probabilities (N, K) with many ties."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(images) % classes)
    scores = np.round(rng.normal(size=(images, classes)) + 1.5 * np.eye(classes)[labels], 1)
    exponents = np.exp(scores)
    return labels, exponents / exponents.sum(axis=1, keepdims=True)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), images=st.integers(6, 40), classes=st.sampled_from([2, 3]))
def test_the_mean_is_the_classifiers_own_measure(seed: int, images: int, classes: int) -> None:
    labels, probabilities = predictions(seed, images, classes)
    names = ["a", "b", "c"][:classes]
    own = evaluate(labels, probabilities, names, "b", [str(place) for place in range(images)])
    for measure in MEASURE_TITLES:
        values = pseudo_values(measure, labels, probabilities[None], 1)
        assert values.mean() == pytest.approx(own.measures[measure].value)
        assert count_images(measure, labels, 1) == own.measures[measure].n


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_with_folds_a_measure_is_taken_within_each(seed: int) -> None:
    labels, probabilities = predictions(seed, 40, 2)
    folds = np.repeat([0, 1], [16, 24])
    for measure, score in {
        "roc_auc": lambda y, p: roc_auc_score(y, p[:, 1]),
        "balanced_accuracy": lambda y, p: balanced_accuracy_score(y, p.argmax(axis=1)),
    }.items():
        if any(len(set(labels[folds == fold])) < 2 for fold in (0, 1)):
            continue
        values = pseudo_values(measure, labels, probabilities[None], 1, folds)[0]
        for fold in (0, 1):
            inside = folds == fold
            expected = score(labels[inside], probabilities[inside])
            assert values[inside].mean() == pytest.approx(expected)


def delong_variance(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """The variance of a difference of areas, pair by pair (DeLong et al. 1988, eq. 4 to 6)."""

    def components(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gaps = scores[labels == 1][:, None] - scores[labels == 0][None]
        kernel = (gaps > 0) + 0.5 * (gaps == 0)
        return kernel.mean(axis=1), kernel.mean(axis=0)

    (v10, v01), (w10, w01) = components(one), components(other)
    return float(np.var(v10 - w10, ddof=1) / len(v10) + np.var(v01 - w01, ddof=1) / len(v01))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_variance_of_an_area_is_delongs(seed: int) -> None:
    labels, one = predictions(seed, 120, 2)
    rng = np.random.default_rng(seed)
    other = np.clip(one + 0.1 * rng.normal(size=(120, 1)) * [1, -1], 0, 1)
    pair = np.stack([one, other])
    values = pseudo_values("roc_auc", labels, pair, 1)
    patients = [str(place) for place in range(120)]
    difference = estimate_difference((values[0] - values[1])[None], patients, ONE, n=120)
    reach = 1.9801 * np.sqrt(delong_variance(labels, one[:, 1], other[:, 1]))
    assert difference.high - difference.low == pytest.approx(2 * reach, rel=0.02)


def test_a_fold_without_a_class_is_refused() -> None:
    labels, probabilities = predictions(0, 12, 2)
    folds = (labels == 0).astype(int)
    with pytest.raises(ValueError, match="no image among the 6 test images of a fold"):
        pseudo_values("roc_auc", labels, probabilities[None], 1, folds)


def test_an_unknown_measure_is_refused() -> None:
    labels, probabilities = predictions(0, 12, 2)
    with pytest.raises(ValueError, match="measure f1: expected accuracy, balanced_accuracy"):
        pseudo_values("f1", labels, probabilities[None], 1)
