from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from runtime import lock
from runtime.device import choose_compute
from runtime.run import create_run, list_runs


def begin(folder: Path) -> list[str]:
    return [
        create_run(folder, command, {}).name for command in ("gan-train", "synthesize", "score") * 5
    ]


def test_processes_at_once_never_share_a_number(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        names = sum(pool.map(begin, [tmp_path] * 4), [])
    numbers = [name.split("-")[0] for name in names]
    assert len(set(numbers)) == len(numbers) == 60
    assert sorted(run.name for run in list_runs(tmp_path)) == sorted(names)


def test_a_folder_that_a_crash_left_unnamed_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "half-written").touch()
    run = create_run(tmp_path, "score", {})
    assert (
        [path.name for path in tmp_path.iterdir() if path.name != ".lock"]
        == [run.name]
        == ["0001-score"]
    )
    assert {path.name for path in run.folder.iterdir()} == {".lock", "config.json"}


def test_a_killed_run_of_a_command_that_cannot_be_resumed_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_journal_is_cut_back_to_where_a_checkpoint_was(tmp_path: Path) -> None:
    run = create_run(tmp_path, "gan-train", {"a": 1})
    run.log(step=1)
    size = run.journal_size()
    run.log(step=2)
    run.rewind_journal(size)
    assert run.journal() == [{"step": 1}]
    assert not run.finished
    run.finish({"x": 1})
    assert run.finished
    assert run.result == {"x": 1}
    assert run.config == {"a": 1}
    assert run.command == "gan-train"


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:99", "cpu:0", ""])
def test_an_absent_device_is_named(device: str) -> None:
    with pytest.raises(ValueError, match="--device"):
        choose_compute(device)


def test_the_cpu_is_always_there() -> None:
    assert choose_compute("cpu", "fp32").precision == "fp32"
    with pytest.raises(ValueError, match="--precision"):
        choose_compute("cpu", "fp16")
