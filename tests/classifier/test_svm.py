"""The support vector machine learns, and comes back from disk without a pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.predict import load_classifier, predict
from classifier.train import TrainingData, train
from runtime.run import create_run
from tests.classifier.stripes import CPU, accuracy


@pytest.fixture(scope="module")
def gray_levels() -> TensorDataset:
    """Noisy images of three levels of gray."""
    labels = torch.arange(90) % 3
    noise = torch.randint(0, 40, (90, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    return TensorDataset((labels.view(-1, 1, 1, 1) * 60 + 40 + noise).to(torch.uint8), labels)


@pytest.fixture(scope="module")
def svm_run(tmp_path_factory: pytest.TempPathFactory, gray_levels: TensorDataset):
    """The run and the classifier of a fit to the gray levels."""
    run = create_run(tmp_path_factory.mktemp("svm"), "classify-train", {})
    data = TrainingData(gray_levels, gray_levels, ["dark", "middle", "bright"])
    return run, train(ClassifierConfig(arch="svm"), data, run, CPU)


def test_the_svm_learns(svm_run, gray_levels: TensorDataset) -> None:
    assert accuracy(svm_run[1], gray_levels) == 1.0


def test_the_svm_says_which_penalty_was_chosen(svm_run) -> None:
    assert svm_run[0].journal()[-1]["penalty"] > 0


def test_the_svm_comes_back_from_disk(svm_run, gray_levels: TensorDataset) -> None:
    run, trained = svm_run
    images = gray_levels.tensors[0][:9]
    loaded = load_classifier(run.folder / "classifier.pt", CPU.device)
    assert np.allclose(predict(loaded, images, CPU), predict(trained, images, CPU))


def test_probabilities_of_the_svm_sum_to_one(svm_run, gray_levels: TensorDataset) -> None:
    probabilities = predict(svm_run[1], gray_levels.tensors[0][:9], CPU)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_a_class_with_a_single_image_is_refused(tmp_path: Path, gray_levels: TensorDataset) -> None:
    images, labels = gray_levels.tensors
    lonely = TensorDataset(images[[0, 3, 1, 4, 2]], labels[[0, 3, 1, 4, 2]])
    run = create_run(tmp_path, "classify-train", {})
    data = TrainingData(lonely, gray_levels, ["dark", "middle", "bright"])
    with pytest.raises(ValueError, match="a class has a single training image"):
        train(ClassifierConfig(arch="svm"), data, run, CPU)
