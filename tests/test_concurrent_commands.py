"""Two commands in one study at once: neither takes the other's number, nor spoils what it does, and a killed one keeps nobody out."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from pipelines.study.workspace import Workspace
from runtime import lock
from runtime.lock import held
from runtime.run import list_runs
from tests.conftest import TINY_CLASSIFIER, TINY_GAN, cxr, ok
from tests.support.command_server import CommandServer
from tests.support.study_files import file_contents


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists()


def test_commands_started_at_once_do_what_they_do_one_after_the_other(
    command_server: CommandServer, study: Path, tmp_path: Path
) -> None:
    commands = [
        ("synthesize", "--n", 30, "--seed", 1),
        ("synthesize", "--n", 40, "--seed", 2),
        ("classify-train", *TINY_CLASSIFIER),
    ]
    processes = [command_server.start(*command, folder=study) for command in commands]
    for process in processes:
        ended = command_server.wait(process)
        assert ended.returncode == 0, ended.stderr
    made = list_runs(study / "runs")[3:]
    assert [int(run.name[:4]) for run in made] == [4, 5, 6]
    assert all(run.finished for run in made)
    assert sorted(run.command for run in made) == ["classify-train", "synthesize", "synthesize"]
    alone = Path(
        shutil.copytree(
            study, tmp_path / "alone", ignore=shutil.ignore_patterns("0004-*", "0005-*", "0006-*")
        )
    )
    for command in commands[:2]:
        ok(cxr(*command, folder=alone))
    by_size = {run.config["n"]: run for run in made if run.command == "synthesize"}
    for run in list_runs(alone / "runs")[3:]:
        assert file_contents(run.folder) == file_contents(by_size[run.config["n"]].folder)


def test_a_run_at_work_is_left_alone_and_a_killed_one_is_not(
    command_server: CommandServer,
    phantom_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lock, "LOCK_TIMEOUT", 0.5)
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    run = study / "runs" / "0001-gan-train"
    process = command_server.start("gan-train", "--steps", 100_000, *TINY_GAN, folder=study)
    try:
        wait_for(run / "samples" / "step-000004.png")
        refused = cxr("gan-train", "--resume", folder=study)
        assert refused.exit_code == 2
        assert (
            f"another process is at work in {run}; wait until it has ended, or stop it"
            in refused.output
        )
        reached = [
            event["step"] for event in list_runs(study / "runs")[0].journal() if "step" in event
        ]
        assert sorted(reached) == reached, "one process writes the journal"
    finally:
        os.kill(process, signal.SIGKILL)
        ended = command_server.wait(process)
    assert ended.killed, f"it was at work until then: {ended}"
    refused = cxr("gan-train", "--resume", "--steps", 4, folder=study)
    assert "--steps 100000 → 4" in refused.output, "nobody is at work now"
    at_4 = file_contents(run)["samples/step-000004.png"]
    with held(run):
        again = cxr("gan-train", "--resume", "--steps", 100_004, folder=study)
        assert again.exit_code == 2
        assert "another process is at work" in again.output
    assert file_contents(run)["samples/step-000004.png"] == at_4


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
    processes = [
        command_server.start("data", "phantom", "--n", 20, "--seed", seed, folder=study)
        for seed in (11, 12)
    ]
    outcomes = [command_server.wait(process) for process in processes]
    for ended in outcomes:
        assert ended.returncode == 0 or "another process is at work in" in ended.error_line
    whole = sum(ended.returncode == 0 for ended in outcomes)
    assert whole >= 1
    with open(study / "data" / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 * whole == len(list((study / "data" / "images").rglob("*.png")))
    assert len(Workspace(study).imports()) == whole
