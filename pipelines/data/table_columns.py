"""What the columns of somebody's table of images are, by the usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.table_text import TextTable, describe_header, plain_name

# Under each name that the documentation gives, the others, as `plain_name` writes them.
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "file_name": (
        *("filename", "file", "filepath", "image", "imagename", "imagepath", "imagefile"),
        *("imagefilename", "imageindex", "imageid", "img", "imgname", "imgpath", "path"),
    ),
    "label": (
        *("label", "labels", "class", "classname", "classlabel", "diagnosis", "finding"),
        *("findings", "findinglabel", "findinglabels", "category", "target"),
    ),
    "patient": (
        *("patient", "patientid", "patientnumber", "patientno", "subject", "subjectid"),
        *("subjectno", "participant", "participantid"),
    ),
    "view": ("view", "viewposition", "projection", "frontallateral"),
    "split": ("split", "set", "subset", "partition"),
}
KNOWN_COLUMNS = frozenset(name for names in COLUMN_NAMES.values() for name in names)
NEEDED = ("file_name", "label")
# How the view, patient or split of a row is written where there is none, in any case.
MISSING_VALUES = frozenset(("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "-"))


@dataclass(frozen=True)
class ImageColumns:
    """Where a table of images has what is wanted of it.

    Attributes:
        places: The number of the column of each name of COLUMN_NAMES that there is.
        unused: The names of the other columns.
        patients_name_files: Whether files are named by the patients' numbers.
    """

    places: Mapping[str, int]
    unused: Sequence[str]
    patients_name_files: bool

    def value(self, cells: Sequence[str], name: str) -> str:
        """Return a cell of a row; empty where the table has no such column."""
        return cells[self.places[name]] if name in self.places else ""

    def optional(self, cells: Sequence[str], name: str) -> str:
        """Return a cell of a row; empty where it says that it is not known."""
        text = self.value(cells, name)
        return "" if text.lower() in MISSING_VALUES else text


def lists_images(header: Sequence[str]) -> bool:
    """Return whether a table has columns that may be the file and the label of images."""
    plain = {plain_name(name) for name in header}
    return all(not plain.isdisjoint(COLUMN_NAMES[name]) for name in NEEDED)


def find_columns(table: TextTable, *, patients_name_files: bool = False) -> ImageColumns:
    """Find the columns of a table of images: by the documented names, else by the usual ones.

    patients_name_files: whether, without a column of files, the patients' numbers are their names.

    Raises ValueError that names the file where a column is absent, or where two could be meant.
    """
    places = {}
    for name in COLUMN_NAMES:
        place = _find_column(table, name)
        if place is not None:
            places[name] = place
    patients_name_files &= "file_name" not in places and "patient" in places
    if patients_name_files:
        places["file_name"] = places["patient"]
    missing = [name for name in NEEDED if name not in places]
    if missing:
        raise ValueError(
            f"{table.path} lacks the column(s) {', '.join(missing)}; expected {', '.join(NEEDED)}, "
            f"or a usual name such as {_usual_names(missing[0])}; "
            f"read {describe_header(table.header)}"
        )
    used = set(places.values())
    unused = [name for place, name in enumerate(table.header) if place not in used and name]
    return ImageColumns(places, unused, patients_name_files)


def _find_column(table: TextTable, name: str) -> int | None:
    """Return the one column of such a name; the documented name goes before all others."""
    documented = [place for place, column in enumerate(table.header) if column.casefold() == name]
    others = [
        place
        for place, column in enumerate(table.header)
        if plain_name(column) in COLUMN_NAMES[name]
    ]
    places = documented or others
    if len(places) > 1:
        columns = " and ".join(repr(table.header[place]) for place in places)
        raise ValueError(
            f"{table.path}: the columns {columns} could both be the {name}; "
            f"expected one: name the one that is meant {name}, and the others otherwise"
        )
    return places[0] if places else None


def _usual_names(name: str) -> str:
    return ", ".join(COLUMN_NAMES[name][:6])


def is_table(path: Path) -> bool:
    """Return whether a file is a table of text by its suffix."""
    return path.suffix.lower() in TEXT_SUFFIXES and path.is_file()


TEXT_SUFFIXES = (".csv", ".tsv", ".tab")
WORKBOOK_SUFFIXES = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
