"""`--resume`: a stopped command goes on where it was, with the options that it had."""

from __future__ import annotations

import os
import shutil
import signal
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


@pytest.fixture
def unfinished_set(study: Path) -> tuple[Path, dict[str, bytes]]:
    """The folder of a synthetic set as a kill leaves it, and what was in it before."""
    ok(cxr("synthesize", "--n", 130, "--seed", 5, folder=study))
    folder = study / "runs" / "0004-synthesize"
    whole = file_contents(folder)
    for name in (
        "result.json",
        "manifest.csv",
        "samples.png",
        "images/covid/synthetic-000030.png",
        "images/normal/synthetic-000129.png",
    ):
        (folder / name).unlink()
    return folder, whole


def test_an_unfinished_set_is_completed_and_what_was_there_is_kept(
    study: Path, unfinished_set: tuple[Path, dict[str, bytes]]
) -> None:
    folder, whole = unfinished_set
    kept = folder / "images/covid/synthetic-000060.png"
    written = kept.stat().st_mtime_ns
    ok(cxr("synthesize", "--resume", folder=study))
    assert file_contents(folder) == whole
    assert kept.stat().st_mtime_ns == written


def test_an_unfinished_set_is_completed_with_no_other_options(
    study: Path, unfinished_set: tuple[Path, dict[str, bytes]]
) -> None:
    refused = cxr("synthesize", "--resume", "--n", 200, folder=study)
    assert refused.exit_code == 2
    assert "--n 130 → 200" in refused.output


def test_a_finished_generator_is_not_taken_for_an_unfinished_one(study: Path) -> None:
    assert cxr("gan-train", "--resume", folder=study).exit_code == 2


def test_a_generator_trained_for_longer_is_that_of_one_long_training(study: Path) -> None:
    ok(cxr("gan-train", "--resume", "1", "--steps", 12, folder=study))
    fresh = Path(shutil.copytree(study, study.parent / "fresh"))
    ok(cxr("gan-train", "--steps", 12, *TINY_GAN, folder=fresh))
    assert final_state(study / GAN_RUN) == final_state(fresh / "runs" / "0004-gan-train")


@pytest.fixture
def unfinished_classifier(study: Path) -> tuple[Path, bytes]:
    """The folder of a classifier as a kill leaves it, and its metrics.json before."""
    ok(cxr("classify-train", "--positive", "normal", *TINY_CLASSIFIER, folder=study))
    folder = study / "runs" / "0004-classify-train"
    metrics = (folder / "metrics.json").read_bytes()
    for name in ("result.json", "metrics.json", "confusion_matrix.png"):
        (folder / name).unlink()
    return folder, metrics


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
    study: Path, unfinished_classifier: tuple[Path, bytes], options: list[object], message: str
) -> None:
    refused = cxr("classify-train", "--resume", *options, folder=study)
    assert refused.exit_code == 2
    assert message in refused.output


def test_an_unfinished_classifier_keeps_every_option(
    study: Path, unfinished_classifier: tuple[Path, bytes]
) -> None:
    folder, metrics = unfinished_classifier
    ok(cxr("classify-train", "--resume", folder=study))
    assert (folder / "metrics.json").read_bytes() == metrics
    assert (folder / "confusion_matrix.png").exists()
