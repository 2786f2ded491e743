"""A classifier's answers on the images that it was tested with: predictions.csv, a row for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.study.split import Split
from pipelines.study.tables import format_table, read_table
from runtime.files import write_text

PREDICTIONS = "predictions.csv"
EXTERNAL_PREDICTIONS = "predictions_external.csv"


@dataclass(frozen=True)
class TestedImages:
    """What a classifier said of N images.

    Attributes:
        file_names, patients: (N,).
        labels: Indices of classes, (N,).
        probabilities: Of each of K classes, (N, K).
    """

    file_names: np.ndarray
    patients: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def write_predictions(
    path: Path, split: Split, probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    """Write a table with a row per image: its label, the one predicted, and all probabilities.

    probabilities: (N, K).
    """
    columns = _probability_columns(classes)
    rows = [
        {
            "file_name": file_name,
            "patient": patient,
            "label": classes[label],
            "predicted": classes[int(answer.argmax())],
        }
        | {
            column: f"{probability:.9g}"
            for column, probability in zip(columns, answer, strict=True)
        }
        for file_name, patient, label, answer in zip(
            split.file_names, split.patients, split.labels, probabilities, strict=True
        )
    ]
    write_text(path, format_table(["file_name", "patient", "label", "predicted", *columns], rows))


def read_predictions(path: Path, classes: Sequence[str]) -> TestedImages:
    """Read what `write_predictions` wrote of a classifier of these classes.

    Raises ValueError that names the table when it lacks a column or a value is none.
    """
    columns = _probability_columns(classes)
    rows = read_table(path, ["file_name", "patient", "label", *columns])
    try:
        labels = [classes.index(row["label"]) for row in rows]
        probabilities = [[float(row[column]) for column in columns] for row in rows]
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected labels and probabilities") from error
    return TestedImages(
        file_names=np.array([row["file_name"] for row in rows]),
        patients=np.array([row["patient"] for row in rows]),
        labels=np.array(labels),
        probabilities=np.array(probabilities),
    )


def _probability_columns(classes: Sequence[str]) -> list[str]:
    return [f"probability_{name}" for name in classes]
