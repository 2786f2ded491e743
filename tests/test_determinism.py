"""The same seed gives the same bytes, in every file of every command, in another process too."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import ROOT, TINY_CLASSIFIER, cxr, ok
from tests.support.command_server import CommandServer
from tests.support.command_steps import IN_FP32, CommandStep
from tests.support.study_files import file_contents, study_differences

STEPS = ("gan-train", "synthesize", "classify-train", "score")  # with the options of study_steps
COMMANDS = (  # on the study that these leave
    ("data", "check"),
    ("audit", "--steps", "3", *IN_FP32),
    ("export",),
    ("reader-study", "--n", "8"),
    ("compare", "--seeds", "2", "--arms", "real,real+gan,gan-pretrain", *TINY_CLASSIFIER),
)


def test_every_command_gives_the_same_files_again_and_none_says_where_it_was_made(
    command_server: CommandServer, study_steps: dict[str, CommandStep], tmp_path: Path
) -> None:
    here = Path(shutil.copytree(study_steps[STEPS[0]].before, tmp_path / "here"))
    for name in STEPS:
        run_here(study_steps[name].arguments(here), here)
        assert not study_differences(here, study_steps[name].after), name
    elsewhere = Path(shutil.copytree(study_steps[STEPS[-1]].after, tmp_path / "elsewhere"))
    for command in COMMANDS:
        run_here(command, here)
        result = command_server.run(*command, folder=elsewhere)
        assert result.returncode == 0, result.stderr
        assert not study_differences(here, elsewhere), command
    for name, content in file_contents(here).items():
        assert str(ROOT).encode() not in content, name
        assert str(tmp_path).encode() not in content, name


def run_here(command: Sequence[str], study: Path) -> None:
    """Run a command in this process, whose random numbers have a history: it must not matter."""
    np.random.seed(len(command))
    torch.manual_seed(len(command))
    ok(cxr(*command, folder=study))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of noise in folders of two labels."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for number in range(30):
        path = folder / ("covid", "normal")[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(path)
    return folder


def manifest_rows(study: Path) -> list[dict[str, str]]:
    with open(study / "data" / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_imports_differ_in_the_numbers_of_patients_alone(
    command_server: CommandServer, films: Path, tmp_path: Path
) -> None:
    """They are keyed by a secret of each study, so that nobody can look them up."""
    ok(cxr("data", "import", films, folder=tmp_path / "here"))
    result = command_server.run("data", "import", films, folder=tmp_path / "elsewhere")
    assert result.returncode == 0
    rows, other_rows = (manifest_rows(tmp_path / name) for name in ("here", "elsewhere"))
    patients, other_patients = (
        {row.pop("patient") for row in table} for table in (rows, other_rows)
    )
    assert patients.isdisjoint(other_patients)
    assert rows == other_rows


def test_with_the_same_key_two_imports_are_the_same(films: Path, tmp_path: Path) -> None:
    ok(cxr("data", "import", films, folder=tmp_path / "here"))
    (tmp_path / "again" / "data").mkdir(parents=True)
    shutil.copy(tmp_path / "here/data/patients.key", tmp_path / "again/data/patients.key")
    ok(cxr("data", "import", films, folder=tmp_path / "again"))
    assert not study_differences(tmp_path / "again", tmp_path / "here")
