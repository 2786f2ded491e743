"""Beginning runs and going on with them: a run keeps its settings, its device and its precision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from classifier.config import ClassifierConfig
from pipelines.study.runs import RunRequest, RunStart, prepare_run
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import Run
from tests.conftest import TINY_CLASSIFIER, cxr, ok
from tests.support.command_steps import IN_FP32

CPU = Compute(torch.device("cpu"), "fp32")


@dataclass(frozen=True, kw_only=True)
class Settings:
    config: ClassifierConfig
    labels: tuple[str, ...] = ()
    minutes: float | None = None


def prepare(folder: Path, request: RunRequest, **given: Any) -> RunStart[Settings]:
    return prepare_run(
        Workspace(folder),
        "classify-train",
        Settings,
        given,
        request,
        may_grow=("steps",),
        may_change=("minutes",),
    )


def begin(folder: Path, **given: Any) -> Run:
    start = prepare(folder, RunRequest(compute=CPU), **given)
    run = start.begin({"data": "abc"})
    start.workspace.release()
    return run


def resume(folder: Path, **given: Any) -> RunStart[Settings]:
    return prepare(folder, RunRequest(resume="", device="cpu"), **given)


def rewrite_config(run: Run, **changes: Any) -> None:
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_new_run_records_settings_facts_and_compute_side_by_side(tmp_path: Path) -> None:
    config = begin(tmp_path, steps=7, labels=("a", "b")).config
    recorded = {name: config[name] for name in ("steps", "labels", "minutes", "data", "compute")}
    assert recorded == {
        "steps": 7,
        "labels": ["a", "b"],
        "minutes": None,
        "data": "abc",
        "compute": "cpu, fp32",
    }


def test_a_resumed_run_keeps_its_settings(tmp_path: Path) -> None:
    begin(tmp_path, steps=7, labels=("a", "b"), learning_rate=0.5)
    settings = resume(tmp_path).settings
    assert settings == Settings(
        config=ClassifierConfig(steps=7, learning_rate=0.5), labels=("a", "b")
    )


def test_a_resumed_run_is_the_same_folder(tmp_path: Path) -> None:
    run = begin(tmp_path)
    assert resume(tmp_path).begin({"data": "abc"}) == run


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"learning_rate": 0.5}, "--learning-rate 0.001 → 0.5"),
        ({"steps": 5}, "--steps 7 → 5"),
        ({"labels": ("b",)}, r"--labels \['a'\] → \['b'\]"),
    ],
    ids=["another value", "fewer steps", "another list"],
)
def test_other_settings_are_refused(tmp_path: Path, given: dict[str, Any], problem: str) -> None:
    begin(tmp_path, steps=7, labels=("a",))
    with pytest.raises(ValueError, match=rf"cannot go on with other options \(.*{problem}"):
        resume(tmp_path, **given)


@pytest.mark.parametrize("given", [{"steps": 9}, {"minutes": 3.0}], ids=["grown", "changed"])
def test_settings_that_may_change_are_taken(tmp_path: Path, given: dict[str, Any]) -> None:
    begin(tmp_path, steps=7, minutes=5.0)
    start = resume(tmp_path, **given)
    start.begin({"data": "abc"})
    settings = start.settings
    assert given in ({"steps": settings.config.steps}, {"minutes": settings.minutes})


def test_other_facts_are_refused(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(ValueError, match="cannot go on, this has changed since: data abc → abd"):
        resume(tmp_path).begin({"data": "abd"})


def test_a_run_of_a_version_without_a_setting_is_refused(tmp_path: Path) -> None:
    run = begin(tmp_path)
    config = json.loads((run.folder / "config.json").read_text())
    del config["minutes"]
    (run.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="another version of cxr began it, which knew no minutes"):
        resume(tmp_path)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (RunRequest(resume="", precision="bf16"), "--precision fp32 → bf16"),
        (RunRequest(resume="", device="cuda"), "--device cpu → cuda"),
        (
            RunRequest(resume="", compute=Compute(torch.device("cpu"), "bf16")),
            "--precision fp32 → bf16",
        ),
    ],
    ids=["precision", "device", "precision of the command around it"],
)
def test_another_device_or_precision_is_refused(
    tmp_path: Path, request_: RunRequest, problem: str
) -> None:
    begin(tmp_path)
    with pytest.raises(ValueError, match=f"cannot go on with other options \\({problem}\\)"):
        prepare(tmp_path, request_)


def test_a_run_keeps_to_the_determinism_it_was_begun_with(tmp_path: Path) -> None:
    rewrite_config(begin(tmp_path), compute="cuda, bf16, not deterministic")
    with pytest.raises(ValueError, match=r"other options \(--deterministic no → yes\)"):
        prepare(tmp_path, RunRequest(resume="", deterministic=True))


def test_a_run_on_a_cpu_goes_on_whatever_is_said_of_determinism(tmp_path: Path) -> None:
    begin(tmp_path)
    request = RunRequest(resume="", deterministic=False)
    assert prepare(tmp_path, request).compute.deterministic


def test_a_machine_without_the_recorded_device_says_the_way_out(tmp_path: Path) -> None:
    rewrite_config(begin(tmp_path), compute="cuda:99, bf16")
    with pytest.raises(ValueError, match="go on where it can, or start a new run without --resume"):
        prepare(tmp_path, RunRequest(resume=""))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_recorded_precision_is_taken_where_the_machine_would_choose_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    rewrite_config(begin(tmp_path), compute=f"cpu, {precision}")
    monkeypatch.setattr("runtime.device._is_fast_in_bf16", lambda device: True)
    assert prepare(tmp_path, RunRequest(resume="")).compute.precision == precision


def test_several_processes_record_the_kind_of_their_devices(tmp_path: Path) -> None:
    """Each has a device of its own, which the main process's number would be wrong for."""
    assert str(Compute(torch.device("cuda:1"), "bf16", rank=1, world_size=2)) == (
        "cuda, bf16, 2 processes"
    )


COMMANDS = {  # what is run for one of each, where the tiny study has none
    "gan-train": (),
    "synthesize": ("--n", "6", *IN_FP32),
    "classify-train": (),
    "audit": ("--steps", "2", *IN_FP32),
    "compare": ("--arms", "real,real+classical", "--seeds", "2", *TINY_CLASSIFIER),
}


@pytest.fixture(scope="module", params=COMMANDS)
def interrupted(
    request: pytest.FixtureRequest, tiny_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """A run of every command, begun in fp32 and without its result, where bf16 would be chosen."""
    command = request.param
    folder = Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp(command) / "study"))
    if COMMANDS[command]:
        ok(cxr(command, *COMMANDS[command], folder=folder))
    (sorted((folder / "runs").glob(f"*-{command}"))[-1] / "result.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime.device._is_fast_in_bf16", lambda device: True)
        yield folder, command


def test_every_command_refuses_to_go_on_in_another_precision(
    interrupted: tuple[Path, str],
) -> None:
    folder, command = interrupted
    refused = cxr(command, "--resume", "--precision", "bf16", folder=folder)
    assert refused.exit_code == 2
    assert "cannot go on with other options (--precision fp32 → bf16)" in refused.stderr


def test_every_command_goes_on_in_its_own_precision(interrupted: tuple[Path, str]) -> None:
    folder, command = interrupted
    ok(cxr(command, "--resume", folder=folder))
    run = sorted((folder / "runs").glob(f"*-{command}"))[-1]
    assert json.loads((run / "config.json").read_text())["compute"] == "cpu, fp32"
