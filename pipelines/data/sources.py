"""What people have: published collections and plain folders, recognised and turned into records.

    PATH            covid-chestxray-dataset, known by its metadata.csv: frontal COVID-19 X-rays
    PATH            a folder per label
    PATH=LABEL      a folder of one label
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.data.phantom import cases, draw
from pipelines.data.reading import SUFFIXES, read_gray

COVID_CHESTXRAY_COLUMNS = {"patientid", "finding", "view", "modality", "filename"}
FRONTAL_VIEWS = ("PA", "AP", "AP Supine")
NIH_NAME = re.compile(r"(\d{8})_\d{3}")  # patient number, follow-up number
LABEL = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Record:
    """One image that a source offers; `load` gives its pixels as uint8 (H, W)."""

    origin: str  # where it comes from, for messages and import.json
    load: Callable[[], np.ndarray]
    label: str
    patient: str
    source: str
    view: str = ""
    name: str | None = None  # file name to keep, without suffix; else one is made from the pixels
    note: str | None = None  # text to store in the image file


@dataclass(frozen=True)
class Listing:
    """A source as found: its records, and how many of its entries were passed over for which reason."""

    source: str
    kind: str
    records: list[Record]
    passed_over: dict[str, int] = field(default_factory=dict)


def read_source(argument: str) -> Listing:
    """List the images of one command-line argument, PATH or PATH=LABEL.

    Raises FileNotFoundError when the path is absent, ValueError when it is not a folder, holds no image,
    or its labels cannot be told.
    """
    path, label = Path(argument), None
    if "=" in argument and not path.exists():
        text, _, label = argument.rpartition("=")
        path = Path(text)
        if not LABEL.fullmatch(label):
            raise ValueError(f"{argument}: label {label!r}, expected lower-case letters, digits, - and _, as in {text}=normal")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a folder of images")
    if not path.is_dir():
        raise ValueError(f"{path} is a file; expected a folder of images")
    if label is not None:
        listing = _one_label(path, label)
    elif _is_covid_chestxray(path):
        listing = _covid_chestxray(path)
    else:
        listing = _folder_per_label(path)
    if not listing.records:
        found = "".join(f"; passed over: {count} {reason}" for reason, count in listing.passed_over.items())
        raise ValueError(f"{path} holds no usable image{found}; expected files such as {', '.join(sorted(SUFFIXES))}")
    return listing


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _record(path: Path, label: str, source: str) -> Record:
    nih = NIH_NAME.fullmatch(path.stem)
    patient = nih.group(1) if nih else path.stem
    return Record(str(path), partial(read_gray, path), label, f"{source}:{patient}", source)


def _one_label(folder: Path, label: str) -> Listing:
    source = folder.resolve().name
    return Listing(source, f"folder of one label, {label}", [_record(path, label, source) for path in _images(folder)])


def _folder_per_label(folder: Path) -> Listing:
    source = folder.resolve().name
    records = []
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = _images(child)
        if not paths:
            continue
        label = re.sub(r"[^a-z0-9_-]+", "-", child.name.lower()).strip("-_")
        if not label:
            raise ValueError(f"{child}: no label can be made from this folder name; name it: {child}=LABEL")
        records += [_record(path, label, source) for path in paths]
    if not records and _images(folder):
        raise ValueError(f"{folder} holds images but no label; name it: {folder}=LABEL")
    return Listing(source, "folder per label", records)


def _is_covid_chestxray(folder: Path) -> bool:
    metadata = folder / "metadata.csv"
    if not metadata.is_file():
        return False
    with open(metadata, newline="", encoding="utf-8", errors="replace") as file:
        return COVID_CHESTXRAY_COLUMNS <= set(next(csv.reader(file), []))


def _covid_chestxray(folder: Path) -> Listing:
    """The frontal COVID-19 X-rays of the collection by Cohen et al. 2020 (arXiv 2006.11988)."""
    source = folder.resolve().name
    records: list[Record] = []
    passed_over = {"not COVID-19": 0, "not a frontal X-ray": 0, "named in metadata.csv, file absent": 0}
    with open(folder / "metadata.csv", newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            path = folder / "images" / Path(row["filename"] or "").name
            if "COVID-19" not in (row["finding"] or ""):
                passed_over["not COVID-19"] += 1
            elif row["modality"] != "X-ray" or row["view"] not in FRONTAL_VIEWS:
                passed_over["not a frontal X-ray"] += 1
            elif not path.is_file():
                passed_over["named in metadata.csv, file absent"] += 1
            else:
                patient = f"{source}:{row['patientid']}"
                records.append(Record(str(path), partial(read_gray, path), "covid", patient, source, row["view"]))
    return Listing(source, "covid-chestxray-dataset", records, passed_over)


def phantom_listing(n: int, seed: int) -> Listing:
    """n phantom chest X-rays as a source; every one says so in its name and in its file."""
    records = [
        Record(
            origin=f"phantom {case.label} {case.patient}, image {case.image}",
            load=partial(draw, case, seed),
            label=case.label,
            patient=f"phantom:{seed}-{case.label}-{case.patient}",
            source="phantom",
            name=f"PHANTOM-{seed}-{case.label}-{case.patient:05d}-{case.image}",
            note="PHANTOM: drawn by cxr, not a radiograph of a patient",
        )
        for case in cases(n, seed)
    ]
    return Listing("phantom", f"drawn, seed {seed}", records)
