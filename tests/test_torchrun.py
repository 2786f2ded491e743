"""Two processes under torchrun train what one does, and refuse what they cannot share."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.features import FEATURE_BATCH
from classifier.predict import load_classifier, predict
from classifier.train import TrainingData as ClassifierData
from classifier.train import train as train_classifier
from gan.batches import TrainingData as GanData
from gan.config import GanConfig
from gan.train import train as train_gan
from pipelines.study.split import load_splits
from pipelines.study.workspace import Workspace
from runtime import checkpoint
from runtime.device import Compute
from runtime.run import Run, list_runs
from tests.conftest import TINY_GAN, cxr, ok
from tests.support.command_steps import IN_FP32
from tests.support.torchrun_pair import TorchrunPair

CLASSES = ["covid", "normal"]


def test_two_processes_train_the_generator_that_one_does(
    phantom_study: Path, tmp_path: Path, torchrun_pair: TorchrunPair
) -> None:
    """Five steps change the weights by ten times as much as is allowed.

    Networks are compared as a whole: where a gradient is all rounding, Adam makes a step of its
    sign.
    """
    alone, together = (
        Path(shutil.copytree(phantom_study, tmp_path / name)) for name in ("alone", "together")
    )
    command = ("gan-train", "--steps", 5, *TINY_GAN, "--batch-size", 16, "--max-minutes", 60)
    ok(cxr(*command, folder=alone))
    done = torchrun_pair.run(*command, folder=together)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made: a generator") == 1, "one process speaks"
    runs = [run.name for run in list_runs(together / "runs")]
    assert runs == ["0001-gan-train"], "one process writes"
    states = [
        checkpoint.load(study / "runs/0001-gan-train/checkpoints/last.pt", "gan checkpoint")
        for study in (alone, together)
    ]
    for part in ("generator", "discriminator", "average"):
        weights, other_weights = (
            torch.cat([value.flatten() for value in state[part].values()]) for state in states
        )
        assert (weights - other_weights).norm() < 1e-3 * weights.norm(), part


def test_two_processes_train_one_classifier_and_judge_it_as_one_does(
    tmp_path: Path, torchrun_pair: TorchrunPair
) -> None:
    """Each process predicts one of two batches of test images.

    So what they say fits the file only if both hold the same weights.
    """
    write_noisy_films(tmp_path / "films")
    ok(cxr("data", "import", tmp_path / "films", "--split", "30/10/60", folder=tmp_path))
    options = ("--steps", 7, "--batch-size", 8, "--evaluate-every", 3, "--augment", "yes")
    done = torchrun_pair.run("classify-train", *options, *IN_FP32, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made: a classifier") == 1, "one process speaks"
    (run,) = (tmp_path / "runs").glob("*-classify-train")
    classifier = load_classifier(run / "classifier.pt", torch.device("cpu"))
    test = load_splits(Workspace(tmp_path), 64, classifier.classes)["test"]
    assert len(test.labels) > FEATURE_BATCH, "there are two batches"
    alone = predict(classifier, test.to_dataset().tensors[0], Compute(torch.device("cpu"), "fp32"))
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        together = [
            [float(row[f"probability_{name}"]) for name in classifier.classes]
            for row in csv.DictReader(file)
        ]
    assert np.allclose(alone, together, atol=2e-6)


def write_noisy_films(folder: Path) -> None:
    """Write 120 pictures of noise, those of one label brighter."""
    rng = np.random.default_rng(0)
    for number in range(120):
        film = folder / CLASSES[number % 2] / f"{number}.png"
        film.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 200, (16, 16), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(noise + np.uint8(50 * (number % 2))).save(film)


@pytest.fixture
def first_of_two() -> Compute:
    return Compute(torch.device("cpu"), "fp32", rank=0, world_size=2)


@pytest.fixture
def images() -> TensorDataset:
    return TensorDataset(torch.zeros(8, 1, 32, 32, dtype=torch.uint8), torch.arange(8) % 2)


def test_a_gan_batch_that_processes_cannot_share_is_refused(
    first_of_two: Compute, images: TensorDataset, tmp_path: Path
) -> None:
    config = GanConfig(image_size=32, batch_size=12)
    data = GanData(images, classes=CLASSES, trained_on=[])
    with pytest.raises(
        ValueError, match="batch_size 12 over 2 processes: expected a multiple of 16"
    ):
        train_gan(config, data, Run(tmp_path), first_of_two)


def test_a_classifier_batch_that_processes_cannot_share_is_refused(
    first_of_two: Compute, images: TensorDataset, tmp_path: Path
) -> None:
    config = ClassifierConfig(batch_size=9)
    data = ClassifierData(images, images, CLASSES)
    with pytest.raises(ValueError, match="batch_size 9 over 2 processes: expected a multiple of 2"):
        train_classifier(config, data, Run(tmp_path), first_of_two)


def test_a_command_for_one_process_refuses_two(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = cxr("score", folder=study)
    assert refused.exit_code == 2
    assert "runs in one process" in refused.output
