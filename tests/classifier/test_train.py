"""A classifier learns what there is to learn and nothing else, and resumes bit for bit."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.predict import load_classifier, predict
from classifier.train import TrainingData, schedule, train
from runtime.run import Interrupted, create_run
from tests.classifier.stripes import CLASSES, CPU, QUICK_CONFIG, accuracy, fit, stripes
from tests.conftest import signalled


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """The run and the classifier of a training on stripes."""
    return fit(tmp_path_factory.mktemp("trained"), stripes(120, 0))


def test_the_cnn_learns(trained) -> None:
    assert accuracy(trained[1], stripes(150, 2)) > 0.9


def test_the_cnn_comes_back_from_disk(trained) -> None:
    run, classifier = trained
    loaded = load_classifier(run.folder / "classifier.pt", CPU.device)
    images = stripes(30, 3).tensors[0]
    assert np.array_equal(predict(loaded, images, CPU), predict(classifier, images, CPU))


def test_probabilities_of_an_image_sum_to_one(trained) -> None:
    probabilities = predict(trained[1], stripes(30, 3).tensors[0], CPU)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_the_journal_has_an_event_for_each_evaluation(trained) -> None:
    assert [event["step"] for event in trained[0].journal()[:-1]] == [20, 40, 60, 80]


def test_the_journal_ends_with_the_lowest_validation_loss(trained) -> None:
    *evaluations, last = trained[0].journal()
    best = min(evaluations, key=lambda event: event["validation_loss"])
    assert last == {"best_step": best["step"], "best_validation_loss": best["validation_loss"]}


def test_it_learns_nothing_from_shuffled_labels(tmp_path: Path) -> None:
    images, labels = stripes(144, 0).tensors
    unrelated = torch.arange(144) // 3 % 3  # every class gets every label equally often
    assert torch.equal(torch.bincount(3 * labels + unrelated), torch.full((9,), 16))
    _, trained = fit(tmp_path, TensorDataset(images, unrelated))
    assert accuracy(trained, stripes(150, 2)) < 0.55


def test_stopped_by_a_signal_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    config = ClassifierConfig(steps=80, batch_size=16, evaluate_every=20)
    whole, _ = fit(tmp_path / "whole", stripes(60, 0), config)
    stopped = create_run(tmp_path / "stopped", "classify-train", {})
    data = TrainingData(stripes(60, 0), stripes(60, 1), CLASSES)
    with pytest.raises(Interrupted), signalled(stopped.journal_path, 2, signal.SIGINT):
        train(config, data, stopped, CPU)
    train(config, data, stopped, CPU)
    assert whole.journal_path.read_bytes() == stopped.journal_path.read_bytes()
    expected, resumed = (
        load_classifier(run.folder / "classifier.pt", CPU.device).network.state_dict()
        for run in (whole, stopped)
    )
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


@pytest.mark.parametrize(
    ("seed", "is_same"), [pytest.param(0, True, id="same"), pytest.param(1, False, id="another")]
)
def test_a_classifier_is_a_function_of_its_seed(seed: int, is_same: bool, tmp_path: Path) -> None:
    config = ClassifierConfig(steps=4, batch_size=8, seed=0)
    first, second = (
        fit(tmp_path, stripes(30, 0), chosen)[1].network.head[0].weight
        for chosen in (config, replace(config, seed=seed))
    )
    assert torch.equal(first, second) == is_same


def test_training_leaves_torch_s_own_randomness_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    fit(tmp_path, stripes(30, 0), ClassifierConfig(steps=4, batch_size=8))
    assert torch.equal(torch.rand(1), expected)


def test_training_and_validation_images_of_two_shapes_are_refused(tmp_path: Path) -> None:
    images, labels = stripes(12, 0).tensors
    small = TensorDataset(images[..., :16, :16], labels)
    run = create_run(tmp_path, "classify-train", {})
    with pytest.raises(ValueError, match="expected one shape"):
        train(QUICK_CONFIG, TrainingData(stripes(12, 0), small, CLASSES), run, CPU)


def test_the_learning_rate_warms_up() -> None:
    factors = [schedule(step, 100) for step in range(5)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_the_learning_rate_falls_to_zero() -> None:
    factors = [schedule(step, 100) for step in range(5, 100)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 0.001


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_rare_classes_are_heard(balance: str, tmp_path: Path) -> None:
    images, labels = stripes(300, 0).tensors
    common, *rare = (torch.where(labels == index)[0] for index in range(3))
    kept = torch.cat([common, *(places[:5] for places in rare)])
    config = ClassifierConfig(steps=100, batch_size=16, evaluate_every=20, balance=balance)
    _, trained = fit(tmp_path, TensorDataset(images[kept], labels[kept]), config)
    assert accuracy(trained, stripes(150, 2)) > 0.75


def test_patience_ends_a_training_early(tmp_path: Path) -> None:
    shuffled = TensorDataset(stripes(60, 0).tensors[0], torch.arange(60) // 3 % 3)
    config = ClassifierConfig(
        steps=2000, batch_size=16, evaluate_every=10, patience=3, label_smoothing=0.1
    )
    run, _ = fit(tmp_path, shuffled, config)
    *evaluations, last = run.journal()
    assert evaluations[-1]["step"] == last["best_step"] + 30 < 2000


@pytest.fixture(scope="module")
def accuracies_on_shifted_stripes(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, float]:
    """Of classifiers trained on few images, by whether with augmentation; the test is brighter."""
    images, labels = stripes(60, 9).tensors
    brighter = TensorDataset((images.float() * 0.8 + 60).clamp(0, 255).to(torch.uint8), labels)
    accuracies = {}
    for augmented in (False, True):
        config = ClassifierConfig(steps=120, batch_size=16, evaluate_every=40, augment=augmented)
        _, trained = fit(tmp_path_factory.mktemp("augmented"), stripes(18, 0), config)
        accuracies[augmented] = accuracy(trained, brighter)
    return accuracies


def test_with_augmentation_few_images_go_far(accuracies_on_shifted_stripes) -> None:
    assert accuracies_on_shifted_stripes[True] > 0.8


def test_with_augmentation_few_images_go_no_less_far(accuracies_on_shifted_stripes) -> None:
    assert accuracies_on_shifted_stripes[True] >= accuracies_on_shifted_stripes[False] - 0.05
