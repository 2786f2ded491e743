"""Readers of published collections, in the layouts that they come in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from pipelines.data.folders import list_folder_per_label, offer_file, pass_over, walk_images
from pipelines.data.listing import COVID_LABELS, FindingLabels, Listing, only_label
from pipelines.data.named_files import NamedFiles, note_doubtful
from pipelines.data.table_text import plain_name, read_columns, read_header, read_rows
from pipelines.study.projections import projection_kind

RADIOGRAPHY_LABELS = {
    "COVID": "covid",
    "Normal": "normal",
    "Lung_Opacity": "lung-opacity",
    "Viral Pneumonia": "viral-pneumonia",
}
METADATA_COLUMNS = ("patientid", "finding", "view", "modality")

TableRow = Mapping[str, str]


# --- covid-chestxray-dataset and its two sisters: one metadata.csv, findings in a column ---


def has_metadata(path: Path, *columns: str) -> bool:
    """Return whether a folder has a metadata.csv with the sisters' columns and these."""
    table = path / "metadata.csv"
    if not path.is_dir() or not table.is_file():
        return False
    wanted = {plain_name(name) for name in (*METADATA_COLUMNS, *columns)}
    return wanted <= {plain_name(name) for name in read_header(table, wanted)}


def list_covid_chestxray(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List the covid-chestxray-dataset, whose files are named by the column filename."""
    return _list_metadata(
        folder,
        Listing(source, "covid-chestxray-dataset", is_selective=True),
        chosen,
        file_column="filename",
        needs_view=True,
    )


def list_figure1(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List the Figure 1 collection, whose files are named by patientid.

    COVID-00003a and COVID-00003b are two of one patient.
    """
    return _list_metadata(
        folder,
        Listing(source, "Figure1-COVID-chestxray-dataset", is_selective=True),
        chosen,
        file_column="patientid",
        patient_of=lambda row: re.sub(r"(?<=\d)[a-z]$", "", row["patientid"]),
    )


def list_actualmed(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List the Actualmed collection, whose files are named by the column imagename."""
    return _list_metadata(
        folder,
        Listing(source, "Actualmed-COVID-chestxray-dataset", is_selective=True),
        chosen,
        file_column="imagename",
    )


def _list_metadata(
    folder: Path,
    listing: Listing,
    chosen: dict[str, str],
    *,
    file_column: str,
    patient_of: Callable[[TableRow], str] = lambda row: row["patientid"],
    needs_view: bool = False,
) -> Listing:
    """Add the frontal X-rays of the findings that are wanted, in the order of the table."""
    labels = FindingLabels(COVID_LABELS | chosen, made=listing.label_names)
    files = NamedFiles(folder / "images")
    table = folder / "metadata.csv"
    columns = tuple(dict.fromkeys((*METADATA_COLUMNS, file_column)))
    listing.tables.append(table)
    listing.columns.extend(read_columns(table, columns))
    named: set[Path] = set()
    for row in read_rows(table, columns):
        name = _bare_name(row[file_column])
        file = files.find(name) or folder / "images" / name
        named.add(file)
        findings = [part.strip() for part in re.split(r"[,|]", row["finding"]) if part.strip()]
        listing.findings.update(_levels_of(findings))
        if not os.path.isfile(file):
            listing.absent.append(str(file))
        elif not _is_frontal_radiograph(row, needs_view):
            listing.passed_over["not a frontal X-ray"] += 1
        elif label := only_label(listing, labels.labels_of(findings)):
            offered = offer_file(
                file,
                label,
                listing.source,
                patient=patient_of(row),
                register=listing.kind,
                view=row["view"],
            )
            listing.images.append(replace(offered, table_rows=(row,)))
    if files.doubtful:
        listing.notes.append(note_doubtful(files.doubtful))
    _pass_over_unnamed(listing, folder / "images", named)
    return listing


def _pass_over_unnamed(listing: Listing, images: Path, named: Set[Path]) -> None:
    """Count and name the images of a collection that no row of its table names."""
    if not images.is_dir():
        return
    for path in walk_images(images, listing.passed_over, listing.passed_over_files):
        if path not in named:
            pass_over(listing, "not named in the table", path.name)


def _levels_of(findings: Iterable[str]) -> list[str]:
    """Return every level of findings such as "Pneumonia/Viral/COVID-19", each once."""
    levels = (level.strip() for finding in findings for level in finding.split("/"))
    return list(dict.fromkeys(levels))


def _is_frontal_radiograph(row: TableRow, needs_view: bool) -> bool:
    if row["modality"].lower() not in ("x-ray", ""):
        return False
    kind = projection_kind(row["view"])
    return kind in ("frontal", "unknown") or (kind == "not stated" and not needs_view)


def _bare_name(path: str) -> str:
    """Return the name of a file of a collection's own folder, whatever path its table gives.

    An empty name is no file.
    """
    return PureWindowsPath(path).name or ".absent"


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
    return replace(listing, kind="COVID-19 Radiography Database")
