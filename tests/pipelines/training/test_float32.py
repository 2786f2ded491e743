"""Whatever precision a classifier was trained in, it is looked at and reported in float32."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from classifier.metrics import best_threshold
from classifier.predict import load_classifier
from pipelines.study.runs import RunRequest
from pipelines.study.split import load_splits
from pipelines.study.workspace import Workspace
from pipelines.training.classifier import train_classifier
from runtime.device import Compute
from runtime.run import Run
from tests.conftest import cxr, ok

CPU = torch.device("cpu")
BF16 = Compute(CPU, "bf16")  # slow where it is emulated, yet the same arithmetic
OPTIONS = {"steps": 6, "batch_size": 8, "evaluate_every": 3}


@pytest.fixture(scope="module")
def bf16_run(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A classifier trained in bfloat16, in a study of its own."""
    folder = tmp_path_factory.mktemp("bf16") / "study"
    shutil.copytree(phantom_study, folder)
    run, _ = train_classifier(Workspace(folder), OPTIONS, RunRequest(compute=BF16), image_size=32)
    assert run.config["compute"] == "cpu, bf16"
    return run


@pytest.fixture(scope="module")
def exact(bf16_run: Run) -> dict[str, tuple[np.ndarray, torch.Tensor]]:
    """Labels (N,) and logits (N, K) of two splits, by the saved weights in float64."""
    network = load_classifier(bf16_run.folder / "classifier.pt", CPU).network
    workspace = Workspace(bf16_run.folder.parent.parent)
    splits = load_splits(workspace, 32, bf16_run.config["classes"])
    answers = {}
    for name in ("validation", "test"):
        images, _ = splits[name].to_dataset().tensors
        with torch.no_grad():
            logits = network.head.double()(network.trunk(images).double())
        answers[name] = splits[name].labels, logits
    return answers


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def probabilities_in(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array(
        [[float(row[key]) for key in row if key.startswith("probability_")] for row in rows]
    )


def test_predictions_are_those_of_the_saved_weights(bf16_run: Run, exact) -> None:
    table = probabilities_in(read_table(bf16_run.folder / "predictions.csv"))
    assert np.allclose(table, exact["test"][1].softmax(dim=1), rtol=0, atol=1e-5)


def test_the_validation_loss_is_that_of_the_saved_weights(bf16_run: Run, exact) -> None:
    labels, logits = exact["validation"]
    expected = cross_entropy(logits, torch.from_numpy(labels)).item()
    *looks, end = bf16_run.journal()
    (chosen,) = [look for look in looks if look["step"] == end["best_step"]]
    assert chosen["validation_loss"] == end["best_validation_loss"]
    assert chosen["validation_loss"] == pytest.approx(expected, abs=1e-6)


def test_the_threshold_is_chosen_on_such_probabilities(bf16_run: Run, exact) -> None:
    labels, logits = exact["validation"]
    positive = bf16_run.config["classes"].index(bf16_run.config["positive"])
    expected = best_threshold(labels == positive, logits.softmax(dim=1).numpy()[:, positive])
    metrics = json.loads((bf16_run.folder / "metrics.json").read_text())
    assert metrics["test"]["threshold"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_is_answered_as_in_the_test_split(
    bf16_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr("runtime.device._is_fast_in_bf16", lambda device: True)
    folder = bf16_run.folder.parent.parent
    expected = read_table(bf16_run.folder / "predictions.csv")
    files = [folder / "data" / row["file_name"] for row in expected]
    options = ["--csv", tmp_path / "answers.csv", "--device", "cpu", "--precision", precision]
    ok(cxr("classify", *files, *options, folder=folder))
    answers = read_table(tmp_path / "answers.csv")
    difference = probabilities_in(answers) - probabilities_in(expected)
    assert np.abs(difference).max() <= 2e-6  # the last digit of two tables
