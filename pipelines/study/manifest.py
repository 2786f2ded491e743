"""The table of a study's images: `manifest.csv`, one row per image.

`file_name` comes first and is relative to the table's folder, Hugging Face's imagefolder convention.

Texts in our tables come from other people's files. A spreadsheet runs a cell that begins as a formula does, so `table` puts an apostrophe before such
a text and `read_table` takes it away again; numbers are left as they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from runtime.files import check_file, write_text

MAX_TABLE = 200_000_000  # bytes; a longer table is a mistake or an attack; one of this size takes a process up to 2 GB
MAX_CELLS = 10_000_000  # rows by columns of its header: a row cut short counts in full
LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # it names folders
HASH = re.compile(r"[0-9a-f]{64}")
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)
SPLITS = ("train", "validation", "test")
EXTERNAL = "external"  # a test set from another source, in none of the three


@dataclass(frozen=True, kw_only=True)
class Row:
    """One real image of the study."""

    file_name: str  # images/LABEL/ID.png
    label: str
    patient: str  # keyed hash of source and patient number, or that of a phantom
    split: str  # one of SPLITS, or EXTERNAL
    fold: (
        int | None
    )  # from 1, of a cross-validation; None for test images, or where no folds were asked for
    source: str
    view: str  # PA, AP, AP Supine, or empty where it is not known
    sha256: str  # of the decoded pixels, so that it survives re-encoding
    near_hash: str  # perceptual, see cleaning.perceptual_hash; empty for a phantom
    width: int
    height: int


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    write_text(path, table([field.name for field in fields(Row)], (asdict(row) for row in rows)))


def read_manifest(path: Path) -> list[Row]:
    """The rows of a manifest. Raises ValueError naming the file, the line and what was expected."""
    rows = []
    for number, values in enumerate(
        read_table(path, [field.name for field in fields(Row)]), start=2
    ):
        if values["split"] not in (*SPLITS, EXTERNAL):
            raise ValueError(
                f"{path}, line {number}: split {values['split']!r}, expected one of {', '.join(SPLITS)}, {EXTERNAL}"
            )
        check_inside(path, number, values["file_name"])
        if not LABEL.fullmatch(values["label"]):
            raise ValueError(
                f"{path}, line {number}: label {values['label']!r}, expected lower-case letters, digits, - and _"
            )
        if not HASH.fullmatch(values["sha256"]) or not (
            HASH.fullmatch(values["near_hash"]) or values["near_hash"] == ""
        ):
            raise ValueError(
                f"{path}, line {number}: expected 64 hexadecimal digits for sha256, and for near_hash or nothing"
            )
        try:
            numbers = {
                "width": int(values["width"]),
                "height": int(values["height"]),
                "fold": int(values["fold"]) if values["fold"] else None,
            }
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: {error}; expected whole numbers for width, height and fold"
            ) from error
        if min(numbers["width"], numbers["height"]) < 1:
            raise ValueError(
                f"{path}, line {number}: an image of {numbers['width']}×{numbers['height']} px; expected at least 1 on each side"
            )
        rows.append(Row(**{**values, **numbers, "view": values["view"].strip()}))
    if not rows:
        raise ValueError(f"{path} lists no image; import some with: cxr data import PATH...")
    return rows


def table(columns: Sequence[str], rows: Iterable[dict]) -> str:
    """CSV text with a header line; what begins as a formula gets an apostrophe before it."""
    text = io.StringIO()
    plain, quoted = (
        csv.DictWriter(text, columns, lineterminator="\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    plain.writeheader()
    for row in rows:
        cells = {name: _harmless(value) for name, value in row.items()}
        returns = any(
            isinstance(cell, str) and "\r" in cell for cell in cells.values()
        )  # which Python's reader takes for a new line, and its writer does not
        (quoted if returns else plain).writerow(cells)
    return text.getvalue()


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file that `table` wrote, `columns` only. Raises ValueError when the file lacks one or a row is cut short."""
    check_file(path, MAX_TABLE)
    rows = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for number, row in enumerate(rows_of(path, file, columns), start=2):
                if any(row[name] is None for name in columns):
                    raise ValueError(
                        f"{path}, line {number}: the row is cut short; expected {len(columns)} values"
                    )
                rows.append({name: _as_it_was(row[name]) for name in columns})
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    return rows


def rows_of(path: Path, file: TextIO, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of an open CSV file with a header. Raises ValueError that names `path` when it lacks one of the columns or is too large to be read."""
    reader = csv.DictReader(file)
    header = reader.fieldnames or []
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(
            f"{path} lacks the column(s) {', '.join(missing)}; expected {', '.join(columns)}"
        )
    for number, row in enumerate(reader, start=1):
        if number * len(header) > MAX_CELLS:
            raise ValueError(
                f"{path} has more than the {MAX_CELLS:,} cells that are read: {len(header)} columns, and over {number - 1:,} rows"
            )
        yield row


def check_inside(path: Path, number: int, file_name: str) -> None:
    """Refuse file names that lead out of the table's own folder, or are none."""
    name = PurePosixPath(file_name)
    if not file_name or name.is_absolute() or ".." in name.parts or "\0" in file_name:
        raise ValueError(
            f"{path}, line {number}: file name {file_name!r} leads out of the folder; expected a path inside it"
        )


def _harmless(value: Any) -> Any:
    return (
        f"'{value}"
        if isinstance(value, str) and FORMULA.match(value) and not NUMBER.fullmatch(value)
        else value
    )


def _as_it_was(text: str) -> str:
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def fingerprint(hashes: Iterable[str]) -> str:
    """One SHA-256 for a set of image hashes, whatever their order."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def study_fingerprint(rows: Iterable[Row]) -> str:
    """One SHA-256 for a study's images, labels, patients and splits."""
    return fingerprint(f"{row.split} {row.label} {row.patient} {row.sha256}" for row in rows)
