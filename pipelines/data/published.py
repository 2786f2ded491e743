"""Published collections in the layouts that they come in, recognised from what is in the folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.sources import (
    LABEL,
    SUFFIXES,
    Labels,
    Listing,
    allowed,
    csv_table,
    file_record,
    folder_per_label,
    header_of,
    image_files,
    one_label,
    read_rows,
    readable,
)

FRONTAL = ("PA", "AP", "AP SUPINE", "AP ERECT", "AP SEMI ERECT")
COVID = {"covid-19": "covid"}
RADIOGRAPHY_CLASSES = {
    "COVID": "covid",
    "Normal": "normal",
    "Lung_Opacity": "lung-opacity",
    "Viral Pneumonia": "viral-pneumonia",
}


@dataclass(frozen=True)
class Kind:
    """A layout that can be imported: how it is known, read, and got."""

    name: str
    about: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, str, dict[str, str]], Listing]
    url: str = ""
    licence: str = ""


def read_sources(
    arguments: tuple[str, ...], *, kind: str | None = None, labels: dict[str, str] | None = None
) -> list[Listing]:
    """List the images of command-line arguments, each PATH or PATH=LABEL.

    kind: the name of one of KINDS, where it should not be recognised. labels: a source's findings, in lower case, to labels.
    Raises FileNotFoundError when a path is absent; ValueError when it is of no known kind, holds no image, names a file outside itself,
    or when a finding of `labels` is nowhere.
    """
    listings, named = [], labels or {}
    folders: dict[str, Path] = {}
    for argument in arguments:
        path, label = Path(argument), None
        if "=" in argument and not path.exists():
            text, _, label = argument.rpartition("=")
            path = Path(text)
            if path.is_file():
                raise ValueError(
                    f"{argument}: a label is given to a folder of images, and {path} is a file; name the file alone"
                )
            if not LABEL.fullmatch(label):
                raise ValueError(
                    f"{argument}: label {label!r}, expected lower-case letters, digits, - and _, as in {text}=normal"
                )
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist; expected a folder of images, or a CSV that lists some"
            )
        place = path.resolve() if path.is_dir() else path.resolve().parent
        source = readable(place.name) or "images"
        if folders.setdefault(source, place) != place:
            source = f"{readable(place.parent.name)}-{source}"
        listing = (
            one_label(path, source, label)
            if label is not None
            else _kind_of(path, kind).read(path, source, named)
        )
        if not listing.records:
            besides = "".join(
                f"; passed over: {count} {reason}" for reason, count in listing.passed_over.items()
            )
            absent = (
                f"; {len(listing.absent)} named in its table are absent, first {listing.absent[0]}"
                if listing.absent
                else ""
            )
            raise ValueError(
                f"{path} ({listing.kind}) holds no usable image{besides}{absent}; expected files such as {', '.join(sorted(SUFFIXES))}"
            )
        listings.append(listing)
    found = {
        finding.lower(): count
        for listing in listings
        for finding, count in listing.findings.items()
    }
    unknown = [finding for finding in named if finding not in found]
    if unknown:
        most = ", ".join(sorted(found, key=found.get, reverse=True)[:12]) or "none"
        raise ValueError(
            f'--label "{unknown[0]}=…": no image has this finding; the findings here are: {most}'
        )
    return listings


def _kind_of(path: Path, name: str | None) -> Kind:
    if name is not None:
        (kind,) = (kind for kind in KINDS if kind.name == name)
        if (
            not kind.recognises(path) and kind.name != "csv"
        ):  # which says itself what its table lacks
            raise ValueError(f"{path} is not laid out as {name}; expected {kind.about}")
        return kind
    for kind in KINDS:
        if kind.recognises(path):
            return kind
    raise ValueError(
        f"{path} is of no kind that is known; expected a folder of images, or a CSV with the columns file_name and label (cxr data sources lists the kinds)"
    )


# --- covid-chestxray-dataset and its two sisters: one metadata.csv, findings in a column ---


def _has_metadata(path: Path, *columns: str) -> bool:
    return (
        path.is_dir()
        and (path / "metadata.csv").is_file()
        and set(columns) <= header_of(path / "metadata.csv")
    )


def _metadata(
    folder: Path,
    source: str,
    chosen: dict[str, str],
    kind: str,
    file_of: Callable[[dict[str, str]], Path],
    patient_of=lambda row: row["patientid"],
    view_needed=False,
) -> Listing:
    """Frontal X-rays of the findings that are wanted, in the order of the table."""
    listing, labels = Listing(source, kind, []), Labels(COVID | chosen)
    for row in read_rows(folder / "metadata.csv", ("patientid", "finding", "view", "modality")):
        file = file_of(row)
        findings = [part.strip() for part in re.split(r"[,|]", row["finding"]) if part.strip()]
        for level in {level.strip() for finding in findings for level in finding.split("/")}:
            listing.findings[level] += 1
        found, view = labels.of(findings), row["view"].upper()
        if not os.path.isfile(file):
            listing.absent.append(str(file))
        elif row["modality"].lower() not in ("x-ray", "") or not (
            view in FRONTAL or (not view and not view_needed)
        ):
            listing.passed_over["not a frontal X-ray"] += 1
        elif not found:
            listing.passed_over["another finding"] += 1
        elif len(found) > 1:
            listing.passed_over[f"several labels: {', '.join(sorted(found))}"] += 1
        else:
            listing.records.append(
                file_record(file, found.pop(), source, patient=patient_of(row), view=row["view"])
            )
    return listing


def _inside(folder: Path, name: str) -> Path:
    """A file of a collection's own folder, whatever path its table gives; an empty name is no file."""
    return folder / "images" / (Path(name).name or ".absent")


def _covid_chestxray(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    return _metadata(
        folder,
        source,
        chosen,
        "covid-chestxray-dataset",
        lambda row: _inside(folder, row.get("filename", "")),
        view_needed=True,
    )


def _figure1(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """Images are named by patientid; COVID-00003a and COVID-00003b are two of one patient."""
    present = (
        {path.stem: path for path in (folder / "images").iterdir()}
        if (folder / "images").is_dir()
        else {}
    )
    kind = "Figure1-COVID-chestxray-dataset"
    return _metadata(
        folder,
        source,
        chosen,
        kind,
        lambda row: present.get(row["patientid"], _inside(folder, row["patientid"])),
        lambda row: re.sub(r"(?<=\d)[a-z]$", "", row["patientid"]),
    )


def _actualmed(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    return _metadata(
        folder,
        source,
        chosen,
        "Actualmed-COVID-chestxray-dataset",
        lambda row: _inside(folder, row.get("imagename", "")),
    )


# --- collections that put the label into folders, lists or a table of their own ---


def _radiography(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """COVID/images, Normal/images and so on; the lung masks beside them are not X-rays."""
    defaults = {name.lower(): label for name, label in RADIOGRAPHY_CLASSES.items()}
    listing = folder_per_label(folder, source, defaults | chosen)
    return Listing(
        source,
        "COVID-19 Radiography Database",
        listing.records,
        passed_over=listing.passed_over,
        findings=listing.findings,
    )


def _covidx_lists(folder: Path) -> list[Path]:
    return (
        sorted(
            path
            for path in folder.glob("*.txt")
            if re.match(r"(train|test|val)", path.name.lower())
        )
        if folder.is_dir()
        else []
    )


def _covidx(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """Lists of patient, file, class and origin; the split is that of the list."""
    listing, labels = (
        Listing(source, "COVIDx lists", []),
        Labels(COVID | {"covid": "covid"} | chosen, all_of_it=True),
    )
    found_lists = _covidx_lists(folder)
    lists = {re.match(r"(train|test|val)", path.name.lower()).group(): path for path in found_lists}
    if len(lists) < len(found_lists):
        raise ValueError(
            f"{folder} holds several lists of one split: {', '.join(path.name for path in found_lists)}; keep one train and one test list there"
        )
    for split, path in lists.items():
        for number, line in enumerate(
            path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        ):
            if not line.strip():
                continue
            parts = line.split()
            if len(parts) < 4:
                raise ValueError(
                    f"{path}, line {number}: {line!r}, expected patient, file, class and source, separated by spaces"
                )
            patient, name, finding, origin = parts[0], " ".join(parts[1:-2]), parts[-2], parts[-1]
            places = [
                folder / split / Path(name).name,
                folder / "images" / Path(name).name,
                folder / Path(name).name,
            ]
            file = next((place for place in places if os.path.isfile(place)), None)
            listing.findings[finding] += 1
            found = labels.of([finding])
            if file is None:
                listing.absent.append(str(places[0]))
            elif not found:
                listing.passed_over[f"{finding}: not wanted"] += 1
            else:
                target = "validation" if split == "val" else split
                listing.records.append(
                    file_record(
                        file,
                        found.pop(),
                        f"{source}-{origin}",
                        patient=patient,
                        splits=allowed(target, "val" in lists),
                    )
                )
    return listing


def _nih_table(folder: Path) -> Path | None:
    return (
        next(iter(sorted(folder.glob("Data_Entry_2017*.csv"))), None) if folder.is_dir() else None
    )


def _nih(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    listing, labels = (
        Listing(source, "NIH ChestX-ray14", []),
        Labels({"no finding": "normal"} | chosen),
    )
    present = {path.name: path for path in image_files(folder, listing.passed_over)}
    listing.passed_over.clear()
    for row in read_rows(
        _nih_table(folder), ("Image Index", "Finding Labels", "Patient ID", "View Position")
    ):
        findings = [finding.strip() for finding in row["Finding Labels"].split("|")]
        listing.findings.update(findings)
        found = labels.of(findings)
        if not found:
            listing.passed_over["another finding"] += 1
        elif len(found) > 1:
            listing.passed_over[f"several labels: {', '.join(sorted(found))}"] += 1
        elif row["Image Index"] not in present:
            listing.absent.append(str(folder / row["Image Index"]))
        else:
            listing.records.append(
                file_record(
                    present[row["Image Index"]],
                    found.pop(),
                    source,
                    patient=row["Patient ID"].zfill(8),
                    view=row["View Position"],
                )
            )
    return listing


def _table_in(path: Path) -> Path | None:
    """The CSV with file_name and label that `path` is or holds."""
    if path.is_file():
        return path if path.suffix.lower() == ".csv" else None
    tables = [
        table
        for table in sorted(path.glob("*.csv"))
        if table.is_file() and {"file_name", "label"} <= header_of(table)
    ]
    if len(tables) > 1:
        raise ValueError(
            f"{path} holds several tables of images: {', '.join(table.name for table in tables)}; name one of them in place of the folder"
        )
    return tables[0] if tables else None


def _table(path: Path, source: str, chosen: dict[str, str]) -> Listing:
    table = _table_in(path)
    if table is None:
        raise ValueError(f"{path} holds no CSV with the columns file_name and label")
    return csv_table(table, source, chosen)


KINDS = (
    Kind(
        "actualmed",
        "Actualmed COVID-19 chest X-rays: metadata.csv, images named by its column imagename; frontal COVID-19 X-rays, other findings by --label",
        lambda path: _has_metadata(path, "patientid", "finding", "view", "modality", "imagename"),
        _actualmed,
        "https://github.com/agchung/Actualmed-COVID-chestxray-dataset",
        "research use; see the repository",
    ),
    Kind(
        "covid-chestxray-dataset",
        "Cohen et al. 2020 (arXiv 2006.11988): metadata.csv, images/; frontal COVID-19 X-rays, other findings by --label",
        lambda path: _has_metadata(path, "patientid", "finding", "view", "modality", "filename"),
        _covid_chestxray,
        "https://github.com/ieee8023/covid-chestxray-dataset",
        "per image, in metadata.csv (CC BY-NC-SA and others)",
    ),
    Kind(
        "figure1",
        "Figure 1 COVID-19 chest X-rays: metadata.csv, images named by patientid; frontal COVID-19 X-rays, other findings by --label",
        lambda path: _has_metadata(path, "patientid", "finding", "view", "modality"),
        _figure1,
        "https://github.com/agchung/Figure1-COVID-chestxray-dataset",
        "research use; see the repository",
    ),
    Kind(
        "radiography",
        "COVID-19 Radiography Database: COVID/images, Normal/images, Lung_Opacity/images, Viral Pneumonia/images",
        lambda path: (
            path.is_dir()
            and sum((path / name / "images").is_dir() for name in RADIOGRAPHY_CLASSES) >= 2
        ),
        _radiography,
        "https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
        "see the page; its sources' licences apply",
    ),
    Kind(
        "covidx",
        "COVIDx: train*.txt and test*.txt with patient, file, class, source, images in train/ and test/; the lists' split is kept",
        lambda path: (
            bool(_covidx_lists(path))
            and all(
                len(line.split()) >= 4
                for line in _covidx_lists(path)[0].read_text(errors="replace").splitlines()[:5]
                or [""]
            )
        ),
        _covidx,
        "https://www.kaggle.com/datasets/andyczhao/covidx-cxr2",
        "its sources' licences apply",
    ),
    Kind(
        "nih",
        "NIH ChestX-ray14: Data_Entry_2017*.csv, images in images*/; No Finding becomes normal, other findings by --label",
        lambda path: _nih_table(path) is not None,
        _nih,
        "https://nihcc.app.box.com/v/ChestXray-NIHCC",
        "free use with attribution to the NIH Clinical Center",
    ),
    Kind(
        "csv",
        "a CSV, or a folder with one, with file_name,label[,patient,view,split]",
        lambda path: _table_in(path) is not None,
        _table,
    ),
    Kind(
        "folders",
        "a folder per label; DICOM files too, their patients told by PatientID",
        lambda path: path.is_dir(),
        folder_per_label,
    ),
)
