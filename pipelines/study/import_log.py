"""What `import.json` says of each import: where images came from, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runtime.files import read_json, write_json
from runtime.records import RecordError, parse_record


@dataclass(frozen=True)
class PassedOver:
    """A file of a source that was not read, or a folder with so many of them."""

    file: str
    reason: str
    files: int = 1


@dataclass(frozen=True)
class ImportSource:
    """One source of an import.

    Attributes:
        source: Its name.
        kind: The layout that it was read as.
        images: How many it offered.
        passed_over: How many files it has besides, by reason.
        absent: How many files its table names that are not there.
        external: Whether it makes the external test set.
        passed_over_files: Which files were passed over, relative to the source.
        notes: What its reader told besides, such as tables that were not used.
        columns: Of its table, none where it has none; None: not written down, by earlier versions.
    """

    source: str
    kind: str
    images: int
    passed_over: dict[str, int]
    absent: int
    external: bool = False
    notes: list[str] = field(default_factory=list)
    passed_over_files: list[PassedOver] = field(default_factory=list)
    columns: list[str] | None = None


@dataclass(frozen=True)
class LeftOutImage:
    """An image that did not come into the study; originals.csv tells which file an id is."""

    id: str
    reason: str


@dataclass(frozen=True)
class NearDuplicate:
    """Two images that look like one film, and in how many bits their hashes differ."""

    images: tuple[str, str]
    bits: int


@dataclass(frozen=True)
class HoldOutRule:
    """A rule by which images were put aside, and which of the import match it.

    Attributes:
        rule: As it was given: location=Hannover*.
        images: How many match.
        values: How many of them have each value of the column, for values that several patients
            have.
        values_of_one_patient: How many further values there are, which are not told: such a value,
            as a note or a number, might say who the patient is.
    """

    rule: str
    images: int
    values: dict[str, int]
    values_of_one_patient: int


@dataclass(frozen=True)
class HeldOut:
    """What an import put aside as an external test set.

    Attributes:
        rules: Those in force, of earlier imports too; an image is held out that matches any.
        images, patients: By label.
        tied_images: How many of the images match no rule themselves: another of the same patient
            does, or one that looks alike.
    """

    rules: list[HoldOutRule]
    images: dict[str, int]
    patients: dict[str, int]
    tied_images: int


@dataclass(frozen=True)
class ImportSummary:
    """One import.

    Attributes:
        sources: What it read.
        kept: How many images came into the study.
        left_out_counts: How many did not, by reason.
        left_out: Each of these.
        near_duplicates: Pairs that look like one film; both are kept, in one split.
        unknown_views: How many have a view of a name that is not known, by name.
        may_show_text: How many DICOM images may show names or dates in their pixels.
        images_in_study: How many it had afterwards.
        split: The shares asked for, as 70/10/20.
        split_seed: Seed of the split.
        folds: Into how many folds it was dealt, if at all.
        min_side: Images with a shorter side, in pixels, were left out.
        same_patients: Whether a number was one patient in all sources; None: by version 0.1, which
            counted every number within its source.
        patient_aliases: Patients of the manifest by further names, hashed, that they are known by.
        patient_notes: What is doubtful about patients' numbers.
        looked_for: Which near-duplicates were looked for, and which were not, in words; empty of an
            earlier version, which looked for unaltered ones alone.
        tied_patients: Patients of the manifest who count as one person, since they share a picture,
            look alike or are known by each other's numbers.
        held_out: What was put aside by rules; None where there are none.
    """

    sources: list[ImportSource]
    kept: int
    left_out_counts: dict[str, int]
    left_out: list[LeftOutImage]
    near_duplicates: list[NearDuplicate]
    unknown_views: dict[str, int]
    may_show_text: int
    images_in_study: int
    split: str
    split_seed: int
    folds: int | None
    min_side: int
    same_patients: bool | None = None
    patient_aliases: dict[str, str] = field(default_factory=dict)
    patient_notes: list[str] = field(default_factory=list)
    looked_for: str = ""
    tied_patients: list[list[str]] = field(default_factory=list)
    held_out: HeldOut | None = None


def write_imports(path: Path, imports: Sequence[ImportSummary]) -> None:
    """Write import.json, oldest import first."""
    write_json(path, {"imports": [_to_json(summary) for summary in imports]})


def read_imports(path: Path) -> list[ImportSummary]:
    """Read import.json, oldest import first; nothing where there is no such file.

    Raises ValueError that names the file when it is damaged.
    """
    if not path.exists():
        return []
    entries = read_json(path).expect(imports=list)["imports"]
    if not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"{path} does not list what was imported; it is damaged")
    try:
        return [parse_record(ImportSummary, _from_json(entry)) for entry in entries]
    except RecordError as error:
        raise ValueError(
            f"{path}: {error}; it is damaged, or another version of cxr wrote it"
        ) from error


def _to_json(summary: ImportSummary) -> dict[str, Any]:
    """Name the fields of an import; `external` and `notes` of a source only where there are any."""
    values = asdict(summary)
    for source in values["sources"]:
        for name in ("external", "notes", "passed_over_files"):
            if not source[name]:
                del source[name]
    return values


def _from_json(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `_to_json`, whatever stands there; files of version 0.1 lack some fields."""
    sources = entry.get("sources")
    if not isinstance(sources, list):
        return dict(entry)
    complete = [
        {"external": False, "notes": [], "passed_over_files": [], "columns": None, **source}
        if isinstance(source, Mapping)
        else source
        for source in sources
    ]
    absent: dict[str, Any] = {
        "unknown_views": {},
        "same_patients": None,
        "patient_aliases": {},
        "patient_notes": [],
        "looked_for": "",
        "tied_patients": [],
        "held_out": None,
    }
    return {**absent, **entry, "sources": complete}
