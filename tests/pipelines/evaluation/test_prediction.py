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
    """A training image, its negative, a file that is no image, and a photograph in colour."""
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


@pytest.fixture
def classified(study: Path, films: Path, tmp_path: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """The films classified, one of them named twice: the output, and the table by file name."""
    table = tmp_path / "answers.csv"
    maps = tmp_path / "maps"
    films_again = films / "new.png"
    output = ok(
        cxr("classify", films, films_again, "--csv", table, "--explain", maps, folder=study)
    )
    with open(table, newline="", encoding="utf-8") as file:
        return output, {Path(row["file"]).name: row for row in csv.DictReader(file)}


def test_every_file_gets_one_row(classified: tuple[str, dict[str, dict[str, str]]]) -> None:
    _, rows = classified
    assert list(rows) == ["broken.png", "known.png", "new.png", "photograph.png"]


@pytest.mark.parametrize("name", ["known.png", "new.png"])
def test_the_label_is_the_most_probable_one(
    classified: tuple[str, dict[str, dict[str, str]]], name: str
) -> None:
    row = classified[1][name]
    probabilities = {label: float(row[f"probability_{label}"]) for label in ("covid", "normal")}
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert row["label"] == max(probabilities, key=lambda label: probabilities[label])


@pytest.mark.parametrize(
    ("name", "column", "text"),
    [
        pytest.param("known.png", "note", "in the study's train split", id="image of the study"),
        pytest.param("broken.png", "fault", "not an image", id="no image"),
        pytest.param("photograph.png", "fault", "colours", id="photograph in colour"),
    ],
)
def test_the_table_says_what_there_is_to_know(
    classified: tuple[str, dict[str, dict[str, str]]], name: str, column: str, text: str
) -> None:
    assert text in classified[1][name][column]


def test_an_unknown_image_has_no_note(
    classified: tuple[str, dict[str, dict[str, str]]],
) -> None:
    assert not classified[1]["new.png"]["note"]


def test_a_file_with_a_fault_has_no_probabilities(
    classified: tuple[str, dict[str, dict[str, str]]],
) -> None:
    row = classified[1]["broken.png"]
    assert (row["label"], row["probability_covid"], row["probability_normal"]) == ("", "", "")


@pytest.mark.parametrize("text", [INTENDED_USE, "2 not classified", "in the study's train split"])
def test_the_command_says_it_too(
    classified: tuple[str, dict[str, dict[str, str]]], text: str
) -> None:
    assert text in classified[0]


def test_masks_in_a_folder_are_passed_over_and_counted(study: Path, films: Path) -> None:
    (films / "lung masks").mkdir()
    shutil.copy(films / "new.png", films / "lung masks" / "new.png")
    output = ok(cxr("classify", films, folder=study))
    assert "lung masks" not in output
    assert "passed over: 1 " in output


@pytest.mark.usefixtures("classified")
def test_only_classified_images_are_explained(tmp_path: Path) -> None:
    names = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert names == ["known.png", "new.png"]


@pytest.mark.usefixtures("classified")
def test_an_explanation_says_its_intended_use(tmp_path: Path) -> None:
    with Image.open(tmp_path / "maps" / "new.png") as picture:
        assert picture.text["Comment"] == INTENDED_USE


def test_the_labels_are_those_of_the_test_report(study: Path) -> None:
    run = study / "runs" / "0003-classify-train"
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        expected = {row["file_name"]: row["predicted"] for row in csv.DictReader(file)}
    output = ok(cxr("classify", *(study / "data" / name for name in expected), folder=study))
    labels = {
        name: line.split()[1] for name in expected for line in output.splitlines() if name in line
    }
    assert labels == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("absent.png", "does not exist", id="no such file"),
        pytest.param("empty", "holds no image", id="empty folder"),
        pytest.param("films/broken.png", "none of the 1 images", id="nothing readable"),
    ],
)
@pytest.mark.usefixtures("films")
def test_what_cannot_be_classified_is_refused(
    study: Path, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    result = cxr("classify", tmp_path / name, folder=study)
    (line,) = result.output.splitlines()
    assert result.exit_code == 2
    assert message in line
