"""What people have, as records of one kind: plain folders, tables and drawn phantoms. Published collections stand in `published`.

A record is one image that a source offers. Whether it is any good is found out when it is decoded.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from pipelines.data.phantom import cases, draw
from pipelines.study import dicom
from pipelines.study.image_io import SUFFIXES, Picture, read_picture
from pipelines.study.manifest import LABEL, MAX_TABLE, SPLITS, check_inside, rows_of
from runtime.files import check_file

NIH_NAME = re.compile(r"(\d{8})_\d{3}")  # patient number, follow-up number
MASKS = ("masks", "mask", "segmentations", "lung masks")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Record:
    """One image that a source offers."""

    origin: str  # the file, or what was drawn
    load: Callable[[], Picture]
    label: str
    source: str
    patient: str | None = (
        None  # as the source numbers its patients; None: as DICOM says, else every file its own
    )
    view: str = ""
    splits: tuple[str, ...] = SPLITS  # that it may go to
    name: str | None = None  # of a phantom: file name to keep, without suffix
    note: str | None = None  # of a phantom: text to store in the image file


@dataclass(frozen=True)
class Listing:
    """A source as found."""

    source: str
    kind: str
    records: list[Record]
    absent: list[str] = field(
        default_factory=list
    )  # files that its table names and that are not there
    passed_over: Counter[str] = field(default_factory=Counter)  # what it has besides, by reason
    findings: Counter[str] = field(default_factory=Counter)  # its own names of labels


@dataclass(frozen=True)
class Labels:
    """From a source's names of findings to labels of the study.

    chosen: name, in lower case, to label. Of a source whose `all_of_it` is wanted, other names become labels themselves.
    """

    chosen: dict[str, str]
    all_of_it: bool = False

    def of(self, findings: list[str]) -> set[str]:
        """The labels of an image with these findings: none where it is not wanted, several where it cannot be told."""
        labels = set()
        for finding in findings:
            levels = [
                level.strip() for level in finding.split("/")
            ]  # "Pneumonia/Viral/COVID-19": the last that is known counts
            known = [self.chosen[level.lower()] for level in levels if level.lower() in self.chosen]
            if known:
                labels.add(known[-1])
            elif self.all_of_it:
                labels.add(slug(finding))
        return labels - {""}


def parse_labels(texts: tuple[str, ...]) -> dict[str, str]:
    """ "Viral Pneumonia=pneumonia" to {"viral pneumonia": "pneumonia"}; an empty label leaves the finding out. Raises ValueError."""
    chosen = {}
    for text in texts:
        finding, equals, label = text.rpartition("=")
        if not equals or not finding.strip() or (label and not LABEL.fullmatch(label)):
            raise ValueError(
                f'--label {text}: expected FINDING=LABEL, the label in lower-case letters, digits, - and _, as in --label "Viral Pneumonia=pneumonia"'
            )
        chosen[finding.strip().lower()] = label
    return chosen


def slug(text: str) -> str:
    """A label from a folder's or a finding's name."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:64].strip("-_")


def readable(name: str) -> str:
    """A file name as text, whatever bytes it is made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def image_files(folder: Path, passed_over: Counter[str]) -> Iterator[Path]:
    """The image files under a folder in sorted order, links followed but never in a circle; counts what it leaves aside."""
    seen: set[tuple[int, int]] = set()
    for name, children, files in os.walk(folder, followlinks=True, onerror=_raise):
        here = os.stat(name)
        if (here.st_dev, here.st_ino) in seen:
            children.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        masks = [child for child in children if child.lower() in MASKS]
        for child in masks:
            passed_over["a mask"] += _files_under(Path(name, child))
        children[:] = sorted(
            child for child in children if child not in masks and not child.startswith(".")
        )
        if "manifest.csv" in files and "import.json" in files:
            passed_over["in a workspace of cxr"] += 1
            children.clear()
            continue
        for file in sorted(files):
            path = Path(name, file)
            if file.startswith(".") or not path.is_file():
                continue
            if path.suffix.lower() in SUFFIXES or (not path.suffix and _begins_as_dicom(path)):
                yield path
            else:
                passed_over["not an image by its name"] += 1


def _raise(error: OSError) -> None:
    """A folder that cannot be read is no empty one."""
    raise error


def _files_under(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _begins_as_dicom(path: Path) -> bool:
    return os.access(path, os.R_OK) and dicom.is_dicom(path)


def file_record(path: Path, label: str, source: str, **about) -> Record:
    """The record of an image file; an NIH name tells the patient."""
    nih = NIH_NAME.fullmatch(path.stem)
    return Record(
        str(path),
        partial(read_picture, path),
        label,
        source,
        **({"patient": nih.group(1)} if nih else {}) | about,
    )


def one_label(folder: Path, source: str, label: str) -> Listing:
    passed_over: Counter[str] = Counter()
    records = [file_record(path, label, source) for path in image_files(folder, passed_over)]
    return Listing(source, f"folder of one label, {label}", records, passed_over=passed_over)


def folder_per_label(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    labels, records = Labels(chosen, all_of_it=True), []
    listing = Listing(source, "folder per label", records)
    for child in sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    ):
        if child.name.lower() in MASKS:
            listing.passed_over["a mask"] += _files_under(child)
            continue
        paths = list(image_files(child, listing.passed_over))
        if not paths:
            continue
        listing.findings[child.name] += len(paths)
        label = labels.of([child.name.replace("/", "-")])
        if not label and child.name.lower() not in chosen:
            raise ValueError(
                f"{child}: no label can be made from this folder name; name it: {child}=LABEL"
            )
        if not label:
            listing.passed_over[f"{child.name}: not wanted"] += len(paths)
        records += [file_record(path, name, source) for path in paths for name in label]
    if not records and not listing.passed_over.total() and any(image_files(folder, Counter())):
        raise ValueError(f"{folder} holds images but no label; name it: {folder}=LABEL")
    return listing


def read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of somebody's CSV file, in UTF-8 or else Latin-1: these columns, empty where a value is missing, and what else is not empty.

    Raises ValueError when the header lacks one of these columns.
    """
    check_file(path, MAX_TABLE)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    try:
        rows = rows_of(path, io.StringIO(text, newline=""), columns)
        return [
            {
                name: (value or "").strip()
                for name, value in row.items()
                if name in columns or (isinstance(name, str) and value)
            }
            for row in rows
        ]
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from error


def header_of(path: Path) -> set[str]:
    """The column names of a CSV file, or an empty set."""
    check_file(path, MAX_TABLE)
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        try:
            return set(next(csv.reader(file), []))
        except csv.Error:
            return set()


def csv_table(path: Path, source: str, chosen: dict[str, str]) -> Listing:
    """A CSV with file_name,label[,patient,view,split]; names are relative to its folder."""
    listing = Listing(source, f"table {path.name}", [])
    labels = Labels(chosen, all_of_it=True)
    rows = read_rows(path, ("file_name", "label"))
    named = {SPLIT_NAMES.get(row.get("split", "").lower()) for row in rows}
    for number, row in enumerate(rows, start=2):
        check_inside(path, number, row["file_name"])
        file = path.parent / PurePosixPath(row["file_name"])
        listing.findings[row["label"]] += 1
        found = labels.of([row["label"].replace("/", "-")])
        split = row.get("split", "").lower()
        if split and split not in SPLIT_NAMES:
            raise ValueError(
                f"{path}, line {number}: split {split!r}, expected one of {', '.join(SPLITS)}, or nothing"
            )
        if not row["label"]:
            raise ValueError(f"{path}, line {number}: no label; expected one for each file")
        if not found and row["label"].lower() not in chosen:
            raise ValueError(
                f"{path}, line {number}: no label can be made from {row['label']!r}; rename it with --label"
            )
        if not found:
            listing.passed_over[f"{row['label']}: not wanted"] += 1
        elif not os.path.isfile(
            file
        ):  # which takes a name that no file can have for one that is absent
            listing.absent.append(str(file))
        else:
            about = {key: row[key] for key in ("patient", "view") if row.get(key)}
            listing.records.append(
                file_record(
                    file,
                    found.pop(),
                    source,
                    splits=allowed(SPLIT_NAMES.get(split), "validation" in named),
                    **about,
                )
            )
    return listing


def allowed(split: str | None, validation_is_named: bool) -> tuple[str, ...]:
    """The splits that an image may go to when its source has put it into one; a source without validation images leaves some of its training ones."""
    if split is None:
        return SPLITS
    return ("train", "validation") if split == "train" and not validation_is_named else (split,)


def phantom_listing(n: int, seed: int) -> Listing:
    """n phantom chest X-rays as a source; every one says so in its name and in its file."""
    records = [
        Record(
            origin=f"phantom {seed}-{case.label}-{case.patient}, image {case.image}",
            load=partial(_drawn, case, seed),
            label=case.label,
            source="phantom",
            patient=f"{seed}-{case.label}-{case.patient}",
            name=f"PHANTOM-{seed}-{case.label}-{case.patient:05d}-{case.image}",
            note="PHANTOM: drawn by cxr, not a radiograph of a patient",
        )
        for case in cases(n, seed)
    ]
    return Listing("phantom", f"drawn, seed {seed}", records)


def _drawn(case, seed: int) -> Picture:
    gray = draw(case, seed)
    return Picture(gray, *gray.shape)
