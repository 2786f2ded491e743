from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from runtime.device import choose_compute
from runtime.run import create_run, list_runs


def claim(folder: Path) -> list[str]:
    return [create_run(folder, command, {}).name for command in ("gan-train", "synthesize", "score") * 5]


def test_processes_at_once_never_share_a_number(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        names = sum(pool.map(claim, [tmp_path] * 4), [])
    numbers = [name.split("-")[0] for name in names]
    assert len(set(numbers)) == len(numbers) == 60
    assert sorted(run.name for run in list_runs(tmp_path)) == sorted(names)


def test_a_claim_left_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "0001").mkdir()
    assert create_run(tmp_path, "score", {}).name == "0002-score"
    assert [run.name for run in list_runs(tmp_path)] == ["0002-score"]


def test_a_journal_is_cut_back_to_where_a_checkpoint_was(tmp_path: Path) -> None:
    run = create_run(tmp_path, "gan-train", {"a": 1})
    run.log(step=1)
    size = run.journal_size()
    run.log(step=2)
    run.rewind_journal(size)
    assert run.journal() == [{"step": 1}]
    assert not run.finished
    run.finish({"x": 1})
    assert run.finished and run.result == {"x": 1} and run.config == {"a": 1} and run.command == "gan-train"


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "cuda:99", "cpu:0", ""])
def test_an_absent_device_is_named(device: str) -> None:
    with pytest.raises(ValueError, match="--device"):
        choose_compute(device)


def test_the_cpu_is_always_there() -> None:
    assert choose_compute("cpu", "fp32").precision == "fp32"
    with pytest.raises(ValueError, match="--precision"):
        choose_compute("cpu", "fp16")
