"""`--resume`: a stopped command goes on where it was, with the options that it had."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runtime import checkpoint
from tests.conftest import TINY_CLASSIFIER, TINY_GAN, cxr, ok
from tests.support.command_server import CommandResult, CommandServer, wait_for_file
from tests.support.study_files import file_contents

GAN_RUN = Path("runs", "0001-gan-train")


def load_checkpoint(run: Path) -> dict[str, Any]:
    return checkpoint.load(run / "checkpoints" / "last.pt", "gan checkpoint")


def final_state(run: Path) -> dict[str, Any]:
    """Return the weights and the moments of a generator, its step and its journal."""
    state = load_checkpoint(run)
    weights = {
        f"{part}.{name}": value.numpy().tobytes()
        for part in ("generator", "discriminator", "average")
        for name, value in state[part].items()
    }
    moments = {
        f"{part}.{index}.{name}": value.numpy().tobytes()
        for part in ("generator_optimizer", "discriminator_optimizer")
        for index, moment in state[part]["state"].items()
        for name, value in moment.items()
    }
    journal = (run / "journal.jsonl").read_bytes()
    return weights | moments | {"journal": journal, "step": state["step"]}


@pytest.fixture(scope="module")
def interrupted(
    command_server: CommandServer, phantom_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, CommandResult]:
    """A study whose gan-train was stopped with Ctrl-C, and how that ended."""
    study = Path(shutil.copytree(phantom_study, tmp_path_factory.mktemp("interrupted") / "study"))
    process = command_server.start("gan-train", "--steps", 100_000, *TINY_GAN, folder=study)
    wait_for_file(study / GAN_RUN / "samples" / "step-000004.png")
    os.kill(process, signal.SIGINT)
    return study, command_server.wait(process)


def test_stopped_by_ctrl_c_a_command_says_how_to_go_on(
    interrupted: tuple[Path, CommandResult],
) -> None:
    study, result = interrupted
    assert result.returncode == 130
    assert "--resume" in result.stderr
    assert "Traceback" not in result.stderr
    assert f"stopped at step {load_checkpoint(study / GAN_RUN)['step']}" in result.stderr


def test_a_stopped_training_goes_on_with_no_other_options(
    interrupted: tuple[Path, CommandResult],
) -> None:
    refused = cxr("gan-train", "--resume", "--width", 8, folder=interrupted[0])
    assert refused.exit_code == 2
    assert "--width 4 → 8" in refused.output


def test_images_can_be_drawn_from_a_stopped_training(
    interrupted: tuple[Path, CommandResult],
) -> None:
    assert cxr("synthesize", "--n", 2, folder=interrupted[0]).exit_code == 0


@dataclass(frozen=True)
class UnfinishedRun:
    """A study whose last run is as a kill leaves it, and what was in that run's folder before."""

    study: Path
    folder: Path
    whole: dict[str, bytes]

    def copy(self, folder: Path) -> UnfinishedRun:
        """Return the same in a copy of the study, to go on with."""
        study = Path(shutil.copytree(self.study, folder))
        return replace(self, study=study, folder=study / self.folder.relative_to(self.study))


def take_away(study: Path, run: str, names: tuple[str, ...]) -> UnfinishedRun:
    """Delete files of a finished run, with which it is unfinished."""
    folder = study / "runs" / run
    whole = file_contents(folder)
    for name in names:
        (folder / name).unlink()
    return UnfinishedRun(study, folder, whole)


@pytest.fixture(scope="module")
def unfinished_set(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> UnfinishedRun:
    """A synthetic set as a kill leaves it. Not to be changed: copy it."""
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("unfinished set") / "study"))
    ok(cxr("synthesize", "--n", 130, "--seed", 5, folder=study))
    names = (
        "result.json",
        "manifest.csv",
        "samples.png",
        "images/covid/synthetic-000030.png",
        "images/normal/synthetic-000129.png",
    )
    return take_away(study, "0004-synthesize", names)


def test_an_unfinished_set_is_completed_and_what_was_there_is_kept(
    unfinished_set: UnfinishedRun, tmp_path: Path
) -> None:
    run = unfinished_set.copy(tmp_path / "study")
    kept = run.folder / "images/covid/synthetic-000060.png"
    written = kept.stat().st_mtime_ns
    ok(cxr("synthesize", "--resume", folder=run.study))
    assert file_contents(run.folder) == run.whole
    assert kept.stat().st_mtime_ns == written


def test_an_unfinished_set_is_completed_with_no_other_options(
    unfinished_set: UnfinishedRun,
) -> None:
    refused = cxr("synthesize", "--resume", "--n", 200, folder=unfinished_set.study)
    assert refused.exit_code == 2
    assert "--n 130 → 200" in refused.output


def test_a_finished_generator_is_not_taken_for_an_unfinished_one(study: Path) -> None:
    assert cxr("gan-train", "--resume", folder=study).exit_code == 2


def test_a_generator_trained_for_longer_is_that_of_one_long_training(study: Path) -> None:
    ok(cxr("gan-train", "--resume", "1", "--steps", 12, folder=study))
    fresh = Path(shutil.copytree(study, study.parent / "fresh"))
    ok(cxr("gan-train", "--steps", 12, *TINY_GAN, folder=fresh))
    assert final_state(study / GAN_RUN) == final_state(fresh / "runs" / "0004-gan-train")


@pytest.fixture(scope="module")
def unfinished_classifier(
    tiny_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> UnfinishedRun:
    """A classifier as a kill leaves it. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("unfinished classifier")
    study = Path(shutil.copytree(tiny_study, folder / "study"))
    ok(cxr("classify-train", "--positive", "normal", *TINY_CLASSIFIER, folder=study))
    names = ("result.json", "metrics.json", "confusion_matrix.png")
    return take_away(study, "0004-classify-train", names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--positive", "covid"], "→ covid"),
        (["--with-synthetic"], "was begun without synthetic images"),
        (["--image-size", 48], "--image-size 32 → 48"),
    ],
    ids=["positive", "with-synthetic", "image-size"],
)
def test_an_unfinished_classifier_goes_on_with_no_other_options(
    unfinished_classifier: UnfinishedRun, options: list[object], message: str
) -> None:
    refused = cxr("classify-train", "--resume", *options, folder=unfinished_classifier.study)
    assert refused.exit_code == 2
    assert message in refused.output


def test_an_unfinished_classifier_keeps_every_option(
    unfinished_classifier: UnfinishedRun, tmp_path: Path
) -> None:
    run = unfinished_classifier.copy(tmp_path / "study")
    ok(cxr("classify-train", "--resume", folder=run.study))
    assert (run.folder / "metrics.json").read_bytes() == run.whole["metrics.json"]
    assert (run.folder / "confusion_matrix.png").exists()
