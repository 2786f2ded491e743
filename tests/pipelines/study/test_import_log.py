"""What import.json says comes back as it was written, and damage is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.study.import_log import (
    ImportSource,
    ImportSummary,
    LeftOutImage,
    NearDuplicate,
    read_imports,
    write_imports,
)

SUMMARY = ImportSummary(
    sources=[
        ImportSource("clinic", "folder per label", 3, {"a mask": 2}, 1),
        ImportSource("far", "folder per label", 1, {}, 0, external=True),
    ],
    kept=2,
    left_out_counts={"blank": 1},
    left_out=[LeftOutImage("0123456789ab", "blank: gray levels vary by 0.0")],
    near_duplicates=[NearDuplicate(("images/a/1.png", "images/a/2.png"), 3)],
    unknown_views={"OBLIQUE": 1},
    may_show_text=0,
    images_in_study=2,
    split="70/10/20",
    split_seed=0,
    folds=None,
    min_side=64,
)


def test_imports_come_back_as_they_were_written(tmp_path: Path) -> None:
    imports = [SUMMARY, replace(SUMMARY, kept=1, folds=5)]
    write_imports(tmp_path / "import.json", imports)
    assert read_imports(tmp_path / "import.json") == imports


def test_only_an_external_source_says_so(tmp_path: Path) -> None:
    write_imports(tmp_path / "import.json", [SUMMARY])
    (entry,) = json.loads((tmp_path / "import.json").read_text())["imports"]
    assert [source.get("external") for source in entry["sources"]] == [None, True]


def test_no_file_is_no_import(tmp_path: Path) -> None:
    assert read_imports(tmp_path / "import.json") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kept": "two"}, "kept is 'two', expected int"),
        ({"sources": 3}, "sources is 3, expected a list"),
        ({"sources": [3]}, r"sources\[0\] is 3"),
        ({"surprise": 1}, "surprise is unknown"),
        (
            {"near_duplicates": [{"images": ["a"], "bits": 1}]},
            r"near_duplicates\[0\].images has 1 values",
        ),
    ],
    ids=["text for a number", "no list", "no source", "unknown name", "half a pair"],
)
def test_damage_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "import.json"
    write_imports(path, [SUMMARY])
    (entry,) = json.loads(path.read_text())["imports"]
    path.write_text(json.dumps({"imports": [entry | change]}))
    with pytest.raises(ValueError, match=f"import.json: {message}"):
        read_imports(path)
