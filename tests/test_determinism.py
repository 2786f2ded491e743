"""The same seed gives the same bytes, in every file of every command, in another process too."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.conftest import ROOT, TINY_CLASSIFIER, TINY_GAN, cxr, ok
from tests.support.command_server import CommandServer
from tests.support.study_files import study_differences

COMMANDS = (
    ("data", "check"),
    ("gan-train", "--steps", "8", *TINY_GAN),
    ("synthesize", "--n", "24", "--reject-copies"),
    ("classify-train", "--with-synthetic", "--augment", "yes", *TINY_CLASSIFIER),
    ("score", "--features", "random"),
    ("audit", "--steps", "3"),
    ("export",),
    ("reader-study", "--n", "8"),
    ("compare", "--seeds", "2", "--arms", "real,real+gan,gan-pretrain", *TINY_CLASSIFIER),
)


def test_every_command_gives_the_same_files_again(
    command_server: CommandServer, phantom_study: Path, tmp_path: Path
) -> None:
    here, there = (
        Path(shutil.copytree(phantom_study, tmp_path / name)) for name in ("here", "there")
    )
    for command in COMMANDS:
        np.random.seed(len(command))  # what a command draws has names, and no history
        torch.manual_seed(len(command))
        ok(cxr(*command, folder=here))
        ended = command_server.run(*command, folder=there)
        assert ended.returncode == 0, ended.stderr
        assert not study_differences(here, there), command
    for path in here.rglob("*"):
        assert path.is_dir() or not any(
            str(place).encode() in path.read_bytes() for place in (ROOT, tmp_path)
        ), f"{path} says where it was made"


def test_an_import_gives_the_same_but_for_the_numbers_of_patients(
    command_server: CommandServer, tmp_path: Path
) -> None:
    """Which are keyed by a secret of each study, so that nobody can look them up."""
    rng = np.random.default_rng(0)
    for number in range(30):
        path = tmp_path / "films" / ("covid", "normal")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(path)
    ok(cxr("data", "import", tmp_path / "films", folder=tmp_path / "here"))
    assert (
        command_server.run(
            "data", "import", str(tmp_path / "films"), folder=tmp_path / "there"
        ).returncode
        == 0
    )
    rows = []
    for study in ("here", "there"):
        with open(tmp_path / study / "data" / "manifest.csv", newline="", encoding="utf-8") as file:
            rows.append(list(csv.DictReader(file)))
    assert {row["patient"] for row in rows[0]}.isdisjoint(row["patient"] for row in rows[1])
    assert [
        {name: value for name, value in row.items() if name != "patient"} for row in rows[0]
    ] == [{name: value for name, value in row.items() if name != "patient"} for row in rows[1]]
    shutil.copy(tmp_path / "here" / "data" / "patients.key", tmp_path / "key")
    (tmp_path / "again" / "data").mkdir(parents=True)
    shutil.copy(tmp_path / "key", tmp_path / "again" / "data" / "patients.key")
    ok(cxr("data", "import", tmp_path / "films", folder=tmp_path / "again"))
    assert not study_differences(tmp_path / "again", tmp_path / "here")
