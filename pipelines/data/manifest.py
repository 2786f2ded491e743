"""The table of a study's images: `manifest.csv`, one row per image.

`file_name` comes first and is relative to the table's folder, Hugging Face's imagefolder convention.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath

from runtime.files import write_text

SPLITS = ("train", "validation", "test")
EXTERNAL = "external"  # a test set from another source, in none of the three


@dataclass(frozen=True, kw_only=True)
class Row:
    """One real image of the study."""

    file_name: str  # images/LABEL/ID.png
    label: str
    patient: str  # keyed hash of source and patient number, or that of a phantom
    split: str  # one of SPLITS, or EXTERNAL
    fold: int | None  # from 1, of a cross-validation; None for test images, or where no folds were asked for
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
    for number, values in enumerate(read_table(path, [field.name for field in fields(Row)]), start=2):
        if values["split"] not in (*SPLITS, EXTERNAL):
            raise ValueError(f"{path}, line {number}: split {values['split']!r}, expected one of {', '.join(SPLITS)}, {EXTERNAL}")
        check_inside(path, number, values["file_name"])
        try:
            numbers = {"width": int(values["width"]), "height": int(values["height"]), "fold": int(values["fold"]) if values["fold"] else None}
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}; expected whole numbers for width, height and fold") from error
        rows.append(Row(**{**values, **numbers}))
    if not rows:
        raise ValueError(f"{path} lists no image; import some with: cxr data import PATH...")
    return rows


def table(columns: Sequence[str], rows: Iterable[dict]) -> str:
    """CSV text with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, `columns` only. Raises ValueError when the file lacks one or a row is cut short."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(f"{path} lacks the column(s) {', '.join(missing)}; expected {', '.join(columns)}")
            rows = [{name: row[name] for name in columns} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    for number, row in enumerate(rows, start=2):
        if None in row.values():
            raise ValueError(f"{path}, line {number}: the row is cut short; expected {len(columns)} values")
    return rows


def check_inside(path: Path, number: int, file_name: str) -> None:
    """Refuse file names that lead out of the table's own folder."""
    name = PurePosixPath(file_name)
    if not file_name or name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{path}, line {number}: file name {file_name!r} leads out of the folder; expected a path inside it")


def fingerprint(hashes: Iterable[str]) -> str:
    """One SHA-256 for a set of image hashes, whatever their order."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def study_fingerprint(rows: Iterable[Row]) -> str:
    """One SHA-256 for a study's images, labels, patients and splits."""
    return fingerprint(f"{row.split} {row.label} {row.patient} {row.sha256}" for row in rows)
