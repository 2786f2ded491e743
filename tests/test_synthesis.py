"""`cxr synthesize`: what its images say, that they depend on seed and number alone, snapshots."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from tests.conftest import cxr, ok


def test_synthetic_images_load_as_a_folder_per_label(study: Path) -> None:
    loaded = ImageFolder(str(study / "runs" / "0002-synthesize" / "images"))
    assert loaded.classes == ["covid", "normal"]
    assert Counter(loaded.targets) == {0: 12, 1: 12}


def test_a_synthetic_image_says_so_in_its_name_and_in_its_file(study: Path) -> None:
    paths = list((study / "runs" / "0002-synthesize" / "images").rglob("*.*"))
    assert len(paths) == 24
    for path in paths:
        assert path.name.startswith("synthetic-")
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (32, 32))
            assert "synthetic" in image.text["Comment"]
            assert "0001-gan-train" in image.text["Source"]


def test_a_synthetic_image_says_so_in_its_row(study: Path) -> None:
    with open(study / "runs" / "0002-synthesize" / "manifest.csv", newline="") as file:
        assert {row["synthetic"] for row in csv.DictReader(file)} == {"yes"}


def test_sample_i_is_the_same_whatever_n(study: Path) -> None:
    ok(cxr("synthesize", "--n", 60, folder=study))
    few, many = (
        study / "runs" / name / "images" for name in ("0002-synthesize", "0004-synthesize")
    )
    for path in few.rglob("*.png"):
        same = many / path.relative_to(few)
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(same)))


def test_images_of_one_label_can_be_asked_for(study: Path) -> None:
    ok(cxr("synthesize", "--n", 7, "--label", "normal", folder=study))
    images = (study / "runs" / "0004-synthesize" / "images").rglob("*.png")
    assert [path.parent.name for path in images] == ["normal"] * 7


def test_wider_latents_make_more_varied_images_of_the_same_seed(study: Path) -> None:
    said = [
        ok(cxr("synthesize", "--n", 60, "--sampling-scale", scale, folder=study))
        for scale in (1.1, 2.0)
    ]
    assert "latents 2 times as wide as in training" in said[1]
    own, wide = (
        {path.name: np.asarray(Image.open(path), float) for path in images.rglob("*.png")}
        for images in (study / "runs" / f"000{number}-synthesize" / "images" for number in (4, 5))
    )
    for path in (study / "runs" / "0002-synthesize" / "images").rglob("*.png"):
        assert np.array_equal(np.asarray(Image.open(path)), own[path.name]), "1.1 is its own scale"
    spread = [np.stack(list(images.values())).std(axis=0).mean() for images in (own, wide)]
    assert spread[1] > 1.3 * spread[0]
    with Image.open(next((study / "runs" / "0005-synthesize").rglob("images/*/*.png"))) as image:
        assert "sampling scale 2, seed 0" in image.text["Source"]


@pytest.mark.parametrize("scale", [0, -1, "nan", "inf"])
def test_a_scale_of_latents_that_cannot_be_is_refused(study: Path, scale: float | str) -> None:
    refused = cxr("synthesize", "--sampling-scale", scale, folder=study)
    assert refused.exit_code == 2
    assert f"--sampling-scale {float(scale)}: expected a positive number" in refused.output
    assert not (study / "runs" / "0004-synthesize").exists()


@pytest.mark.parametrize(("snapshot", "step"), [("4", 4), ("last", 8)])
def test_a_snapshot_can_be_chosen(study: Path, snapshot: str, step: int) -> None:
    output = ok(cxr("synthesize", "--n", 2, "--snapshot", snapshot, folder=study))
    assert f"at step {step};" in output


def test_a_snapshot_that_is_not_there_is_refused_with_those_that_are(study: Path) -> None:
    refused = cxr("synthesize", "--n", 2, "--snapshot", "7", folder=study)
    assert refused.exit_code == 2
    assert "best, last, 4, 8" in refused.output


def test_a_finished_set_is_written_as_hugging_face_reads_it(study: Path, tmp_path: Path) -> None:
    ok(cxr("synthesize", "--to", "huggingface", tmp_path / "set", folder=study))
    root = tmp_path / "set" / "train"
    lines = [json.loads(line) for line in (root / "metadata.jsonl").read_text().splitlines()]
    assert len(lines) == 24
    originals = study / "runs" / "0002-synthesize" / "images"
    for line in lines:
        assert line["synthetic"] is True
        assert line["generator"] == "0001-gan-train"
        with Image.open(root / line["file_name"]) as image:
            assert "synthetic" in image.text["Comment"]
            assert np.array_equal(image, Image.open(originals / line["file_name"]))
    assert "Every image is synthetic" in (tmp_path / "set" / "README.md").read_text()
    assert not (study / "runs" / "0004-synthesize").exists()  # none is made


def test_a_finished_set_is_written_as_a_folder_per_label(study: Path, tmp_path: Path) -> None:
    ok(cxr("synthesize", "--to", "imagefolder", tmp_path / "set", folder=study))
    loaded = ImageFolder(str(tmp_path / "set"))
    assert Counter(loaded.targets) == {0: 12, 1: 12}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--to", "stylegan", "new"], "--to stylegan: expected imagefolder or huggingface"),
        (["--to", "imagefolder", "data"], "is not empty; choose a new folder"),
        (["--to", "imagefolder", "new", "--n", "5"], "--n is about making images; leave it out"),
        (["--to", "imagefolder", "new", "--synthetic", "7"], "no run '7' in"),
        (["--synthetic", "2"], "add --to FORMAT DIR"),
    ],
)
def test_what_writes_no_set_is_refused(
    study: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(study)
    refused = cxr("synthesize", *arguments, folder=study)
    assert refused.exit_code == 2
    assert problem in refused.output
    assert not (study / "new").exists()
