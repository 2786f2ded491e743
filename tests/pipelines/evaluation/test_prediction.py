"""A finished classifier asked about files."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok


@pytest.fixture
def films(study: Path, tmp_path: Path) -> Path:
    """A training image, the same with other pixels, one that is no image, and a photograph in colour."""
    folder = tmp_path / "films"
    folder.mkdir()
    row = next(row for row in Workspace(study).rows() if row.split == "train")
    shutil.copy(study / "data" / row.file_name, folder / "known.png")
    gray = np.asarray(Image.open(folder / "known.png"))
    Image.fromarray(255 - gray).save(folder / "new.png")
    (folder / "broken.png").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(
        folder / "photograph.png"
    )
    return folder


def test_files_and_folders_get_a_label_a_probability_and_what_is_to_be_said(
    study: Path, films: Path, tmp_path: Path
) -> None:
    output = ok(
        cxr(
            "classify",
            films,
            films / "new.png",
            "--csv",
            tmp_path / "answers.csv",
            "--explain",
            tmp_path / "maps",
            folder=study,
        )
    )
    assert INTENDED_USE in output
    assert "2 not classified" in output
    assert "in the study's train split" in output
    with open(tmp_path / "answers.csv", newline="", encoding="utf-8") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert list(rows) == ["broken.png", "known.png", "new.png", "photograph.png"]
    for name in ("known.png", "new.png"):
        chances = {
            label: float(rows[name][f"probability_{label}"]) for label in ("covid", "normal")
        }
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
        assert rows[name]["label"] == max(chances, key=chances.get)
    assert "train split" in rows["known.png"]["note"]
    assert not rows["new.png"]["note"]
    assert "not an image" in rows["broken.png"]["fault"]
    assert "colours" in rows["photograph.png"]["fault"]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["known.png", "new.png"]
    with Image.open(tmp_path / "maps" / "new.png") as picture:
        assert picture.text["Comment"] == INTENDED_USE


def test_the_answers_are_those_of_the_test_report(study: Path) -> None:
    run = study / "runs" / "0003-classify-train"
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        expected = {row["file_name"]: row["predicted"] for row in csv.DictReader(file)}
    output = ok(cxr("classify", *(study / "data" / name for name in expected), folder=study))
    for name, label in expected.items():
        (line,) = [line for line in output.splitlines() if name in line]
        assert line.split()[1] == label


def test_what_cannot_be_classified(study: Path, films: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for asked, message in (
        (tmp_path / "absent.png", "does not exist"),
        (tmp_path / "empty", "holds no image"),
        (films / "broken.png", "none of the 1 images"),
    ):
        result = cxr("classify", asked, folder=study)
        assert result.exit_code == 2
        assert message in result.output
        assert len(result.output.splitlines()) == 1
