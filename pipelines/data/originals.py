"""`originals.csv`, which links images back to files and patients.

It is to be kept to oneself, or deleted: nothing needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipelines.data.private_files import write_private
from pipelines.study.tables import format_table, read_table


@dataclass(frozen=True, kw_only=True)
class OriginalRow:
    """One image that was offered to the study.

    Attributes:
        id: Keyed hash of its origin, by which import.json names it.
        file_name: In the study; empty where it did not come in.
        origin: The file that it was read from.
        source: The name of its source.
        patient: As the source numbers it.
        label: Its class.
        reason: Why it did not come in; empty where it did.
    """

    id: str
    file_name: str = ""
    origin: str
    source: str = ""
    patient: str = ""
    label: str = ""
    reason: str = ""


ORIGINAL_COLUMNS = tuple(field.name for field in fields(OriginalRow))


def read_originals(path: Path) -> list[OriginalRow]:
    """Read the table; nothing where there is none."""
    if not path.exists():
        return []
    return [OriginalRow(**values) for values in read_table(path, ORIGINAL_COLUMNS)]


def write_originals(path: Path, rows: Sequence[OriginalRow]) -> None:
    """Write the table so that its owner alone can read it."""
    write_private(path, format_table(ORIGINAL_COLUMNS, (asdict(row) for row in rows)))
