"""Tables of other people: any CSV as rows of text, and a table of one's own images."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipelines.data.folders import offer_file
from pipelines.data.listing import FindingLabels, Listing, splits_allowed
from pipelines.study.manifest import SPLITS
from pipelines.study.tables import MAX_TABLE, check_inside, iterate_rows
from runtime.files import check_file

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of somebody's CSV file, in UTF-8 or else Latin-1.

    A row has these columns, empty where a value is missing, and what else is not empty. Raises
    ValueError when the header lacks one of these columns.
    """
    check_file(path, MAX_TABLE)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    try:
        return [
            {
                name: (value or "").strip()
                for name, value in row.items()
                if name in columns or (isinstance(name, str) and value)
            }
            for row in iterate_rows(path, io.StringIO(text, newline=""), columns)
        ]
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from error


def read_header(path: Path) -> set[str]:
    """Read the column names of a CSV file; an empty set where it is none."""
    check_file(path, MAX_TABLE)
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        try:
            return set(next(csv.reader(file), []))
        except csv.Error:
            return set()


def find_table(path: Path) -> Path | None:
    """Return the CSV with file_name and label that `path` is or holds, if there is one.

    Raises ValueError when a folder holds several.
    """
    if path.is_file():
        return path if path.suffix.lower() == ".csv" else None
    tables = [
        table
        for table in sorted(path.glob("*.csv"))
        if table.is_file() and {"file_name", "label"} <= read_header(table)
    ]
    if len(tables) > 1:
        raise ValueError(
            f"{path} holds several tables of images: {', '.join(table.name for table in tables)}; "
            "name one of them in place of the folder"
        )
    return tables[0] if tables else None


def list_csv(path: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List a CSV with file_name,label[,patient,view,split], or a folder that holds one.

    File names are relative to its folder. chosen: labels by the table's own, in lower case.
    """
    table = find_table(path)
    if table is None:
        raise ValueError(f"{path} holds no CSV with the columns file_name and label")
    listing = Listing(source, f"table {table.name}")
    labels = FindingLabels(chosen, keep_others=True)
    rows = read_rows(table, ("file_name", "label"))
    named_splits = {SPLIT_NAMES.get(row.get("split", "").lower()) for row in rows}
    for line_number, row in enumerate(rows, start=2):
        check_inside(table, line_number, row["file_name"])
        file = table.parent / PurePosixPath(row["file_name"])
        listing.findings[row["label"]] += 1
        split = _parse_split(row.get("split", ""), f"{table}, line {line_number}")
        label = _choose_label(row["label"], labels, f"{table}, line {line_number}")
        if label is None:
            listing.passed_over[f"{row['label']}: not wanted"] += 1
        elif not os.path.isfile(file):  # which is False for a name that no file can have
            listing.absent.append(str(file))
        else:
            listing.images.append(
                offer_file(
                    file,
                    label,
                    source,
                    patient=row.get("patient") or None,
                    view=row.get("view", ""),
                    splits=splits_allowed(split, has_validation="validation" in named_splits),
                )
            )
    return listing


def _parse_split(text: str, where: str) -> str | None:
    split = text.lower()
    if split and split not in SPLIT_NAMES:
        raise ValueError(
            f"{where}: split {split!r}, expected one of {', '.join(SPLITS)}, or nothing"
        )
    return SPLIT_NAMES.get(split)


def _choose_label(text: str, labels: FindingLabels, where: str) -> str | None:
    """Return the label of a row, or None where it is not wanted."""
    if not text:
        raise ValueError(f"{where}: no label; expected one for each file")
    chosen = labels.labels_of([text.replace("/", "-")])
    if not chosen and text.lower() not in labels.chosen:
        raise ValueError(f"{where}: no label can be made from {text!r}; rename it with --label")
    return chosen.pop() if chosen else None
