"""The commands that people come for, in a row: a whole study, the demo, the papers' presets."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.comparison import demo
from pipelines.comparison.arms import DEFAULT_ARMS
from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.manifest import read_manifest
from runtime.run import Run
from tests.conftest import TINY_CLASSIFIER, cxr, ok


@dataclass(frozen=True)
class WholeStudy:
    """A study after all its commands, and what they said."""

    folder: Path
    classifier_output: str
    score_output: str
    compare_output: str
    report_output: str

    @property
    def classifier(self) -> Run:
        """The classifier that was trained with synthetic images."""
        return Run(self.folder / "runs" / "0004-classify-train")

    @property
    def comparison(self) -> Run:
        """The comparison."""
        return Run(self.folder / "runs" / "0006-compare")

    def summary(self) -> dict[str, Any]:
        """Read what the comparison found."""
        return json.loads((self.comparison.folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def whole_study(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> WholeStudy:
    """The tiny study after the rest of the commands; not to be changed."""
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("whole") / "study"))
    return WholeStudy(
        study,
        ok(cxr("classify-train", "--with-synthetic", *TINY_CLASSIFIER, folder=study)),
        ok(cxr("score", folder=study)),
        ok(cxr("compare", "--seeds", 2, *TINY_CLASSIFIER, folder=study)),
        ok(cxr("report", folder=study)),
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("classifier", "0004-classify-train"),
        ("classifier", "accuracy"),
        ("classifier", "next: cxr score"),
        ("score", "0005-score"),
        ("compare", "real+gan"),
        ("compare", "report.html"),
        ("report", "report.html"),
    ],
)
def test_each_command_says_what_it_made(whole_study: WholeStudy, command: str, text: str) -> None:
    assert text in getattr(whole_study, f"{command}_output")


def test_the_classifier_says_how_many_synthetic_images_it_saw(whole_study: WholeStudy) -> None:
    result = ClassifierResult.load(whole_study.classifier)
    assert result.synthetic_images == 24
    assert result.steps == 6


def test_every_test_image_is_predicted(whole_study: WholeStudy) -> None:
    rows = read_manifest(whole_study.folder / "data" / "manifest.csv")
    predictions = read_csv(whole_study.classifier.folder / "predictions.csv")
    test_images = {row.file_name for row in rows if row.split == "test"}
    assert {prediction["file_name"] for prediction in predictions} == test_images


def test_the_accuracy_is_that_of_the_predictions(whole_study: WholeStudy) -> None:
    predictions = read_csv(whole_study.classifier.folder / "predictions.csv")
    correct = [prediction["label"] == prediction["predicted"] for prediction in predictions]
    accuracy = ClassifierResult.load(whole_study.classifier).test.measures["accuracy"]
    assert accuracy.value == pytest.approx(np.mean(correct))


def test_the_probabilities_of_an_image_add_up_to_one(whole_study: WholeStudy) -> None:
    for prediction in read_csv(whole_study.classifier.folder / "predictions.csv"):
        probabilities = [float(prediction[f"probability_{name}"]) for name in ("covid", "normal")]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def test_every_arm_is_compared_with_the_same_budget(whole_study: WholeStudy) -> None:
    results = read_csv(whole_study.comparison.folder / "results.csv")
    assert Counter(row["arm"] for row in results) == dict.fromkeys(DEFAULT_ARMS, 2)
    assert {row["steps"] for row in results} == {"6"}


def test_the_question_is_about_synthetic_images(whole_study: WholeStudy) -> None:
    question = whole_study.summary()["question"]
    assert question["arm"] == "real+gan+classical"
    assert question["reference"] == "real+classical"


def test_the_verdict_is_said(whole_study: WholeStudy) -> None:
    assert whole_study.summary()["sentence"] in whole_study.compare_output


def test_the_report_has_the_scores(whole_study: WholeStudy) -> None:
    page = (whole_study.comparison.folder / "report.html").read_text(encoding="utf-8")
    assert "not scored" not in page


def test_every_picture_is_whole(whole_study: WholeStudy) -> None:
    for path in whole_study.folder.rglob("*.png"):
        with Image.open(path) as image:
            image.verify()


def test_nothing_half_written_is_left(whole_study: WholeStudy) -> None:
    assert not list(whole_study.folder.rglob("*.partial"))


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the demo says, with smaller numbers than it has, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "PHANTOMS", 40)
        patch.setattr(demo, "SYNTHETIC", 16)
        patch.setattr(demo, "GAN", {"steps": 4, "image_size": 32, "width": 4, "batch_size": 8})
        patch.setattr(demo, "DESIGN", {"seeds": 2, "arms": "real,real+gan"})
        patch.setattr(demo, "CLASSIFIER", {"steps": 6, "batch_size": 8, "evaluate_every": 3})
        yield ok(cxr("demo", folder=tmp_path_factory.mktemp("demo") / "study"))


@pytest.mark.parametrize(
    "text",
    [
        "accuracy",
        "sensitivity",
        "specificity",
        "real+gan",
        "0006-compare/report.html",
    ],
)
def test_the_demo_is_a_whole_study(demo_output: str, text: str) -> None:
    assert text in demo_output


@pytest.mark.parametrize("preset", ["dcgan", "covidgan"])
def test_the_papers_can_be_trained(phantom_study: Path, tmp_path: Path, preset: str) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    options = ("--steps", 2, "--width", 4, "--batch-size", 4)
    ok(cxr("gan-train", "--preset", preset, *options, folder=study))
    ok(cxr("synthesize", "--n", 4, folder=study))
    assert len(list((study / "runs" / "0002-synthesize").rglob("synthetic-*.png"))) == 4
