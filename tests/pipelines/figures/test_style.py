"""The figures of single runs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.figures import style as figures

SIZE = 32
HOSTILE = '<img src=x onerror="alert(1)">&$a$'


@pytest.mark.parametrize("events", [1, 2, 100])
def test_gan_curves_of_any_length(tmp_path: Path, events: int) -> None:
    journal = [
        {"step": 10 * number + 10, "d_loss": math.sin(number), "g_loss": 1.0, "gap": 0.5}
        for number in range(events)
    ]
    journal += [
        {"step": 10 * number, "diversity": [0.9, 0.8], "distance": [0.1, 0.2]}
        for number in range(1, events)
    ]
    assert figures.gan_curves(
        journal, ["covid", "normal"], 10 if events > 1 else None, tmp_path / "loss.png"
    )
    assert Image.open(tmp_path / "loss.png").convert("L").getextrema()[0] < 100


def test_gan_curves_of_nothing_write_no_file(tmp_path: Path) -> None:
    assert not figures.gan_curves([], ["covid"], None, tmp_path / "loss.png")
    assert list(tmp_path.iterdir()) == []


def test_training_curves_of_one_evaluation(tmp_path: Path) -> None:
    evaluation = {
        "step": 20,
        "epoch": 1.0,
        "loss": 0.5,
        "accuracy": 0.8,
        "validation_loss": 0.6,
        "validation_accuracy": 0.75,
    }
    figures.training_curves(
        [evaluation, {"best_step": 20, "best_validation_loss": 0.6}], tmp_path / "curves.png"
    )
    assert Image.open(tmp_path / "curves.png").convert("L").getextrema()[0] < 100


def test_training_curves_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        figures.training_curves([{"best_step": 1}], tmp_path / "curves.png")


def test_a_confusion_matrix_of_three_classes_and_an_empty_row(tmp_path: Path) -> None:
    figures.confusion_matrix(
        [[5, 0, 1], [0, 0, 0], [2, 2, 3]],
        [HOSTILE, "b", "c" * 40],
        tmp_path / "matrix.png",
        "A title of $one$ line",
    )
    assert Image.open(tmp_path / "matrix.png").width > 500


def test_an_image_sheet_repeats_whole_pixels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE), np.uint8)
    figures.image_sheet(
        [("some, real", images), ("x" * 200, images[:1])], tmp_path / "sheet.png", columns=2
    )
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    enlarged = images[1].repeat(figures.TILE // SIZE, axis=0).repeat(figures.TILE // SIZE, axis=1)
    rows = [
        row
        for row in range(len(sheet) - figures.TILE)
        if (sheet[row : row + figures.TILE, -figures.TILE :] == enlarged).all()
    ]
    assert len(rows) == 1
