"""The table of a study's images: `manifest.csv`, one row per image.

`file_name` comes first and is relative to the table's folder, by the convention of Hugging Face's
imagefolder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipelines.study.tables import check_inside, format_table, read_table
from runtime.files import write_text

LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # it names folders
HASH = re.compile(r"[0-9a-f]{64}")
SPLITS = ("train", "validation", "test")
EXTERNAL = "external"  # a test set from another source, in none of the three


@dataclass(frozen=True, kw_only=True)
class Row:
    """One real image of the study.

    Attributes:
        file_name: images/LABEL/ID.png.
        label: Its class, as the study calls it.
        patient: Keyed hash of a patient's number and its register or source, or a phantom's name.
        split: One of SPLITS, or EXTERNAL.
        fold: From 1, of a cross-validation; None for test images, or where no folds were asked for.
        source: The collection or folder that it is from.
        view: PA, AP, AP Supine, or empty where it is not known.
        sha256: Of the decoded pixels, so that it survives re-encoding.
        near_hash: Perceptual, see cleaning.perceptual_hash; empty for a phantom.
        width, height: In the file that the study keeps.
    """

    file_name: str
    label: str
    patient: str
    split: str
    fold: int | None
    source: str
    view: str
    sha256: str
    near_hash: str
    width: int
    height: int


MANIFEST_COLUMNS = tuple(field.name for field in fields(Row))


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write the study's images, whole or not at all."""
    write_text(path, format_table(MANIFEST_COLUMNS, (asdict(row) for row in rows)))


def read_manifest(path: Path) -> list[Row]:
    """Read the rows of a manifest.

    Raises ValueError naming the file, the line and what was expected.
    """
    rows = [
        _parse_row(path, line_number, values)
        for line_number, values in enumerate(read_table(path, MANIFEST_COLUMNS), start=2)
    ]
    if not rows:
        raise ValueError(f"{path} lists no image; import some with: cxr data import PATH...")
    return rows


def _parse_row(path: Path, line_number: int, values: Mapping[str, str]) -> Row:
    where = f"{path}, line {line_number}"
    if values["split"] not in (*SPLITS, EXTERNAL):
        raise ValueError(
            f"{where}: split {values['split']!r}, expected one of {', '.join(SPLITS)}, {EXTERNAL}"
        )
    check_inside(path, line_number, values["file_name"])
    if not LABEL.fullmatch(values["label"]):
        raise ValueError(
            f"{where}: label {values['label']!r}, expected lower-case letters, digits, - and _"
        )
    if not HASH.fullmatch(values["sha256"]) or not (
        HASH.fullmatch(values["near_hash"]) or values["near_hash"] == ""
    ):
        raise ValueError(
            f"{where}: expected 64 hexadecimal digits for sha256, and for near_hash or nothing"
        )
    try:
        width, height = int(values["width"]), int(values["height"])
        fold = int(values["fold"]) if values["fold"] else None
    except ValueError as error:
        raise ValueError(
            f"{where}: {error}; expected whole numbers for width, height and fold"
        ) from error
    if min(width, height) < 1:
        raise ValueError(
            f"{where}: an image of {width}×{height} px; expected at least 1 on each side"
        )
    return Row(
        file_name=values["file_name"],
        label=values["label"],
        patient=values["patient"],
        split=values["split"],
        fold=fold,
        source=values["source"],
        view=values["view"].strip(),
        sha256=values["sha256"],
        near_hash=values["near_hash"],
        width=width,
        height=height,
    )


def fingerprint(hashes: Iterable[str]) -> str:
    """Return one SHA-256 for a set of image hashes, whatever their order."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def study_fingerprint(rows: Iterable[Row]) -> str:
    """Return one SHA-256 for a study's images, labels, patients and splits."""
    return fingerprint(f"{row.split} {row.label} {row.patient} {row.sha256}" for row in rows)
