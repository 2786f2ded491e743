"""Comparisons that are tested on an external set too."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.metrics.names import MEASURE_TITLES
from pipelines.results.classifier_result import ClassifierResult
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.study.manifest import Row
from pipelines.study.workspace import Workspace
from runtime.run import Run
from tests.conftest import TINY_CLASSIFIER, cxr, ok

ARMS = ("--arms", "real+classical", "--seeds", 2)


@dataclass(frozen=True)
class Compared:
    """A study with a comparison, and what the command printed."""

    run: Run
    output: str

    @property
    def summary(self) -> ComparisonSummary:
        return ComparisonSummary.load(self.run)

    def classifiers(self, arm: str) -> list[Run]:
        return [Run(path) for path in (self.run.folder / "classifiers").glob(f"{arm}-f*")]


def compare(
    phantoms: Path, folder: Path, is_external: Callable[[Row], bool], *options: object
) -> Compared:
    """Compare two arms on phantoms, some of whose training images are external instead."""
    study = Path(shutil.copytree(phantoms, folder / "study"))
    workspace = Workspace(study)
    training = [row for row in workspace.rows() if row.split == "train" and is_external(row)]
    patients = set(sorted({row.patient for row in training})[::3])
    workspace.write_rows(
        [
            replace(row, split="external") if row.patient in patients else row
            for row in workspace.rows()
        ]
    )
    output = ok(cxr("compare", *ARMS, *options, *TINY_CLASSIFIER, folder=study))
    return Compared(Run(study / "runs" / "0001-compare"), output)


@pytest.fixture(scope="module")
def compared(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """With external images of both labels."""
    return compare(phantom_study, tmp_path_factory.mktemp("both"), lambda row: True)


@pytest.mark.parametrize("arm", ["real", "real+classical"])
@pytest.mark.parametrize("measure", MEASURE_TITLES)
def test_a_measure_outside_is_the_mean_of_the_classifiers(
    compared: Compared, arm: str, measure: str
) -> None:
    (result,) = [result for result in compared.summary.results if result.arm == arm]
    outside = result.outside[measure]
    singles = [ClassifierResult.load(run).external for run in compared.classifiers(arm)]
    values = [single.measures[measure].value for single in singles if single]
    assert len(values) == 2
    assert outside.estimate.value == pytest.approx(np.mean(values))
    assert outside.fall.value == pytest.approx(result.measures.of(measure).value - np.mean(values))


def test_the_external_set_is_counted(compared: Compared) -> None:
    external = compared.summary.external
    assert external is not None
    assert external.all.patients == sum(count.patients for count in external.labels.values())
    assert external.all.images == sum(count.images for count in external.labels.values())
    assert external.undefined == ""


def test_inside_outside_and_the_fall_are_printed_for_every_arm(compared: Compared) -> None:
    result = compared.summary.primary_result()
    (line,) = [
        line
        for line in compared.output.splitlines()
        if line.startswith(result.arm) and result.outside["accuracy"].fall.percent("+.1f") in line
    ]
    for name in ("accuracy", "roc_auc"):
        assert result.measures.of(name).percent() in line
        assert result.outside[name].estimate.percent() in line


def test_the_answer_and_the_page_tell_of_it(compared: Compared) -> None:
    assert "On the external set (" in compared.summary.sentence
    assert "nothing is said about other hospitals" not in " ".join(compared.summary.limits)
    assert "On the external test set" in (compared.run.folder / "report.html").read_text()
    assert (compared.run.folder / "external.png").exists()


@pytest.fixture(scope="module")
def one_label(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """With external images of one label only, in two folds."""
    folder = tmp_path_factory.mktemp("one-label")
    return compare(phantom_study, folder, lambda row: row.label == "covid", "--folds", 2)


def test_of_one_label_what_is_not_defined_has_a_dash_and_the_reason(one_label: Compared) -> None:
    result = one_label.summary.primary_result()
    assert set(result.outside) == {"accuracy", "sensitivity"}
    reason = (
        "the external set has no image of normal, without which balanced accuracy, ROC AUC "
        "and specificity are not defined"
    )
    assert f"–: {reason}" in one_label.output
    assert reason in (one_label.run.folder / "report.html").read_text()
    assert "On the external set" not in one_label.summary.sentence


def test_with_folds_the_classifiers_of_all_folds_are_tested_outside(one_label: Compared) -> None:
    result = one_label.summary.primary_result()
    answers = [
        line["label"] == line["predicted"]
        for run in one_label.classifiers(result.arm)
        for line in csv.DictReader(
            (run.folder / "predictions_external.csv").read_text().splitlines()
        )
    ]
    assert len(one_label.classifiers(result.arm)) == 4
    assert result.outside["accuracy"].estimate.value == pytest.approx(np.mean(answers))
