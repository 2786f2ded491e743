"""Comparisons in which every patient is tested once, and in which few reals are drawn anew."""

from __future__ import annotations

import csv
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.comparison.datasets import load_datasets
from pipelines.comparison.design import Design
from pipelines.comparison.replicates import (
    WantedGenerator,
    continue_generator,
    find_generator,
    make_synthetic_set,
)
from pipelines.results.comparison_rows import ClassifierRow, read_rows
from pipelines.study.labels import list_classes
from pipelines.study.manifest import Row, read_manifest
from pipelines.study.runs import RunRequest
from pipelines.study.shares import RealShare
from pipelines.study.workspace import Workspace
from pipelines.training.generator import train_generator
from runtime.device import choose_compute
from runtime.run import Run, list_runs
from tests.conftest import TINY_CLASSIFIER, cxr, ok, signalled

ON_CPU = ["--device", "cpu", "--precision", "fp32"]
FOLDS = ["compare", "--arms", "real+gan", "--folds", 2, "--seeds", 2, *TINY_CLASSIFIER, *ON_CPU]
SUBSETS = ["--real-fractions", "0.5,1", "--subsets", 2, "--synthetic-ratio", 0.5]


@dataclass(frozen=True)
class Compared:
    """A study with a comparison."""

    study: Path

    @property
    def run(self) -> Run:
        return Run(self.study / "runs" / "0004-compare")

    @property
    def rows(self) -> list[ClassifierRow]:
        return read_rows(self.run)

    @property
    def manifest(self) -> list[Row]:
        return read_manifest(self.study / "data" / "manifest.csv")

    def replicates(self, command: str) -> list[Run]:
        return [run for run in list_runs(self.study / "replicates") if run.command == command]

    def tested(self, row: ClassifierRow) -> list[str]:
        """The images that a classifier was tested with."""
        levels = {
            "k": row.fold,
            "u": row.subset,
            "r": row.ratio,
            "g": row.generator,
            "d": row.draw,
            "s": row.seed,
        }
        name = f"{row.arm}-f{row.fraction:g}"
        name += "".join(f"-{key}{level:g}" for key, level in levels.items() if level is not None)
        path = self.run.folder / "classifiers" / name / "predictions.csv"
        with open(path, newline="", encoding="utf-8") as file:
            return [line["file_name"] for line in csv.DictReader(file)]


def timeless(folder: Path) -> list[ClassifierRow]:
    """The rows of results.csv but for the time that each classifier took."""
    return [ClassifierRow(**{**vars(row), "seconds": 0.0}) for row in read_rows(Run(folder))]


# Folds.


@pytest.fixture(scope="module")
def folded(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("folds") / "study"))
    ok(cxr(*FOLDS, folder=study))
    return Compared(study)


def test_every_arm_and_seed_is_trained_in_every_fold(folded: Compared) -> None:
    counts = Counter((row.arm, row.fold, row.seed) for row in folded.rows)
    assert counts == {
        (arm, fold, seed): 1 for arm in ("real", "real+gan") for fold in (0, 1) for seed in (0, 1)
    }


@pytest.mark.parametrize("arm", ["real", "real+gan"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_image_is_tested_once(folded: Compared, arm: str, seed: int) -> None:
    tested = Counter(
        name
        for row in folded.rows
        if (row.arm, row.seed) == (arm, seed)
        for name in folded.tested(row)
    )
    assert tested == Counter(row.file_name for row in folded.manifest)


def test_a_fold_has_a_generator_that_saw_its_training_images_alone(folded: Compared) -> None:
    workspace = Workspace(folded.study)
    generators = folded.replicates("gan-train")
    assert [(run.config["fold"], run.config["folds"]) for run in generators] == [(0, 2), (1, 2)]
    for fold, drawn in enumerate(folded.replicates("synthesize")):
        assert drawn.config["fold"] == fold
        training = RealShare(fold=fold, folds=2).training_rows(workspace)
        assert set(drawn.config["trained_on"]) == {row.sha256 for row in training}
        tested = {name for row in folded.rows if row.fold == fold for name in folded.tested(row)}
        assert not tested & {row.file_name for row in training}


def test_a_generator_of_a_fold_has_the_recipe_of_the_first(folded: Compared) -> None:
    first = Run(folded.study / "runs" / "0001-gan-train").config
    for run in folded.replicates("gan-train"):
        assert {name: run.config[name] for name in ("steps", "width", "seed", "learning_rate")} == {
            name: first[name] for name in ("steps", "width", "seed", "learning_rate")
        }


def test_the_card_of_a_generator_names_its_fold(folded: Compared) -> None:
    card = (folded.replicates("gan-train")[1].folder / "model_card.md").read_text()
    assert "in fold 1 of 0 to 1" in card


@pytest.mark.parametrize(
    "command",
    [["classify-train", "--with-synthetic", 90], ["compare", "--synthetic", 90, "--seeds", 2]],
    ids=["classify-train", "compare"],
)
def test_a_set_of_a_fold_is_refused_for_the_study_itself(
    folded: Compared, study: Path, command: list[object]
) -> None:
    drawn = folded.replicates("synthesize")[0].folder
    shutil.copytree(drawn, study / "runs" / "0090-synthesize")
    refused = cxr(*command, *TINY_CLASSIFIER, folder=study)
    assert refused.exit_code == 2
    assert "leak" in refused.output


def test_a_set_of_one_fold_is_refused_in_another(folded: Compared) -> None:
    workspace = Workspace(folded.study)
    design = Design(arms=("real", "real+gan"), seeds=2, folds=2)
    classes = list_classes(workspace.rows())
    datasets = load_datasets(workspace, design, classes, 32, classes, 24)
    of_first_fold = folded.replicates("synthesize")[0].folder
    for share in design.shares():
        datasets.synthetic_folders["gan", share, 0, 0] = of_first_fold
    own, other = (
        next(trial for trial in design.trials(0) if (trial.arm, trial.fold) == ("real+gan", fold))
        for fold in (0, 1)
    )
    assert datasets.training_sets(own)
    with pytest.raises(ValueError, match=r"leak: the generator of .* was trained on held-out"):
        datasets.training_sets(other)


def test_another_comparison_takes_the_generators_of_the_folds(folded: Compared) -> None:
    output = ok(cxr(*FOLDS, "--plan", folder=folded.study))
    assert "8 classifiers to train, and 0 generators before them; tested on 64 images" in output


@pytest.mark.parametrize(
    "share", [RealShare(), RealShare(fold=0, folds=3), RealShare(0.5, 0, 0, 2)], ids=str
)
def test_a_generator_of_a_fold_is_taken_for_no_other(folded: Compared, share: RealShare) -> None:
    workspace = Workspace(folded.study)
    first = workspace.find_run("gan-train")
    found = find_generator(workspace, first, WantedGenerator(share, 0, first.config["seed"]))
    assert found == (first if share == RealShare() else None)


def test_an_unfinished_generator_of_a_fold_is_gone_on_with_for_it_alone(study: Path) -> None:
    workspace, compute = Workspace(study), choose_compute("cpu", "fp32")
    options = {"steps": 2, "image_size": 32, "width": 4, "batch_size": 8, "sample_every": 2}
    share = RealShare(fold=1, folds=2)
    begun = train_generator(workspace, options, RunRequest(compute=compute), share=share)
    (begun.folder / "result.json").unlink()
    workspace.release()
    other = continue_generator(workspace, options, RealShare(fold=0, folds=2), None, compute)
    assert other.name != begun.name
    same = continue_generator(workspace, options, share, None, compute)
    assert same.name == begun.name


def test_a_resumed_generator_keeps_its_fold(study: Path) -> None:
    workspace, compute = Workspace(study), choose_compute("cpu", "fp32")
    options = {"steps": 2, "image_size": 32, "width": 4, "batch_size": 8, "sample_every": 2}
    share = RealShare(fold=1, folds=2)
    begun = train_generator(workspace, options, RunRequest(compute=compute), share=share)
    data = begun.result["data"]
    (begun.folder / "result.json").unlink()
    workspace.release()
    ok(cxr("gan-train", "--resume", begun.name, folder=study))
    assert begun.result["data"] == data
    drawn = make_synthetic_set(workspace, workspace.find_run("synthesize"), begun, 0, 8, compute)
    assert drawn.config["fold"] == 1


# Cut short and resumed, and in two processes.


def test_an_interrupted_comparison_goes_on_with_its_folds(folded: Compared, study: Path) -> None:
    """First in the generator of the last fold, then in one of its classifiers."""
    folder = study / "runs" / "0004-compare"
    generator = study / "replicates" / "0002-gan-train"
    with signalled(generator / "journal.jsonl", 1, signal.SIGINT):
        assert cxr(*FOLDS, folder=study).exit_code == 130
    classifier = folder / "classifiers" / "real+gan-f1-k1-g0-d0-s0"
    with signalled(classifier / "journal.jsonl", 1, signal.SIGINT):
        assert cxr("compare", "--resume", folder=study).exit_code == 130
    finished = next(folder.rglob("metrics.json"))
    written = finished.stat().st_mtime_ns
    refused = cxr("compare", "--resume", "--folds", 3, folder=study)
    assert refused.exit_code == 2
    assert "--folds 2 → 3" in refused.output
    ok(cxr("compare", "--resume", folder=study))
    assert timeless(folder) == timeless(folded.run.folder)
    assert finished.stat().st_mtime_ns == written, "what was finished is not trained again"


# Subsets.


@pytest.fixture(scope="module")
def redrawn(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("subsets") / "study"))
    ok(
        cxr(
            *("compare", "--arms", "real+gan", "--seeds", 2, *SUBSETS, *TINY_CLASSIFIER),
            *ON_CPU,
            folder=study,
        )
    )
    return Compared(study)


def test_the_reals_of_a_fraction_are_drawn_as_often_as_asked(redrawn: Compared) -> None:
    counts = Counter((row.arm, row.fraction, row.subset) for row in redrawn.rows)
    assert counts == {
        (arm, fraction, subset): 2
        for arm in ("real", "real+gan")
        for fraction, subset in ((0.5, 0), (0.5, 1), (1.0, None))
    }


def test_a_subset_has_a_generator_of_its_own(redrawn: Compared) -> None:
    configs = [run.config for run in redrawn.replicates("gan-train")]
    assert [RealShare.from_record(config) for config in configs] == [
        RealShare(0.5),
        RealShare(0.5, 1),
    ]
    first, second = (set(run.config["trained_on"]) for run in redrawn.replicates("synthesize"))
    assert first != second


def test_the_worth_in_real_images_is_told_with_subsets(redrawn: Compared) -> None:
    assert "would have done" in (redrawn.run.folder / "summary.json").read_text()


# What is refused before anything is made.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", 0], "--folds 0: expected 2 or more"),
        (["--folds", -3], "--folds -3: expected 2 or more"),
        (["--folds", 60], "--folds 60: covid has"),
        (["--subsets", 0], "--subsets 0: expected at least 1"),
        (["--subsets", 2], "--subsets 2: all of the reals can be drawn in one way only"),
        (["--folds", 2, "--real-fractions", "0.2,1"], "of normal, expected 8 or more"),
        (["--subsets", 2, "--real-fractions", "0.2,1"], "of covid, expected 8 or more"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(study: Path, options: list[object], message: str) -> None:
    before = sorted(study.rglob("*"))
    refused = cxr("compare", "--arms", "real+gan", *options, *TINY_CLASSIFIER, folder=study)
    assert refused.exit_code == 2
    assert message in refused.output
    assert refused.output.count("\n") == 1
    assert sorted(study.rglob("*")) == before


def test_a_fold_without_a_class_is_refused(study: Path) -> None:
    """Of two patients of a class each fold tests one, and the other cannot do for two splits."""
    manifest = study / "data" / "manifest.csv"
    rows = read_manifest(manifest)
    few = sorted({row.patient for row in rows if row.label == "covid"})[:2]
    Workspace(study).write_rows([row for row in rows if row.label != "covid" or row.patient in few])
    refused = cxr(
        *("compare", "--arms", "real+classical", "--folds", 2, *TINY_CLASSIFIER), folder=study
    )
    assert refused.exit_code == 2
    assert "--folds 2: no image of covid in the validation split of fold 0" in refused.output


def test_one_fold_is_the_split_of_the_study(study: Path) -> None:
    output = ok(cxr("compare", "--plan", "--folds", 1, *TINY_CLASSIFIER, folder=study))
    tested = sum(row.split == "test" for row in read_manifest(study / "data" / "manifest.csv"))
    assert f"tested on {tested} images" in output
