"""Figures of a classifier's answers, whatever its classes are called."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pipelines.figures.evaluation_figures import draw_confusion_matrix

HOSTILE_NAME = '<img src=x onerror="alert(1)">&$a$'


def test_a_confusion_matrix_of_three_classes_and_an_empty_row(tmp_path: Path) -> None:
    draw_confusion_matrix(
        [[5, 0, 1], [0, 0, 0], [2, 2, 3]],
        [HOSTILE_NAME, "b", "c" * 40],
        tmp_path / "matrix.png",
        "A title of $one$ line",
    )
    assert Image.open(tmp_path / "matrix.png").width > 500
