"""CSV tables of our own: how they are written and read back.

Texts in our tables come from other people's files. A spreadsheet runs a cell that begins as a
formula does, so `format_table` puts an apostrophe before such a text and `read_table` takes it away
again; numbers are left as they are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from runtime.files import check_file

# Larger tables are a mistake or an attack. One of MAX_TABLE takes a process up to 2 GB.
MAX_TABLE = 200_000_000  # bytes
MAX_CELLS = 10_000_000  # rows by columns of the header: a row cut short counts in full

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def format_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as CSV text with a header line; what begins as a formula gets an apostrophe."""
    text = io.StringIO()
    plain = csv.DictWriter(text, columns, lineterminator="\n")
    quoted = csv.DictWriter(text, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writeheader()
    for row in rows:
        cells = {name: _escape_formula(value) for name, value in row.items()}
        # Python's reader takes a carriage return for a new line, and its writer does not.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells.values())
        (quoted if has_return else plain).writerow(cells)
    return text.getvalue()


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV file that `format_table` wrote, `columns` only.

    Raises ValueError when the file lacks a column or a row is cut short.
    """
    check_file(path, MAX_TABLE)
    rows = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for line_number, row in enumerate(_iterate_rows(path, file, columns), start=2):
                if any(row[name] is None for name in columns):
                    raise ValueError(
                        f"{path}, line {line_number}: the row is cut short; "
                        f"expected {len(columns)} values"
                    )
                rows.append({name: _unescape_formula(row[name]) for name in columns})
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    return rows


def _iterate_rows(path: Path, file: TextIO, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of an open CSV file with a header, None where a value is missing.

    Raises ValueError that names `path` when it lacks one of the columns or has too many cells.
    """
    reader = csv.DictReader(file)
    header = reader.fieldnames or []
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(
            f"{path} lacks the column(s) {', '.join(missing)}; expected {', '.join(columns)}"
        )
    for count, row in enumerate(reader, start=1):
        check_cells(path, len(header), count)
        yield row


def check_cells(path: Path, n_columns: int, n_rows: int) -> None:
    """Raise ValueError that names the table when it has too many cells."""
    if n_rows * n_columns > MAX_CELLS:
        raise ValueError(
            f"{path} has more than the {MAX_CELLS:,} cells that are read: "
            f"{n_columns} columns, and over {n_rows - 1:,} rows"
        )


def check_inside(path: Path, line_number: int, file_name: str) -> None:
    """Refuse a file name that leads out of the table's own folder, or is none."""
    name = PurePosixPath(file_name)
    if not name.parts or name.is_absolute() or ".." in name.parts or "\0" in file_name:
        raise ValueError(
            f"{path}, line {line_number}: file name {file_name!r} leads out of the folder; "
            "expected a path inside it"
        )


def _escape_formula(value: object) -> object:
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _unescape_formula(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
