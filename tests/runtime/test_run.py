"""Runs are numbered folders, each its process's own, with a journal that can be cut back."""

from __future__ import annotations

import itertools
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from runtime import lock
from runtime.run import Run, create_run, list_runs


def create_fifteen_runs(folder: Path) -> list[str]:
    commands = ("gan-train", "synthesize", "score") * 5
    return [create_run(folder, command, {}).name for command in commands]


def test_processes_at_once_never_share_a_number(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        names = list(itertools.chain(*pool.map(create_fifteen_runs, [tmp_path] * 4)))
    numbers = [name.split("-")[0] for name in names]
    assert len(set(numbers)) == len(numbers) == 60
    assert sorted(run.name for run in list_runs(tmp_path)) == sorted(names)


def test_runs_are_listed_by_number(tmp_path: Path) -> None:
    for name in ("10000-score", "0002-audit", "0010-score", "notes", ".new"):
        (tmp_path / name).mkdir()
    assert [run.name for run in list_runs(tmp_path)] == ["0002-audit", "0010-score", "10000-score"]


def test_there_are_no_runs_without_their_folder(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "absent") == []


def test_a_folder_that_a_crash_left_unnamed_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "half-written").touch()
    run = create_run(tmp_path, "score", {})
    assert run.name == "0001-score"
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "0001-score"}
    assert {path.name for path in run.folder.iterdir()} == {".lock", "config.json"}


def test_a_killed_run_of_a_command_that_cannot_be_resumed_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one that is finished, at work, or of another command."""
    monkeypatch.setattr(lock, "LOCK_TIMEOUT", 0.1)
    finished, killed, at_work = (
        create_run(tmp_path, "score", {"number": number}) for number in (1, 2, 3)
    )
    create_run(tmp_path, "gan-train", {})
    finished.finish({})
    killed.lock.release()
    assert create_run(tmp_path, "score", {}, instead=True).name == "0005-score"
    assert [run.name for run in list_runs(tmp_path)] == [
        "0001-score",
        "0003-score",
        "0004-gan-train",
        "0005-score",
    ]
    at_work.lock.release()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path, "gan-train", {"a": 1})


def test_a_run_knows_its_command_and_what_it_was_asked_for(run: Run) -> None:
    assert run.command == "gan-train"
    assert run.config == {"a": 1}


def test_a_run_is_finished_once_it_has_a_result(run: Run) -> None:
    assert not run.finished
    run.finish({"x": 1})
    assert run.finished
    assert run.result == {"x": 1}


def test_a_run_that_is_reopened_is_unfinished_and_has_the_new_options(run: Run) -> None:
    run.finish({"x": 1})
    run.reopen({"b": 2})
    assert not run.finished
    assert run.config == {"a": 1, "b": 2}


def test_a_journal_is_cut_back_to_where_a_checkpoint_was(run: Run) -> None:
    run.log(step=1)
    size = run.journal_size()
    run.log(step=2)
    run.rewind_journal(size)
    assert run.journal() == [{"step": 1}]


def test_a_journal_can_be_read_up_to_a_size(run: Run) -> None:
    run.log(step=1)
    size = run.journal_size()
    run.log(step=2)
    assert run.journal(size) == [{"step": 1}]


def test_a_damaged_line_of_a_journal_is_named(run: Run) -> None:
    run.log(step=1)
    with run.journal_path.open("a") as file:
        file.write('{"step": ')
    with pytest.raises(ValueError, match=r"journal\.jsonl, line 2 is no event"):
        run.journal()
