"""Folders as people and collections lay them out: labels, splits, patients, and what is neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.data.cleaning import find_fault
from pipelines.data.folder_names import is_drawn, says_nothing, split_of
from pipelines.data.folder_tree import UnclearTreeError, read_places
from pipelines.data.importing import ImportRules, import_listings
from pipelines.data.sources import read_sources
from pipelines.study.image_io import Picture
from pipelines.study.import_log import PassedOver, read_imports
from pipelines.study.workspace import Workspace
from tests.pipelines.data.films import RATIOS, blocks, save_blocks

ROOT = Path("source")
NEUTRAL_NAMES = (
    *("images", "IMG", "data", "png", "chest_xray", "Chest X-Ray", "images_001", "frontal"),
    *("patient00001", "p10", "p10000032", "s50414267", "study1", "sub-01", "PA000001", "ST000001"),
    *("1.2.840.113619.2", "2020-03-01", "00000017", "view1_frontal"),
)
TRAINING = ("train", "validation")


def place_labels(*files: str, named: tuple[str, ...] = ()) -> list[str]:
    return [place.label for place in read_places(ROOT, [ROOT / file for file in files], named)]


@settings(deadline=None)
@given(
    labels=st.lists(
        st.sampled_from(["COVID", "Normal", "Viral Pneumonia", "kontrolle", "x", "b"]),
        min_size=1,
        max_size=5,
    ),
    data=st.data(),
)
def test_neutral_folders_change_no_label(labels: list[str], data: st.DataObject) -> None:
    neutral = st.lists(st.sampled_from(NEUTRAL_NAMES), max_size=3)
    files = [
        "/".join([*data.draw(neutral), label, *data.draw(neutral), f"{number}.png"])
        for number, label in enumerate(labels)
    ]
    assert place_labels(*files) == labels


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        (("train/COVID/a", "test/NORMAL/b"), ["COVID", "NORMAL"]),
        (("COVID/train/a", "NORMAL/test/b"), ["COVID", "NORMAL"]),
        (("COVID-19_Radiography_Dataset/COVID/a", "COVID-19_Radiography_Dataset/Normal/b"), None),
        (("Covid19-dataset/train/Covid/a", "Covid19-dataset/test/Normal/b"), None),
        (("hospital A/covid/a", "hospital A/normal/b", "hospital B/normal/c"), None),
        (
            ("Pneumonia/Viral/a", "Pneumonia/Bacterial/b", "Normal/c"),
            ["Pneumonia"] * 2 + ["Normal"],
        ),
        (("Normal/male/a", "COVID/male/b"), ["Normal", "COVID"]),
        (("train/0/a", "train/1/b", "test/0/c"), ["0", "1", "0"]),
        (("gesund/a", "krank/b"), ["gesund", "krank"]),
        (("archive.v2 dataset/gesund/a", "archive.v2 dataset/krank/b"), None),
        (("NORMAL/a", "readme"), ["NORMAL", ""]),
    ],
    ids=[
        "split above labels",
        "split below labels",
        "a data set in its own folder",
        "a data set and splits",
        "hospitals above labels",
        "kinds of a diagnosis",
        "sexes below labels",
        "numbered classes",
        "labels in another language",
        "labels in another language in a data set",
        "a picture beside the folders",
    ],
)
def test_labels_are_found(files: tuple[str, ...], labels: list[str] | None) -> None:
    inner = [Path(file).parent.name for file in files]
    assert place_labels(*files) == (labels or inner)


@pytest.mark.parametrize(
    "files",
    [
        ("train/patient00001/study1/a", "valid/patient00002/study1/b"),
        ("p10/p10000032/s50414267/a", "p11/p11000001/s50000001/b"),
        ("images/a", "images/b"),
        ("17/a", "18/b"),
        ("images/a", "covid/b"),
        ("Pneumonia/viral/a", "Pneumonia/bacterial/b"),
        ("site/left/a", "site/right/b"),
        ("A/left/a", "A/right/b", "B/left/c"),
        ("COVID/a", "Italy/normal/b"),
        ("Italy/covid/a", "normals from Spain/b"),
    ],
    ids=[
        "CheXpert",
        "MIMIC",
        "images alone",
        "patients by number",
        "some images without label",
        "one folder of diagnoses",
        "one folder of anything",
        "names that recur",
        "labels at two levels",
        "labels at two levels, the other way",
    ],
)
def test_what_cannot_be_told_is_refused_in_one_line_with_the_tree(files: tuple[str, ...]) -> None:
    with pytest.raises(UnclearTreeError) as refusal:
        place_labels(*files)
    text = str(refusal.value)
    assert "\n" not in text
    for part in (f"{Path(files[0]).parts[0]}/ (", "FOLDER=LABEL", "CSV with file_name,label"):
        assert part in text


def test_a_name_given_by_label_is_a_label() -> None:
    assert place_labels("17/a", "18/b", named=("17", "18")) == ["17", "18"]


def test_an_image_in_two_splits_is_refused() -> None:
    with pytest.raises(ValueError, match="folders of two splits: test, train"):
        place_labels("train/covid/test/a")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("valid", "validation"),
        ("val_images", "validation"),
        ("Test set", "test"),
        ("testing", "test"),
        ("test2", "test"),
        ("positive test", None),
        ("trained", None),
    ],
)
def test_splits_are_told_by_words(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("infection masks", "lung_masks", "LungMasks", "Segmentations")),
        *(
            (name, True)
            for name in ("COVID_annotations", "heat-maps", "GradCAM heatmap", "overlay")
        ),
        *((name, False) for name in ("masked man", "COVID", "unmasked", "layover")),
    ],
)
def test_drawn_pictures_are_told_by_words(name: str, expected: bool) -> None:
    assert is_drawn(name) == expected


@pytest.mark.parametrize("name", ["COVID-19", "H1N1", "SARS2", "No finding", "control", "stage1"])
def test_names_of_labels_say_something(name: str) -> None:
    assert not says_nothing(name)


# --- on the disk ---


def save_tree(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        save_blocks(root / name, 1000 + number)
    return root


def test_folders_of_splits_are_kept(tmp_path: Path) -> None:
    save_tree(tmp_path, "train/NORMAL/a.png", "val/NORMAL/b.png", "Testing/COVID/c.png")
    (listing,) = read_sources([str(tmp_path)])
    assert [(image.label, image.splits) for image in listing.images] == [
        ("covid", ("test",)),
        ("normal", ("train",)),
        ("normal", ("validation",)),
    ]


def test_one_folder_called_train_is_no_split(tmp_path: Path) -> None:
    save_tree(tmp_path, "train/NORMAL/a.png", "train/COVID/c.png")
    (listing,) = read_sources([str(tmp_path)])
    assert {len(image.splits) for image in listing.images} == {3}


def test_splits_given_as_arguments_are_kept(tmp_path: Path) -> None:
    save_tree(tmp_path, "train/NORMAL/a.png", "train/COVID/b.png", "test/COVID/c.png")
    arguments = [str(tmp_path / "train"), str(tmp_path / "test")]
    splits = [listing.images[0].splits for listing in read_sources(arguments)]
    assert splits == [TRAINING, ("test",)]


def test_an_external_test_folder_leaves_training_its_splits(tmp_path: Path) -> None:
    save_tree(tmp_path, "train/NORMAL/a.png", "test/COVID/c.png")
    arguments = [str(tmp_path / "train")]
    (own, _) = read_sources(arguments, external=[str(tmp_path / "test")])
    assert len(own.images[0].splits) == 3


def test_a_folder_that_holds_one_of_a_known_kind_is_of_that_kind(tmp_path: Path) -> None:
    names = ("COVID/images/a.png", "COVID/masks/a.png", "Normal/images/b.png")
    save_tree(tmp_path / "archive" / "COVID-19_Radiography_Dataset", *names)
    (listing,) = read_sources([str(tmp_path)])
    assert listing.kind == "COVID-19 Radiography Database"
    assert {image.label for image in listing.images} == {"covid", "normal"}


def test_a_data_set_of_segmentations_gives_its_films(tmp_path: Path) -> None:
    folder = "Lung Segmentation Data/Lung Segmentation Data/Train"
    names = [f"{folder}/{label}/{kind}/a.png" for label in ("COVID-19", "Normal")
             for kind in ("images", "lung masks")]  # fmt: skip
    (listing,) = read_sources([str(save_tree(tmp_path, *names))])
    assert [(image.label, Path(image.origin).parent.name) for image in listing.images] == [
        ("covid-19", "images"),
        ("normal", "images"),
    ]


def test_folders_of_patients_tell_them(tmp_path: Path) -> None:
    names = [f"{label}/patient{number}/study{study}/a.png" for label, number in
             (("covid", 1), ("normal", 2)) for study in (1, 2)]  # fmt: skip
    workspace = Workspace(tmp_path / "study")
    listings = read_sources([str(save_tree(tmp_path / "source", *names))])
    import_listings(workspace, listings, ratios=RATIOS, seed=0)
    assert len({row.patient for row in workspace.rows()}) == 2


@pytest.fixture
def with_others(tmp_path: Path) -> Path:
    """A folder per label with files of odd suffixes, and some that are no images."""
    source = save_tree(tmp_path / "source", "a/a.png", "b/b.jfif", "b/c", "a/my masks/d.png")
    (source / "b" / "list.txt").write_text("text")
    (source / "b" / "moving").write_bytes(b"GIF89a" + bytes(600))
    return source


def test_images_are_told_by_their_first_bytes(with_others: Path) -> None:
    (listing,) = read_sources([str(with_others)])
    assert {Path(image.origin).name for image in listing.images} == {"a.png", "b.jfif", "c"}


def test_what_is_passed_over_is_listed_by_name(with_others: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "study")
    import_listings(workspace, read_sources([str(with_others)]), ratios=RATIOS, seed=0)
    (summary,) = read_imports(workspace.data / "import.json")
    assert summary.sources[0].passed_over_files == [
        PassedOver("a/my masks/", "a mask"),
        PassedOver("b/list.txt", "not an image"),
        PassedOver("b/moving", "GIF, which is not read"),
    ]


def test_strict_counts_what_is_passed_over(with_others: Path, tmp_path: Path) -> None:
    workspace, rules = Workspace(tmp_path / "study"), ImportRules(strict=True)
    listings = read_sources([str(with_others)])
    with pytest.raises(ValueError, match="3 files would be left out; first source: a/my masks/"):
        import_listings(workspace, listings, ratios=RATIOS, seed=0, rules=rules)


@pytest.mark.parametrize("levels", [(0, 255), (0, 1), (0, 90, 255), (10, 100, 180, 250)], ids=str)
def test_pictures_of_few_gray_levels_are_no_radiographs(levels: tuple[int, ...]) -> None:
    place = (np.arange(96)[:, None] // 24 + np.arange(96) // 24) % len(levels)
    gray = np.array(levels, np.uint8)[place]
    fault = find_fault(Picture(gray, 96, 96), 64) or ""
    assert fault.startswith(("not a radiograph by its gray levels", "blank"))


def test_a_mask_saved_as_jpeg_is_no_radiograph(tmp_path: Path) -> None:
    from pipelines.study.image_io import read_picture

    rows, columns = np.mgrid[:800, :800]
    disc = 255 * ((rows - 400) ** 2 + (columns - 400) ** 2 < 300**2)
    Image.fromarray(disc.astype(np.uint8)).save(tmp_path / "mask.jpg", quality=75)
    fault = find_fault(read_picture(tmp_path / "mask.jpg"), 64) or ""
    assert fault.startswith("not a radiograph by its gray levels")


def test_a_heatmap_laid_over_a_film_is_no_radiograph(tmp_path: Path) -> None:
    from pipelines.study.image_io import read_picture

    gray = blocks(3, 16, 16).astype(float)
    heat = np.zeros((*gray.shape, 3))
    heat[30:90, 30:90, 0] = 255
    laid_over = 0.6 * gray[..., None] + 0.4 * heat
    Image.fromarray(laid_over.astype(np.uint8)).save(tmp_path / "overlay.png")
    fault = find_fault(read_picture(tmp_path / "overlay.png"), 64) or ""
    assert fault.startswith("not a radiograph by its colours")
