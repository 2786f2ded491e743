"""Readers of published collections, in the layouts that they come in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipelines.data.csv_source import read_header, read_rows
from pipelines.data.folders import list_folder_per_label, offer_file, walk_images
from pipelines.data.listing import FindingLabels, Listing, splits_allowed

FRONTAL_VIEWS = ("PA", "AP", "AP SUPINE", "AP ERECT", "AP SEMI ERECT")
COVID_LABELS = {"covid-19": "covid"}
RADIOGRAPHY_LABELS = {
    "COVID": "covid",
    "Normal": "normal",
    "Lung_Opacity": "lung-opacity",
    "Viral Pneumonia": "viral-pneumonia",
}
METADATA_COLUMNS = ("patientid", "finding", "view", "modality")
_COVIDX_LIST = re.compile(r"(train|test|val)")

TableRow = Mapping[str, str]


# --- covid-chestxray-dataset and its two sisters: one metadata.csv, findings in a column ---


def has_metadata(path: Path, *columns: str) -> bool:
    """Return whether a folder has a metadata.csv with the sisters' columns and these."""
    table = path / "metadata.csv"
    if not path.is_dir() or not table.is_file():
        return False
    return {*METADATA_COLUMNS, *columns} <= read_header(table)


def list_covid_chestxray(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List the covid-chestxray-dataset, whose files are named by the column filename."""
    return _list_metadata(
        folder,
        Listing(source, "covid-chestxray-dataset"),
        chosen,
        file_of=lambda row: _file_inside(folder, row.get("filename", "")),
        needs_view=True,
    )


def list_figure1(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List the Figure 1 collection, whose files are named by patientid.

    COVID-00003a and COVID-00003b are two of one patient.
    """
    images = folder / "images"
    present = {path.stem: path for path in images.iterdir()} if images.is_dir() else {}
    return _list_metadata(
        folder,
        Listing(source, "Figure1-COVID-chestxray-dataset"),
        chosen,
        file_of=lambda row: present.get(row["patientid"], _file_inside(folder, row["patientid"])),
        patient_of=lambda row: re.sub(r"(?<=\d)[a-z]$", "", row["patientid"]),
    )


def list_actualmed(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List the Actualmed collection, whose files are named by the column imagename."""
    return _list_metadata(
        folder,
        Listing(source, "Actualmed-COVID-chestxray-dataset"),
        chosen,
        file_of=lambda row: _file_inside(folder, row.get("imagename", "")),
    )


def _list_metadata(
    folder: Path,
    listing: Listing,
    chosen: dict[str, str],
    *,
    file_of: Callable[[TableRow], Path],
    patient_of: Callable[[TableRow], str] = lambda row: row["patientid"],
    needs_view: bool = False,
) -> Listing:
    """Add the frontal X-rays of the findings that are wanted, in the order of the table."""
    labels = FindingLabels(COVID_LABELS | chosen)
    for row in read_rows(folder / "metadata.csv", METADATA_COLUMNS):
        file = file_of(row)
        findings = [part.strip() for part in re.split(r"[,|]", row["finding"]) if part.strip()]
        listing.findings.update(_levels_of(findings))
        if not os.path.isfile(file):
            listing.absent.append(str(file))
        elif not _is_frontal_radiograph(row, needs_view):
            listing.passed_over["not a frontal X-ray"] += 1
        elif label := _only_label(listing, labels.labels_of(findings)):
            listing.images.append(
                offer_file(file, label, listing.source, patient=patient_of(row), view=row["view"])
            )
    return listing


def _levels_of(findings: Iterable[str]) -> list[str]:
    """Return every level of findings such as "Pneumonia/Viral/COVID-19", each once."""
    levels = (level.strip() for finding in findings for level in finding.split("/"))
    return list(dict.fromkeys(levels))


def _is_frontal_radiograph(row: TableRow, needs_view: bool) -> bool:
    if row["modality"].lower() not in ("x-ray", ""):
        return False
    view = row["view"].upper()
    return view in FRONTAL_VIEWS or (not view and not needs_view)


def _only_label(listing: Listing, labels: set[str]) -> str | None:
    """Return the label of an image that has one; else count why it is passed over."""
    if len(labels) == 1:
        return next(iter(labels))
    reason = f"several labels: {', '.join(sorted(labels))}" if labels else "another finding"
    listing.passed_over[reason] += 1
    return None


def _file_inside(folder: Path, name: str) -> Path:
    """Return a file of a collection's own folder, whatever path its table gives.

    An empty name is no file.
    """
    return folder / "images" / (Path(name).name or ".absent")


# --- collections that put the label into folders, lists or a table of their own ---


def has_radiography_folders(path: Path) -> bool:
    """Return whether a folder is laid out as the COVID-19 Radiography Database."""
    return (
        path.is_dir() and sum((path / name / "images").is_dir() for name in RADIOGRAPHY_LABELS) >= 2
    )


def list_radiography(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List COVID/images, Normal/images and so on; the lung masks next to them are no X-rays."""
    defaults = {name.lower(): label for name, label in RADIOGRAPHY_LABELS.items()}
    listing = list_folder_per_label(folder, source, defaults | chosen)
    return Listing(
        source,
        "COVID-19 Radiography Database",
        listing.images,
        passed_over=listing.passed_over,
        findings=listing.findings,
    )


def has_covidx_lists(path: Path) -> bool:
    """Return whether a folder has lists of patient, file, class and origin."""
    lists = _covidx_lists(path)
    if not lists:
        return False
    lines = lists[0].read_text(errors="replace").splitlines()[:5]
    return bool(lines) and all(len(line.split()) >= 4 for line in lines)


def list_covidx(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List what train*.txt, test*.txt and val*.txt name; the split is that of the list."""
    listing = Listing(source, "COVIDx lists")
    labels = FindingLabels(COVID_LABELS | {"covid": "covid"} | chosen, keep_others=True)
    all_lists = _covidx_lists(folder)
    list_of_split = {_covidx_split(path): path for path in all_lists}
    if len(list_of_split) < len(all_lists):
        raise ValueError(
            f"{folder} holds several lists of one split: "
            f"{', '.join(path.name for path in all_lists)}; keep one train and one test list there"
        )
    for split, path in list_of_split.items():
        target = "validation" if split == "val" else split
        splits = splits_allowed(target, has_validation="val" in list_of_split)
        for patient, name, finding, origin in _read_covidx_list(path):
            file, first_place = _find_covidx_file(folder, split, name)
            listing.findings[finding] += 1
            label = labels.labels_of([finding])
            if file is None:
                listing.absent.append(str(first_place))
            elif not label:
                listing.passed_over[f"{finding}: not wanted"] += 1
            else:
                listing.images.append(
                    offer_file(
                        file, label.pop(), f"{source}-{origin}", patient=patient, splits=splits
                    )
                )
    return listing


def _covidx_lists(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob("*.txt") if _COVIDX_LIST.match(path.name.lower()))


def _covidx_split(path: Path) -> str:
    return next(name for name in ("train", "test", "val") if path.name.lower().startswith(name))


def _read_covidx_list(path: Path) -> list[tuple[str, str, str, str]]:
    """Read (patient, file name, class, origin) of each line; a file name may have spaces."""
    entries = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) < 4:
            raise ValueError(
                f"{path}, line {number}: {line!r}, expected patient, file, class and source, "
                "separated by spaces"
            )
        entries.append((parts[0], " ".join(parts[1:-2]), parts[-2], parts[-1]))
    return entries


def _find_covidx_file(folder: Path, split: str, name: str) -> tuple[Path | None, Path]:
    """Return where an image is, if it is there, and where it is first looked for."""
    places = [parent / Path(name).name for parent in (folder / split, folder / "images", folder)]
    return next((place for place in places if os.path.isfile(place)), None), places[0]


def find_nih_table(folder: Path) -> Path | None:
    """Return the Data_Entry_2017*.csv of a folder, if it has one."""
    if not folder.is_dir():
        return None
    return next(iter(sorted(folder.glob("Data_Entry_2017*.csv"))), None)


def list_nih(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List NIH ChestX-ray14 by its table; No Finding is normal, others where they are chosen."""
    table = find_nih_table(folder)
    if table is None:
        raise ValueError(f"{folder} holds no Data_Entry_2017*.csv")
    listing = Listing(source, "NIH ChestX-ray14")
    labels = FindingLabels({"no finding": "normal"} | chosen)
    present = {path.name: path for path in walk_images(folder, listing.passed_over)}
    listing.passed_over.clear()
    columns = ("Image Index", "Finding Labels", "Patient ID", "View Position")
    for row in read_rows(table, columns):
        findings = [finding.strip() for finding in row["Finding Labels"].split("|")]
        listing.findings.update(findings)
        label = _only_label(listing, labels.labels_of(findings))
        if label is None:
            continue
        file = present.get(row["Image Index"])
        if file is None:
            listing.absent.append(str(folder / row["Image Index"]))
            continue
        listing.images.append(
            offer_file(
                file,
                label,
                source,
                patient=row["Patient ID"].zfill(8),
                view=row["View Position"],
            )
        )
    return listing
