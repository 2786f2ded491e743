"""Lines of published lists and tables, read as they are meant or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.data.listings import labels_of, list_path, touch

TRAINED = ("train", "validation")
COVIDX_LINES = {
    "four columns": ("p1 a.png COVID-19 cohen", "a.png", "p1", "covid"),
    "a space in the patient": ("COVID 1 C(1).png COVID-19 sirm", "C(1).png", "COVID 1", "covid"),
    "a space in the file": ("p2 image 5.png normal rsna", "image 5.png", "p2", "normal"),
    "spaces in both": ("P 3 image  6.png normal rsna", "image  6.png", "P 3", "normal"),
    "three columns": ("p4 a.png pneumonia", "a.png", "p4", "pneumonia"),
    "no patient": ("a.png normal cohen", "a.png", None, "normal"),
}


@pytest.mark.parametrize(
    ("line", "file", "patient", "label"), COVIDX_LINES.values(), ids=COVIDX_LINES.keys()
)
def test_lines_of_covidx_lists(
    tmp_path: Path, line: str, file: str, patient: str | None, label: str
) -> None:
    touch(tmp_path, f"train/{file}", "test/t.png")
    (tmp_path / "train_COVIDx7A.txt").write_text(f"{line}\n")
    (tmp_path / "test_COVIDx7A.txt").write_text("p9 t.png normal rsna\n")
    listing = list_path(tmp_path)
    assert listing.kind == "COVIDx lists"
    assert not listing.absent
    files = {
        (Path(image.origin).name, image.patient, image.label): image.splits
        for image in listing.images
    }
    assert files == {(file, patient, label): TRAINED, ("t.png", "p9", "normal"): ("test",)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p1 a.png", "train.txt, line 2: .*expected patient, file, class and source"),
        ("p1 a.png viral pneumonia cohen", "train.txt, line 2: .*expected patient"),
        ("p1 a normal cohen", "train.txt, line 2: .*the file with a suffix"),
        ("p1 x a.png normal cohen", "line 2: the file may be 'a.png' or 'x a.png'"),
    ],
    ids=["no class", "a class of two words", "no suffix", "two files fit"],
)
def test_lines_that_are_not_understood_are_refused(tmp_path: Path, line: str, message: str) -> None:
    touch(tmp_path, "a.png", "x a.png")
    (tmp_path / "train.txt").write_text(f"p0 a.png normal cohen\n{line}\n")
    with pytest.raises(ValueError, match=message):
        list_path(tmp_path)


def test_files_without_their_suffix_are_found_in_a_collection(tmp_path: Path) -> None:
    touch(tmp_path, "images/RA-1.jpg", "images/RA-2.jpg", "images/RA-2.png")
    (tmp_path / "metadata.csv").write_text(
        "patientid;finding;view;modality;filename\n"
        "1;COVID-19;PA;X-ray;RA-1\n2;COVID-19;PA;X-ray;RA-2\n3;COVID-19;lateral;X-ray;RA-1.jpg\n"
    )
    listing = list_path(tmp_path)
    assert listing.kind == "covid-chestxray-dataset"
    assert labels_of(listing) == {"RA-1.jpg": "covid"}
    assert len(listing.absent) == 1
    assert listing.passed_over["not a frontal X-ray"] == 1


def test_nih_files_of_one_name_in_two_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "images_001/00000001_000.png", "small/00000001_000.png", "00000002_000.png")
    (tmp_path / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Patient ID,View Position\n"
        "00000001_000.png,No Finding,1,PA\n00000002_000.png,No Finding,2,PA\n"
    )
    listing = list_path(tmp_path)
    assert labels_of(listing) == {"00000002_000.png": "normal"}
    assert listing.passed_over == {"several files of one name": 1}
