"""Tables that lie in a source and were not read: whoever put them there may think they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipelines.data.covidx import find_split_texts
from pipelines.data.listing import Listing
from pipelines.data.table_columns import KNOWN_COLUMNS, TEXT_SUFFIXES, WORKBOOK_SUFFIXES
from pipelines.data.table_text import describe_header, read_header

NAMED_TABLES = 5
COLUMNS_SHOWN = 6


def note_unused_tables(folder: Path, listing: Listing) -> None:
    """Note the tables in a source's folder, and in those in it, that its reader did not use."""
    if not folder.is_dir():
        return
    used = {table.resolve() for table in listing.tables}
    unused = [table for table in _tables_in(folder) if table.resolve() not in used]
    if unused:
        named = "; ".join(_describe(table, folder) for table in unused[:NAMED_TABLES])
        more = f"; and {len(unused) - NAMED_TABLES} more" if len(unused) > NAMED_TABLES else ""
        listing.notes.append(f"tables that were not used: {named}{more}")


def _describe(table: Path, folder: Path) -> str:
    name = str(table.relative_to(folder))
    if table.suffix.lower() not in TEXT_SUFFIXES:
        return name
    return f"{name} ({describe_header(read_header(table, KNOWN_COLUMNS), COLUMNS_SHOWN)})"


def _tables_in(folder: Path) -> Iterator[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return
    yield from _tables_of(children)
    yield from find_split_texts(folder)
    for child in children:
        if not child.name.startswith(".") and child.is_dir():
            try:
                inside = sorted(child.iterdir())
            except OSError:
                continue
            if not {"manifest.csv", "import.json"} <= {path.name for path in inside}:
                yield from _tables_of(inside)


def _tables_of(files: Iterable[Path]) -> Iterator[Path]:
    suffixes = (*TEXT_SUFFIXES, *WORKBOOK_SUFFIXES)
    for file in files:
        if not file.name.startswith(".") and file.suffix.lower() in suffixes and file.is_file():
            yield file
