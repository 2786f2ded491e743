"""Tables as people save them: any usual encoding and delimiter, to rows of text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pipelines.study.tables import MAX_TABLE, check_cells
from runtime.files import check_file

DELIMITERS = (",", ";", "\t", "|")
HEADER_BYTES = 1 << 16  # a header is looked for in so many
_BYTE_ORDER_MARKS = (  # of UTF-32 before UTF-16, whose mark begins it
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_DELIMITER_LINE = re.compile(
    r"\"?sep=([,;\t|])\"?[,;\t]*(\r\n|\r|\n)", re.IGNORECASE
)  # as Excel writes it


@dataclass(frozen=True)
class TextRow:
    """One row of a table that has something in it.

    Attributes:
        line: Where it begins in the file, from 1.
        cells: As many as the header has columns, without spaces around them.
    """

    line: int
    cells: list[str]


@dataclass(frozen=True)
class TextTable:
    """A table as text.

    Attributes:
        path: Its file.
        header: The names of its columns, without spaces around them.
        delimiter: What stands between its cells.
        text: The file, of which `rows` makes rows.
    """

    path: Path
    header: list[str]
    delimiter: str
    text: str = field(repr=False)

    def rows(self) -> Iterator[TextRow]:
        """Yield the rows below the header; empty ones and rows of delimiters alone are none.

        Raises ValueError, which names file and line, when a row has more cells than the header has
        columns, when a quotation mark is not closed, or when there are too many cells.
        """
        records = _records(self.path, self.text, self.delimiter)
        next(records, None)  # the header
        for count, row in enumerate(records, start=1):
            check_cells(self.path, len(self.header), count)
            beyond = [cell for cell in row.cells[len(self.header) :] if cell]
            if beyond:
                raise ValueError(
                    f"{self.path}, line {row.line}: {len(row.cells)} values, the last "
                    f"{beyond[-1]!r:.60}, where the header has {len(self.header)} columns; "
                    f"expected quotation marks around a value that has {self.delimiter!r} in it"
                )
            lacking = len(self.header) - len(row.cells)
            yield TextRow(row.line, row.cells[: len(self.header)] + [""] * lacking)


def open_table(path: Path, known: Collection[str]) -> TextTable:
    """Read a table in UTF-8, UTF-16 or else Windows' Latin, whatever its delimiter.

    known: names of columns by which the header and its delimiter are told, as `plain_name` writes
        them. Raises ValueError that names the file when it is no table of text.
    """
    check_file(path, MAX_TABLE)
    return _parse_table(path, _decode(path, path.read_bytes()), known)


def read_header(path: Path, known: Collection[str]) -> list[str]:
    """Read the names of a table's columns; an empty list where it is none."""
    with open(path, "rb") as file:
        content = file.read(HEADER_BYTES)
    try:
        return _parse_table(path, _decode(path, content, is_whole=False), known).header
    except ValueError:
        return []


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of somebody's table that has these columns.

    A row has these columns, empty where a value is missing, and what else is not empty. Raises
    ValueError when the header lacks one of these columns, or when `open_table` or its rows do.
    """
    table = open_table(path, {plain_name(name) for name in columns})
    names = name_columns(table, columns)
    return [
        {
            name: cell
            for name, cell in zip(names, row.cells, strict=True)
            if name and (cell or name in columns)
        }
        for row in table.rows()
    ]


def read_columns(path: Path, known: Sequence[str]) -> list[str]:
    """Read the names of the columns of a table that has some of these; ones without are none."""
    return [name for name in open_table(path, {plain_name(name) for name in known}).header if name]


def name_columns(table: TextTable, columns: Sequence[str]) -> list[str]:
    """Name the columns of a table as `columns` does, whatever their case; others as they are.

    Raises ValueError when one is absent or there twice.
    """
    wanted = {plain_name(name): name for name in columns}
    names = [wanted.get(plain_name(name), name) for name in table.header]
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(
            f"{table.path} lacks the column(s) {', '.join(missing)}; "
            f"expected {', '.join(columns)}, read {describe_header(table.header)}"
        )
    double = next((name for name in columns if names.count(name) > 1), None)
    if double:
        raise ValueError(f"{table.path} has two columns {double}; expected one: rename the other")
    return names


@lru_cache(maxsize=4096)
def plain_name(column: str) -> str:
    """Write the name of a column without case, spaces and signs: File Name becomes filename."""
    return re.sub(r"[\W_]+", "", column.casefold())


def describe_header(header: Sequence[str], shown: int = 12) -> str:
    """List the columns that were read, for a message."""
    names = [name for name in header if name]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(f'{name:.40}' for name in names[:shown])}{more}" if names else "no column"


def decode_text(path: Path) -> str:
    """Read a text file in UTF-8, UTF-16 or else Windows' Latin.

    Raises ValueError that names the file when it is too long, or is not what its first bytes say.
    """
    check_file(path, MAX_TABLE)
    return _decode(path, path.read_bytes())


def _decode(path: Path, content: bytes, *, is_whole: bool = True) -> str:
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path} is a workbook, as Excel has it; expected text: save it as CSV")
    encoding = _encoding(content[:4096])
    if not is_whole and encoding:
        return content.decode(encoding, "ignore")
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise ValueError(
                f"{path} begins as text in {encoding.upper()} and is none: {error.reason} "
                f"at byte {error.start}; save it as CSV in UTF-8"
            ) from error
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _encoding(beginning: bytes) -> str | None:
    """Return what a byte order mark, or every second byte of 0, says of a text."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if beginning.startswith(mark):
            return encoding
    pairs = len(beginning) // 2
    if pairs and beginning[1::2].count(0) > 0.7 * pairs and beginning[::2].count(0) == 0:
        return "utf-16-le"
    if pairs and beginning[::2].count(0) > 0.7 * pairs and beginning[1::2].count(0) == 0:
        return "utf-16-be"
    return None


def _parse_table(path: Path, text: str, known: Collection[str]) -> TextTable:
    """Read the header with each delimiter, and take the one that gives most of what is known."""
    beginning = text[:HEADER_BYTES]
    stated = _DELIMITER_LINE.match(beginning)
    candidates = []
    for delimiter in (stated.group(1),) if stated else DELIMITERS:
        try:
            header = next(_records(path, beginning, delimiter)).cells
        except (ValueError, StopIteration):
            continue
        n_known = len({plain_name(name) for name in header} & set(known))
        candidates.append(((n_known, len(header)), delimiter))
    if not candidates:
        raise ValueError(f"{path} has no header; expected the names of columns in its first line")
    _, delimiter = max(candidates, key=lambda candidate: candidate[0])
    header = next(_records(path, text, delimiter)).cells
    return TextTable(path, header, delimiter, text)


def _records(path: Path, text: str, delimiter: str) -> Iterator[TextRow]:
    """Yield what is not empty, the header first, each with the line that it begins in."""
    stated = _DELIMITER_LINE.match(text)
    file = io.StringIO(text, newline="")
    if stated:
        file.seek(stated.end())
    skipped = 1 if stated else 0
    line = skipped + 1
    try:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield TextRow(line, stripped)
            line = skipped + reader.line_num + 1
    except (csv.Error, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a CSV file: {error}, in the row that begins in line {line}"
        ) from error
