"""What is read of a table of predictions is what was written, whatever the labels are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.results.predictions import read_predictions, write_predictions
from pipelines.study.split import Split

CLASSES = ["-negative", "=covid, mild", "normal"]  # two begin as formulas do


@pytest.fixture
def table(tmp_path: Path) -> Path:
    split = Split(
        images=np.zeros((4, 8, 8), np.uint8),
        labels=np.array([2, 0, 1, 0]),
        patients=["@1", "2", "-a", "2"],
        file_names=[f"images/{number}.png" for number in range(4)],
    )
    path = tmp_path / "predictions.csv"
    write_predictions(path, split, np.full((4, 3), 1 / 3) + np.eye(4, 3) / 7, CLASSES)
    return path


def test_what_is_read_is_what_was_written(table: Path) -> None:
    tested = read_predictions(table, CLASSES)
    assert tested.labels.tolist() == [2, 0, 1, 0]
    assert tested.patients.tolist() == ["@1", "2", "-a", "2"]
    assert tested.file_names.tolist() == [f"images/{number}.png" for number in range(4)]
    np.testing.assert_allclose(tested.probabilities, 1 / 3 + np.eye(4, 3) / 7, rtol=1e-8)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("probability_normal", "normal", "lacks the column"),
        (",normal,", ",pneumonia,", "'pneumonia' is not in list"),
        ("0.476190476,", "much,", "could not convert string to float: 'much'"),
    ],
    ids=["column", "label", "number"],
)
def test_another_table_is_refused(before: str, after: str, message: str, table: Path) -> None:
    text = table.read_text()
    assert before in text
    table.write_text(text.replace(before, after, 1))
    with pytest.raises(ValueError, match=r"predictions.csv") as refused:
        read_predictions(table, CLASSES)
    assert message in str(refused.value)
