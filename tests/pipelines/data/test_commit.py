"""What takes a killed import back takes nothing else away, whatever its list says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines.study.manifest import read_manifest
from tests.conftest import cxr, ok
from tests.support.study_files import study_files


@pytest.fixture
def study(phantom_study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom_study, tmp_path / "study"))


def forge(study: Path, images: object) -> None:
    (study / "data" / ".incoming").mkdir()
    (study / "data" / ".incoming" / "commit.json").write_text(
        json.dumps({"images": images, "tables": ["import.json", "originals.csv"]})
    )


@pytest.mark.parametrize(
    "name",
    [
        "images/../../precious.png",
        "../../precious.png",
        "images/covid/../../../../precious.png",
        "manifest.csv",
        3,
        None,
    ],
)
def test_a_list_that_leads_out_of_the_images_is_refused(study: Path, name: object) -> None:
    for place in (study.parent, study):
        (place / "precious.png").write_text("precious")
    forge(study, [name])
    before = {
        path: path.read_bytes()
        for path in study.parent.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    refused = cxr("data", "phantom", "--n", 66, folder=study)
    assert refused.exit_code == 2
    assert "commit.json lists" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert {
        path: path.read_bytes()
        for path in study.parent.rglob("*")
        if path.is_file() and path.name != ".lock"
    } == before


def test_images_of_the_study_and_files_of_others_stay(study: Path) -> None:
    data = study / "data"
    names = [row.file_name for row in read_manifest(data / "manifest.csv")]
    (data / "images" / "covid" / "mine.png").write_text("mine")
    forge(study, [*names[:3], "images/covid/stray.png"])
    (data / "images" / "covid" / "stray.png").write_text("moved by an import that was killed")
    ok(cxr("data", "phantom", "--n", 2, "--seed", 1, folder=study))
    expected = {row.file_name for row in read_manifest(data / "manifest.csv")} | {
        "images/covid/mine.png"
    }
    assert {
        name.removeprefix("data/")
        for name in study_files(study)
        if name.startswith("data/images/") and name.endswith(".png")
    } == expected
    assert len(expected) == 67
    assert len(json.loads((data / "import.json").read_text())["imports"]) == 2
