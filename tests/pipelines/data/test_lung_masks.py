"""Folders of masks as sources have them, matched with the images of a study."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.lung_masks import find_masks_beside, match_masks, read_mask
from pipelines.data.phantom import draw, draw_lung_mask, list_cases
from pipelines.study.lung_shape import dice
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok

CLASSES = ("COVID", "Normal", "Viral Pneumonia")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six films of 299 px beside masks of 256 px in RGB, as the radiography database has them."""
    folder = tmp_path_factory.mktemp("radiography")
    for number, case in enumerate(list_cases(6, 0)):
        name = CLASSES[number % 3]
        mask = np.where(draw_lung_mask(case, 0, 256), 255, 0).astype(np.uint8)
        for kind, gray in (("images", draw(case, 0, 299)), ("masks", mask)):
            (folder / name / kind).mkdir(parents=True, exist_ok=True)
            colour = Image.fromarray(np.dstack([gray] * 3))
            colour.save(folder / name / kind / f"{name}-{number}.png")
    (folder / "README.md.txt").write_text("about")
    return folder


@pytest.fixture(scope="module")
def workspace(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study of the source's covid and normal films."""
    folder = tmp_path_factory.mktemp("imported") / "study"
    ok(cxr("data", "import", source, "--label", "viral pneumonia=", folder=folder))
    assert len(Workspace(folder).rows()) == 4
    return Workspace(folder)


def move_masks(source: Path, folder: Path, ending: str = "") -> Path:
    """Copy the masks of the study's films into one folder, their names with an ending."""
    folder.mkdir()
    for name in CLASSES[:2]:
        for file in (source / name / "masks").iterdir():
            shutil.copy(file, folder / f"{file.stem}{ending}.png")
    return folder


def test_the_masks_beside_the_images_of_a_source_fit(source: Path, workspace: Workspace) -> None:
    found = match_masks(workspace, [source])
    assert len(found.by_image) == 4
    assert found.left_out == 2  # of the films that were not imported
    cases = list_cases(6, 0)
    for row in workspace.rows():
        mask = found.by_image[row.file_name]
        true = draw_lung_mask(cases[int(mask.file.stem.split("-")[-1])], 0, 299)
        assert dice(read_mask(mask, row), true) > 0.98


def test_masks_beside_the_images_are_told_of(source: Path, workspace: Workspace) -> None:
    expected = [source / name / "masks" for name in CLASSES[:2]]
    assert find_masks_beside(workspace) == expected
    output = ok(cxr("data", "lungs", "--device", "cpu", folder=workspace.root))
    assert "to use them: cxr data lungs --masks" in output
    assert str(expected[1]) in output


@pytest.mark.parametrize("ending", ["_mask", "-mask", "_lung", "_lung_mask", ""])
def test_names_may_end_in_what_they_are(
    ending: str, source: Path, workspace: Workspace, tmp_path: Path
) -> None:
    folder = move_masks(source, tmp_path / "annotated", ending)
    (folder / "README.md").write_text("made by people")
    assert len(match_masks(workspace, [folder]).by_image) == 4


def test_masks_of_infections_are_not_taken_for_lungs(
    source: Path, workspace: Workspace, tmp_path: Path
) -> None:
    move_masks(source, tmp_path / "lung masks")
    move_masks(source, tmp_path / "infection masks")
    found = match_masks(workspace, [tmp_path])
    assert {mask.file.parent.name for mask in found.by_image.values()} == {"lung masks"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("stranger_mask", "1 of 5 masks have no image in the study, first"),
        ("COVID-0", "has two masks"),
    ],
)
def test_masks_that_fit_no_image_or_one_twice_are_refused(
    name: str, problem: str, source: Path, workspace: Workspace, tmp_path: Path
) -> None:
    folder = move_masks(source, tmp_path / "annotated", "_mask")
    shutil.copy(folder / "COVID-0_mask.png", folder / f"{name}.png")
    with pytest.raises(ValueError, match=problem):
        match_masks(workspace, [folder])


def test_a_folder_of_something_else_is_refused(source: Path, workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="is no folder and no PNG or JSON file"):
        match_masks(workspace, [source / "README.md.txt"])
    with pytest.raises(ValueError, match="holds no masks"):
        match_masks(workspace, [source.parent / "imported0"])
