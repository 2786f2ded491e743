"""The table of a study's images: read back as written, and refused when tampered with."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.study.manifest import read_manifest, write_manifest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images/", "../images/", "leads out of the folder"),
        ("images/", "/images/", "leads out of the folder"),
        (",train,", ",training,", "split 'training'"),
        ("file_name", "file", "lacks the column"),
    ],
    ids=["parent folder", "absolute path", "unknown split", "no file_name"],
)
def test_a_manifest_that_was_tampered_with_is_refused(
    phantom_study: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (phantom_study / "data" / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path / "manifest.csv")


def test_a_manifest_survives_awkward_names(phantom_study: Path, tmp_path: Path) -> None:
    rows = [
        replace(row, patient=f'a "b", c\nd é {index}')
        for index, row in enumerate(read_manifest(phantom_study / "data" / "manifest.csv"))
    ]
    write_manifest(tmp_path / "manifest.csv", rows)
    assert read_manifest(tmp_path / "manifest.csv") == rows


def test_the_manifest_is_a_hugging_face_imagefolder_table(phantom_study: Path) -> None:
    with open(phantom_study / "data" / "manifest.csv", newline="") as file:
        assert next(csv.reader(file))[0] == "file_name"
