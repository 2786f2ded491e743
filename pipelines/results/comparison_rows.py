"""The classifiers of a comparison: results.csv, a row for each."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.study.fractions import RealFraction, parse_fraction
from pipelines.study.tables import format_table
from runtime.files import write_text
from runtime.run import Run

ROWS_FILE = "results.csv"


@dataclass(frozen=True, kw_only=True)
class ClassifierRow:
    """One trained classifier of a comparison, and how it did on the test split.

    Attributes:
        fraction: Of the real training images.
        fold: Whose patients it was tested with, from 0; None without folds.
        subset: Which of the fractions of that size, from 0; None where there is one.
        ratio: Images added to the reals for each of them; None for the whole synthetic set, or an
            arm that adds none.
        generator, draw: None for an arm that has no such level.
        best_step: The step of the lowest validation loss, whose weights were tested.
        seconds: That the training took.
    """

    arm: str
    fold: int | None
    fraction: RealFraction
    subset: int | None
    ratio: float | None
    generator: int | None
    draw: int | None
    seed: int
    steps: int
    train_images: int
    synthetic_images: int
    accuracy: float
    balanced_accuracy: float
    sensitivity: float
    specificity: float
    roc_auc: float
    best_step: int
    seconds: float


def write_rows(run: Run, rows: Iterable[ClassifierRow]) -> None:
    """Write results.csv into the folder of a comparison."""
    columns = [field.name for field in dataclasses.fields(ClassifierRow)]
    write_text(run.folder / ROWS_FILE, format_table(columns, map(dataclasses.asdict, rows)))


def read_rows(run: Run) -> list[ClassifierRow]:
    """Read results.csv of a comparison. Raises ValueError that names it when it is damaged."""
    path = run.folder / ROWS_FILE
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    try:
        return [_parse_row(line) for line in lines]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged, or of another version of cxr ({error!r}); "
            "make the comparison anew with: cxr compare"
        ) from error


def _parse_row(line: dict[str, str]) -> ClassifierRow:
    """Make a row of the text in its cells; empty text is None where that may be."""
    return ClassifierRow(
        arm=line["arm"],
        fold=int(line["fold"]) if line["fold"] else None,
        fraction=parse_fraction(line["fraction"]),
        subset=int(line["subset"]) if line["subset"] else None,
        ratio=float(line["ratio"]) if line["ratio"] else None,
        generator=int(line["generator"]) if line["generator"] else None,
        draw=int(line["draw"]) if line["draw"] else None,
        seed=int(line["seed"]),
        steps=int(line["steps"]),
        train_images=int(line["train_images"]),
        synthetic_images=int(line["synthetic_images"]),
        accuracy=float(line["accuracy"]),
        balanced_accuracy=float(line["balanced_accuracy"]),
        sensitivity=float(line["sensitivity"]),
        specificity=float(line["specificity"]),
        roc_auc=float(line["roc_auc"]),
        best_step=int(line["best_step"]),
        seconds=float(line["seconds"]),
    )
