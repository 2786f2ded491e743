"""Lung masks in the JSON of annotation tools, given to `cxr data lungs`."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.lung_annotations import is_lung
from pipelines.data.phantom import list_cases
from pipelines.study.lung_shape import dice
from tests.conftest import cxr, made_once, ok
from tests.support.study_files import file_contents

CPU = ("--device", "cpu")
SIDE = 512  # of the annotated pictures, twice that of the study's
RIGHT = [(100, 80), (220, 80), (220, 400), (100, 400)]  # x, y
LEFT = [(300, 90), (420, 90), (420, 380), (300, 380)]
HOLE = [(130, 120), (170, 120), (170, 200), (130, 200)]


def names() -> list[str]:
    """Return the file names of the first two phantoms, as an annotation tool has them."""
    return [
        f"PHANTOM-0-{case.label}-{case.patient:05d}-{case.image}.jpg" for case in list_cases(2, 0)
    ]


@pytest.fixture(scope="module")
def two_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two phantoms. Not to be changed: copy it."""

    def make(folder: Path) -> None:
        ok(cxr("data", "phantom", "--n", 2, folder=folder))

    return made_once(tmp_path_factory, "two-films", make)


def points(path: list[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"x": x, "y": y} for x, y in path]


def darwin_1(name: str) -> dict[str, Any]:
    return {
        "dataset": "lungs",
        "image": {"filename": "7.jpg", "original_filename": name, "width": SIDE, "height": SIDE},
        "annotations": [
            {
                "name": "Lung",
                "polygon": {"path": points(RIGHT), "additional_paths": [points(HOLE)]},
            },
            {"name": "Lung", "polygon": {"path": points(LEFT)}},
            {"name": "COVID-19", "tag": {}},
        ],
    }


def darwin_2(name: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "item": {
            "name": name,
            "slots": [{"slot_name": "0", "width": SIDE, "height": SIDE, "source_files": []}],
        },
        "annotations": [
            {"name": "right lung", "polygon": {"paths": [points(RIGHT), points(HOLE)]}},
            {"name": "left lung", "polygon": {"paths": [points(LEFT)]}},
        ],
    }


def coco(*file_names: str) -> dict[str, Any]:
    """Return polygons for every image; the hole is run lengths' work, and here is none."""
    return {
        "images": [
            {"id": number, "file_name": f"images/{name}", "width": SIDE, "height": SIDE}
            for number, name in enumerate(file_names)
        ],
        "categories": [{"id": 1, "name": "Lung_left"}, {"id": 2, "name": "heart"}],
        "annotations": [
            {"image_id": number, "category_id": 1, "segmentation": [flat(RIGHT), flat(LEFT)]}
            for number in range(len(file_names))
        ]
        + [{"image_id": 0, "category_id": 2, "segmentation": [flat(HOLE)]}],
    }


def flat(path: list[tuple[int, int]]) -> list[int]:
    return [value for point in path for value in point]


def drawn_lungs(with_hole: bool) -> np.ndarray:
    """Return the mask of the lungs above, in the study's pixels."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[80:400, 100:220] = True
    mask[90:380, 300:420] = True
    if with_hole:
        mask[120:200, 130:170] = False
    return mask[::2, ::2]


def brought_masks(study: Path) -> list[np.ndarray]:
    with open(study / "data" / "lungs.csv", encoding="utf-8") as file:
        brought = [row for row in csv.DictReader(file) if row["source"] == "masks"]
    folder = study / "data" / "lungs"
    files = [folder / row["file_name"].removeprefix("images/") for row in brought]
    return [np.asarray(Image.open(file)) > 0 for file in files]


@pytest.mark.parametrize("make", [darwin_1, darwin_2], ids=["1.0", "2.0"])
def test_darwin_files_become_masks(
    make: Callable[[str], dict[str, Any]], two_films: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(two_films, tmp_path / "study"))
    folder = tmp_path / "annotations"
    folder.mkdir()
    for number, name in enumerate(names()):
        (folder / f"{number}.json").write_text(json.dumps(make(name)))
    ok(cxr("data", "lungs", "--masks", folder, *CPU, folder=study))
    found = brought_masks(study)
    assert len(found) == 2
    assert all((mask == drawn_lungs(with_hole=True)).all() for mask in found)


def test_a_coco_file_becomes_masks_and_names_what_it_leaves(
    two_films: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(two_films, tmp_path / "study"))
    file = tmp_path / "instances.json"
    content = coco(*names())
    whole = drawn_lungs(with_hole=False)
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, whole.T.ravel().astype(int), 2])))
    content["images"][1] |= {"width": 256, "height": 256}
    content["annotations"][1]["segmentation"] = {"size": [256, 256], "counts": runs.tolist()}
    file.write_text(json.dumps(content))
    output = ok(cxr("data", "lungs", "--masks", file, *CPU, folder=study))
    assert "2 masks that were brought" in output
    assert "annotations that are of no lung, not used: heart (1)" in output
    assert all(dice(mask, whole) == 1 for mask in brought_masks(study))
    summary = json.loads((study / "data" / "lungs.json").read_text())
    assert summary["other_annotations"] == {"heart": 1}


def change(content: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Put a value at a path such as images/0/width; delete what is there when it is None."""
    *folders, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place: Any = content
    for part in folders:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


@pytest.mark.parametrize(
    ("make", "path", "value", "problem"),
    [
        (darwin_1, "annotations", None, "holds dataset, image; expected V7 Darwin JSON"),
        (darwin_1, "image/width", "wide", "width is 'wide'; expected a number"),
        (darwin_1, "image/height", 0, "an image of 512×0 px"),
        (darwin_1, "image", {"width": 4, "height": 4}, "does not name its image"),
        (darwin_1, "annotations/0/polygon/path", points(RIGHT[:2]), "a polygon of 2 points"),
        (darwin_1, "annotations/0/polygon/path/0/x", 900, "outside of its picture of 512×512 px"),
        (darwin_1, "annotations/0/polygon/path/0/y", None, "y is None; expected a number"),
        (darwin_1, "annotations/1/polygon", None, "Lung has no polygon; a box or a tag is no mask"),
        (darwin_1, "image/width", 1024, "another shape"),
        (darwin_2, "item/slots", [], "is of 0 pictures; expected one"),
        (darwin_2, "item/name", "stranger.jpg", "1 of 1 masks have no image in the study, first"),
        (coco, "categories", [{"id": 1, "name": "heart"}, {"id": 2, "name": "clavicle"}],
         "those it has are called heart (1), clavicle (1)"),
        (coco, "annotations/0/image_id", 9, "an annotation of image 9 and category 1"),
        (coco, "annotations/0/segmentation", [], "has no segmentation; a box alone is no mask"),
        (coco, "annotations/0/segmentation", [[1, 2, 3]], "a polygon of 3 numbers"),
        (coco, "annotations/0/segmentation", {"size": [512, 512], "counts": [4, 4]},
         "the run lengths add up to 8 pixels, the picture has 512·512"),
        (coco, "annotations/0/segmentation", {"size": [9, 9], "counts": "T9"}, "of size [9, 9]"),
        (coco, "annotations/0/segmentation", {"size": [512, 512], "counts": "T"},
         "end within a number"),
        (coco, "annotations/0/segmentation", [[0, 0, 1, 0, 0, 1e400]], "Infinity is no number"),
        (coco, "images/0/file_name", 3, "file_name is 3; expected a text"),
        (coco, "annotations/0/segmentation", [flat([(10, 10), (20, 20), (30, 30)])], "is empty"),
    ],
)  # fmt: skip
def test_bad_annotations_are_one_line_and_change_nothing(
    make: Callable[[str], dict[str, Any]],
    path: str,
    value: object,
    problem: str,
    two_films: Path,
    tmp_path: Path,
) -> None:
    file = tmp_path / "lungs.json"
    file.write_text(json.dumps(change(make(names()[0]), path, value)))
    before = file_contents(two_films)
    refused = cxr("data", "lungs", "--masks", file, *CPU, folder=two_films)
    assert refused.exit_code == 2
    assert refused.output.count("\n") == 1
    assert problem in refused.output
    assert str(file) in refused.output
    assert file_contents(two_films) == before


def test_two_images_of_one_name_are_refused(two_films: Path, tmp_path: Path) -> None:
    file = tmp_path / "lungs.json"
    file.write_text(json.dumps(coco(names()[0], names()[0])))
    refused = cxr("data", "lungs", "--masks", file, *CPU, folder=two_films)
    assert refused.exit_code == 2
    assert f"two images of the name or the id of images/{names()[0]}" in refused.output


@pytest.mark.parametrize("name", ["Lung", "lungs", "Right Lung", "lung_left", "LeftLung", "lung 2"])
def test_what_a_lung_is_called(name: str) -> None:
    assert is_lung(name)


@pytest.mark.parametrize("name", ["Lung Opacity", "healthy lung", "heart", "left", "lung nodule"])
def test_what_is_in_a_lung_is_no_lung(name: str) -> None:
    assert not is_lung(name)
