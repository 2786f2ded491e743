"""Curves of trainings of any length."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from pipelines.figures.training_figures import draw_gan_curves, draw_training_curves


@pytest.mark.parametrize("events", [1, 2, 100])
def test_gan_curves_of_any_length_have_ink(tmp_path: Path, events: int) -> None:
    journal = [
        {"step": 10 * number + 10, "d_loss": math.sin(number), "g_loss": 1.0, "gap": 0.5}
        for number in range(events)
    ]
    journal += [
        {"step": 10 * number, "diversity": [0.9, 0.8], "distance": [0.1, 0.2]}
        for number in range(1, events)
    ]
    best_step = 10 if events > 1 else None
    assert draw_gan_curves(journal, ["covid", "normal"], best_step, tmp_path / "loss.png")
    assert Image.open(tmp_path / "loss.png").convert("L").getextrema()[0] < 100


def test_gan_curves_of_nothing_write_no_file(tmp_path: Path) -> None:
    assert not draw_gan_curves([], ["covid"], None, tmp_path / "loss.png")
    assert list(tmp_path.iterdir()) == []


def test_training_curves_of_one_evaluation_have_ink(tmp_path: Path) -> None:
    evaluation = {
        "step": 20,
        "epoch": 1.0,
        "loss": 0.5,
        "accuracy": 0.8,
        "validation_loss": 0.6,
        "validation_accuracy": 0.75,
    }
    journal = [evaluation, {"best_step": 20, "best_validation_loss": 0.6}]
    draw_training_curves(journal, tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").convert("L").getextrema()[0] < 100


def test_training_curves_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        draw_training_curves([{"best_step": 1}], tmp_path / "curves.png")
