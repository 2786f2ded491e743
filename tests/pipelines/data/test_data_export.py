"""Exports of the training split: every format read back, and nothing that is held out in any."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image

from pipelines.study.dataset import open_study
from pipelines.study.folder_formats import (
    FOLDER_FORMATS,
    LabelledImage,
    new_folder,
    write_images,
)
from pipelines.study.shares import RealShare
from pipelines.study.trained_on import TRAINED_ON_FILE, TrainedOn
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok

SIZE = 32
CLASSES = ("covid", "normal")


def read_export(folder: Path, format: str) -> dict[str, list[np.ndarray]]:
    """Read the images of each label as a program of this format would."""
    images: dict[str, list[np.ndarray]] = {label: [] for label in CLASSES}
    if format == "stylegan":
        with zipfile.ZipFile(folder / "dataset.zip") as archive:
            labels = json.loads(archive.read("dataset.json"))["labels"]
            assert sorted(name for name, _ in labels) == sorted(
                name for name in archive.namelist() if name.endswith(".png")
            )
            for name, index in labels:
                images[CLASSES[index]].append(
                    np.asarray(Image.open(io.BytesIO(archive.read(name))))
                )
    elif format == "imagefolder":
        for path in sorted(folder.glob("*/*.png")):
            images[path.parent.name].append(np.asarray(Image.open(path)))
    else:
        root = folder / "train" if format == "huggingface" else folder
        for line in (root / "metadata.jsonl").read_text().splitlines():
            row = json.loads(line)
            images[row["label"]].append(np.asarray(Image.open(root / row["file_name"])))
    return images


@given(
    pixels=st_numpy.arrays(np.uint8, st.tuples(st.integers(1, 6), st.just(8), st.just(8))),
    labels=st.lists(st.sampled_from(CLASSES), min_size=6, max_size=6),
    format=st.sampled_from(FOLDER_FORMATS),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray, labels: list[str], format: str
) -> None:
    images = [
        LabelledImage(f"image{number}", label, image)
        for number, (label, image) in enumerate(zip(labels, pixels, strict=False))
    ]
    folder = tmp_path_factory.mktemp("export")
    assert write_images(folder, images, format, CLASSES) == len(images)
    found = read_export(folder, format)
    for label in CLASSES:
        expected = [image.pixels for image in images if image.label == label]
        pairs = zip(found[label], expected, strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("format", FOLDER_FORMATS)
def test_an_export_holds_the_training_images_and_no_other(
    phantom_study: Path, tmp_path: Path, format: str
) -> None:
    ok(cxr("data", "export", tmp_path / "out", "--for", format, "--image-size", SIZE,
           folder=phantom_study))  # fmt: skip
    found = read_export(tmp_path / "out", format)
    train = open_study(phantom_study, "train", image_size=SIZE)
    expected = {label: set[bytes]() for label in CLASSES}
    for image, label in train:
        expected[CLASSES[label]].add(image.numpy().tobytes())
    assert {
        label: {image.tobytes() for image in images} for label, images in found.items()
    } == expected
    assert sum(map(len, found.values())) == len(train)
    stated = TrainedOn.load(tmp_path / "out" / TRAINED_ON_FILE)
    assert set(stated.images) == {row.sha256 for row in train.rows}
    assert stated.study == Workspace(phantom_study).fingerprint()


def test_a_fraction_is_that_of_gan_train(phantom_study: Path, tmp_path: Path) -> None:
    ok(cxr("data", "export", tmp_path / "out", "--for", "flat", "--image-size", SIZE,
           "--real-fraction", "covid=0.5", folder=phantom_study))  # fmt: skip
    stated = TrainedOn.load(tmp_path / "out" / TRAINED_ON_FILE)
    share = RealShare("covid=0.5").training_rows(Workspace(phantom_study))
    assert set(stated.images) == {row.sha256 for row in share}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "test"], "--split test: only train is exported"),
        (["--split", "external"], "--split external: only train is exported"),
        (["--split", "all"], "--split all: expected train"),
        (["--image-size", "8"], "--image-size 8: expected 16 to 512"),
        (["--for", "stylegan", "--image-size", "96"], "a power of two, not 96 px"),
        (["--fold", "1"], "--fold 1: the study has no folds"),
        (["--real-fraction", "2"], "--real-fraction 2: expected shares"),
        (["--view", "lungs"], "cxr data lungs"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(
    phantom_study: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    result = cxr("data", "export", tmp_path / "out", "--for", "flat", *options,
                 folder=phantom_study)  # fmt: skip
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert message in result.output
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_empty_is_left_alone(phantom_study: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = cxr("data", "export", tmp_path, "--for", "flat", folder=phantom_study)
    assert result.exit_code == 2
    assert "is not empty; choose a new folder" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "begun.png").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())
