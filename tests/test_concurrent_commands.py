"""Two commands in one study at once do not get in each other's way.

Neither takes the other's number, nor spoils what it does, and a killed one keeps nobody out.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.study.workspace import Workspace
from runtime import lock
from runtime.lock import held
from runtime.run import Run, list_runs
from tests.conftest import TINY_CLASSIFIER, TINY_GAN, cxr, ok
from tests.support.command_server import CommandServer, wait_for_file
from tests.support.study_files import file_contents

SYNTHESES = [("synthesize", "--n", 30, "--seed", 1), ("synthesize", "--n", 40, "--seed", 2)]
GAN_RUN = Path("runs", "0001-gan-train")


@dataclass(frozen=True)
class ConcurrentRuns:
    """A study, and the runs that three commands started at once have made in it."""

    study: Path
    runs: list[Run]


@pytest.fixture(scope="module")
def concurrent(
    command_server: CommandServer, tiny_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> ConcurrentRuns:
    """Two synthetic sets and a classifier, made at once in a copy of the tiny study."""
    study = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("concurrent") / "study"))
    commands = [*SYNTHESES, ("classify-train", *TINY_CLASSIFIER)]
    for process in [command_server.start(*command, folder=study) for command in commands]:
        result = command_server.wait(process)
        assert result.returncode == 0, result.stderr
    return ConcurrentRuns(study, list_runs(study / "runs")[3:])


def test_commands_started_at_once_get_numbers_of_their_own(concurrent: ConcurrentRuns) -> None:
    assert [int(run.name[:4]) for run in concurrent.runs] == [4, 5, 6]


def test_commands_started_at_once_all_finish(concurrent: ConcurrentRuns) -> None:
    assert all(run.finished for run in concurrent.runs)
    commands = sorted(run.command for run in concurrent.runs)
    assert commands == ["classify-train", "synthesize", "synthesize"]


def test_commands_started_at_once_do_what_they_do_one_after_the_other(
    concurrent: ConcurrentRuns, study: Path
) -> None:
    for command in SYNTHESES:
        ok(cxr(*command, folder=study))
    by_size = {run.config["n"]: run for run in concurrent.runs if run.command == "synthesize"}
    for run in list_runs(study / "runs")[3:]:
        assert file_contents(run.folder) == file_contents(by_size[run.config["n"]].folder)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands of this process wait for a lock for half a second only."""
    monkeypatch.setattr(lock, "LOCK_TIMEOUT", 0.5)


@pytest.fixture
def training(
    command_server: CommandServer, phantom_study: Path, tmp_path: Path, impatient: None
) -> Iterator[Path]:
    """A study with a training at work in it, which is killed when the test has ended."""
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    process = command_server.start("gan-train", "--steps", 100_000, *TINY_GAN, folder=study)
    try:
        wait_for_file(study / GAN_RUN / "samples" / "step-000004.png")
        yield study
    finally:
        os.kill(process, signal.SIGKILL)
        result = command_server.wait(process)
    assert result.killed, f"it was at work until then: {result}"


def test_a_run_at_work_is_not_resumed(training: Path) -> None:
    refused = cxr("gan-train", "--resume", folder=training)
    assert refused.exit_code == 2
    assert (
        f"another process is at work in {training / GAN_RUN}; wait until it has ended, or stop it"
        in refused.output
    )
    steps = [event["step"] for event in Run(training / GAN_RUN).journal() if "step" in event]
    assert sorted(steps) == steps, "one process writes the journal"


def test_a_killed_run_keeps_nobody_out(
    command_server: CommandServer, phantom_study: Path, tmp_path: Path, impatient: None
) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    process = command_server.start("gan-train", "--steps", 100_000, *TINY_GAN, folder=study)
    wait_for_file(study / GAN_RUN / "samples" / "step-000004.png")
    os.kill(process, signal.SIGKILL)
    assert command_server.wait(process).killed
    refused = cxr("gan-train", "--resume", "--steps", 4, folder=study)
    assert "--steps 100000 → 4" in refused.output, "what it says is not about another process"


def test_a_run_at_work_is_left_alone(study: Path, impatient: None) -> None:
    before = file_contents(study / GAN_RUN)
    with held(study / GAN_RUN):
        refused = cxr("gan-train", "--resume", "1", "--steps", 12, folder=study)
    assert refused.exit_code == 2
    assert "another process is at work" in refused.output
    assert file_contents(study / GAN_RUN) == before


def test_a_command_sees_one_study_whatever_is_imported_meanwhile(
    phantom_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    workspace = Workspace(study)
    before = list(workspace.rows())
    ok(cxr("data", "phantom", "--n", 8, "--seed", 5, folder=study))
    assert workspace.rows() == before
    assert workspace.replicates.rows() == before
    assert len(Workspace(study).rows()) > len(before)


def test_two_imports_at_once_lose_nothing(command_server: CommandServer, tmp_path: Path) -> None:
    study = tmp_path / "study"
    results = [
        command_server.wait(process)
        for process in [
            command_server.start("data", "phantom", "--n", 20, "--seed", seed, folder=study)
            for seed in (11, 12)
        ]
    ]
    for result in results:
        if result.returncode:
            assert "another process is at work in" in result.error_line
    num_imported = sum(result.returncode == 0 for result in results)
    assert num_imported >= 1
    with open(study / "data" / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 * num_imported
    assert len(list((study / "data" / "images").rglob("*.png"))) == 20 * num_imported
    assert len(Workspace(study).imports()) == num_imported
