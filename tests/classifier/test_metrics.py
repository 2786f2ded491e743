"""Every measure is scikit-learn's, its interval is over patients, and its n is what it is of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from classifier.bootstrap import resampled_means
from classifier.metrics import Metrics, best_threshold, evaluate
from classifier.weighted_measures import (
    average_precision,
    confusion_matrices,
    decision_measures,
    matthews_correlation,
    roc_auc,
)


def random_answers(seed: int, classes: int, n: int) -> tuple[np.ndarray, np.ndarray, Metrics]:
    """Labels (N,) of which every class has one, probabilities (N, K), and their metrics."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    probabilities = rng.dirichlet(np.ones(classes), n)
    names = [f"class {index}" for index in range(classes)]
    patients = [str(index // 2) for index in range(n)]
    return labels, probabilities, evaluate(labels, probabilities, names, names[0], patients)


def reference_measures(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """What scikit-learn says of class 0 of two, or of all classes where there are more."""
    predicted = probabilities.argmax(axis=1)
    onehot = np.eye(probabilities.shape[1])[labels]
    values = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
        "sensitivity": reference.recall_score(labels == 0, predicted == 0),
        "specificity": reference.recall_score(labels != 0, predicted != 0),
        "precision": reference.precision_score(labels == 0, predicted == 0, zero_division=0),
        "f1": reference.f1_score(labels == 0, predicted == 0),
        "matthews": reference.matthews_corrcoef(labels, predicted),
        "log_loss": reference.log_loss(labels, probabilities),
    }
    if probabilities.shape[1] == 2:
        scores = (labels == 0, probabilities[:, 0])
        return values | {
            "roc_auc": reference.roc_auc_score(*scores),
            "average_precision": reference.average_precision_score(*scores),
            "brier": reference.brier_score_loss(*scores),
        }
    return values | {
        "roc_auc": reference.roc_auc_score(labels, probabilities, multi_class="ovr"),
        "average_precision": reference.average_precision_score(onehot, probabilities),
        "brier": ((probabilities - onehot) ** 2).sum(axis=1).mean(),
    }


answers = given(seed=st.integers(0, 10_000), classes=st.integers(2, 4), n=st.integers(12, 60))


@settings(max_examples=15, deadline=None)
@answers
def test_measures_equal_scikit_learn_s(seed: int, classes: int, n: int) -> None:
    labels, probabilities, metrics = random_answers(seed, classes, n)
    expected = reference_measures(labels, probabilities)
    values = {name: measure.value for name, measure in metrics.measures.items()}
    assert values.keys() - expected.keys() == {"calibration_error"}
    assert {name: values[name] for name in expected} == pytest.approx(expected)


@settings(max_examples=15, deadline=None)
@answers
def test_the_ends_of_an_interval_are_in_order(seed: int, classes: int, n: int) -> None:
    _, _, metrics = random_answers(seed, classes, n)
    assert all(measure.low <= measure.high for measure in metrics.measures.values())


@settings(max_examples=15, deadline=None)
@answers
def test_the_confusion_matrix_is_scikit_learn_s(seed: int, classes: int, n: int) -> None:
    labels, probabilities, metrics = random_answers(seed, classes, n)
    expected = reference.confusion_matrix(labels, probabilities.argmax(axis=1))
    assert np.array_equal(metrics.confusion, expected)


@settings(max_examples=15, deadline=None)
@answers
def test_each_class_has_the_figures_of_scikit_learn_s_report(
    seed: int, classes: int, n: int
) -> None:
    labels, probabilities, metrics = random_answers(seed, classes, n)
    report = reference.classification_report(
        labels, probabilities.argmax(axis=1), output_dict=True, zero_division=0
    )
    for index, values in enumerate(metrics.classes.values()):
        expected = report[str(index)]
        assert values.precision == pytest.approx(expected["precision"])
        assert values.recall == pytest.approx(expected["recall"])
        assert values.f1 == pytest.approx(expected["f1-score"])
        assert values.support == expected["support"]


@pytest.mark.parametrize(
    ("measure", "n"),
    [
        pytest.param("accuracy", 7, id="accuracy-all"),
        pytest.param("roc_auc", 7, id="roc-auc-all"),
        pytest.param("sensitivity", 3, id="sensitivity-positives"),
        pytest.param("specificity", 4, id="specificity-negatives"),
        pytest.param("precision", 2, id="precision-called-positive"),
        pytest.param("f1", 4, id="f1-positive-or-called-so"),
    ],
)
def test_a_measure_counts_the_images_it_is_of(measure: str, n: int) -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    scores = np.array([0.9, 0.2, 0.3, 0.8, 0.1, 0.2, 0.3])  # one hit, one false alarm
    probabilities = np.stack([1 - scores, scores], axis=1)
    metrics = evaluate(labels, probabilities, ["a", "b"], "b", list("1234567"))
    assert metrics.measures[measure].n == n


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(roc_auc, reference.roc_auc_score, id="roc-auc"),
        pytest.param(average_precision, reference.average_precision_score, id="precision"),
    ],
)
def test_a_ranking_measure_of_each_resample_is_scikit_learn_s_with_weights(ours, theirs) -> None:
    """One patient whose weight is 3 counts as three of the same."""
    rng = np.random.default_rng(0)
    positives, scores = rng.integers(0, 2, 40).astype(bool), rng.integers(0, 8, 40) / 8  # many ties
    weights = rng.integers(0, 4, (20, 40)).astype(float)
    expected = [theirs(positives, scores, sample_weight=row) for row in weights]
    assert ours(positives, scores, weights) == pytest.approx(expected)


def test_f1_of_each_resample_is_scikit_learn_s_with_weights() -> None:
    rng = np.random.default_rng(0)
    positives, called = rng.integers(0, 2, (2, 40)).astype(bool)
    weights = rng.integers(0, 4, (20, 40)).astype(float)
    expected = [reference.f1_score(positives, called, sample_weight=row) for row in weights]
    assert decision_measures(positives, called, weights)["f1"] == pytest.approx(expected)


def test_matthews_of_each_resample_is_scikit_learn_s_with_weights() -> None:
    rng = np.random.default_rng(0)
    labels, called = rng.integers(0, 3, (2, 40))
    weights = rng.integers(0, 4, (20, 40)).astype(float)
    expected = [reference.matthews_corrcoef(labels, called, sample_weight=row) for row in weights]
    confusion = confusion_matrices(labels, called, 3, weights)
    assert matthews_correlation(confusion) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("power", "least", "most"),
    [pytest.param(1, 0, 0.025, id="honest"), pytest.param(3, 0.05, 1, id="boastful")],
)
def test_calibration_error_tells_honest_from_boastful(
    power: int, least: float, most: float
) -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 1, 4_000)
    labels = (rng.uniform(0, 1, 4_000) < true).astype(int)
    stated = true**power / (true**power + (1 - true) ** power)
    patients = [str(index // 80) for index in range(4_000)]
    probabilities = np.stack([1 - stated, stated], axis=1)
    metrics = evaluate(labels, probabilities, ["a", "b"], "b", patients)
    assert least <= metrics.measures["calibration_error"].value < most


def test_the_best_threshold_of_true_probabilities_is_one_half() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 1, 4_000)
    labels = rng.uniform(0, 1, 4_000) < true
    assert best_threshold(labels, true) == pytest.approx(0.5, abs=0.1)


def test_the_best_threshold_lies_midway_between_two_scores() -> None:
    positives, scores = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.3, 0.9])
    assert best_threshold(positives, scores) == pytest.approx(0.25)


def test_intervals_are_over_patients_and_not_images() -> None:
    """Ten copies of every patient's image tell nothing new, so the interval must not shrink."""
    values = np.random.default_rng(0).integers(0, 2, 50).astype(float)
    patients = [str(index) for index in range(50)]
    once = resampled_means(values, np.ones(50), patients).std()
    copied = resampled_means(np.tile(values, 10), np.ones(500), patients * 10).std()
    assert copied == pytest.approx(once)
    assert once == pytest.approx(values.std() / np.sqrt(50), rel=0.1)


def test_a_class_without_test_images_is_an_error() -> None:
    with pytest.raises(ValueError, match="no image of b"):
        evaluate(np.array([0, 0]), np.array([[0.9, 0.1], [0.2, 0.8]]), ["a", "b"], "a", ["1", "2"])
