"""COVIDx: lists of patient, file, class and origin, one a split, with spaces between and within."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.folders import offer_file
from pipelines.data.listing import COVID_LABELS, FindingLabels, Listing, splits_allowed
from pipelines.data.table_text import decode_text
from pipelines.study.image_io import IMAGE_SUFFIXES

# Whose patient numbers COVIDx takes over, by what its lists call them
COVIDX_REGISTERS = {
    "cohen": "covid-chestxray-dataset",
    "fig1": "Figure1-COVID-chestxray-dataset",
    "actmed": "Actualmed-COVID-chestxray-dataset",
}
LIST_NAME = re.compile(r"(train|test|val)")
TOLD_LINES = 5  # by which a list is told from other texts
LINE_COLUMNS = ("patient", "file", "class", "source")  # of a line, which has no header
EXPECTED = "expected patient, file, class and source, or the first three, separated by spaces"


@dataclass(frozen=True)
class _Entry:
    """A line of a list.

    Attributes:
        readings: Each (patient, file) that it may say, the shortest name of a file first.
        finding: The class.
        origin: The collection that it is from; empty where the list does not say.
        where: The list and the line, for messages.
    """

    readings: list[tuple[str, str]]
    finding: str
    origin: str
    where: str


def has_covidx_lists(path: Path) -> bool:
    """Return whether a folder has lists of patient, file, class and origin."""
    return path.is_dir() and bool(find_covidx_lists(path))


def find_covidx_lists(folder: Path) -> list[Path]:
    """Return the train*.txt, test*.txt and val*.txt of a folder that are lists of images."""
    return [path for path in find_split_texts(folder) if _begins_as_list(path)]


def find_split_texts(folder: Path) -> list[Path]:
    """Return the texts of a folder that are called as lists of splits are."""
    return sorted(
        path
        for path in folder.glob("*.txt")
        if LIST_NAME.match(path.name.lower()) and path.is_file()
    )


def list_covidx(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List what train*.txt, test*.txt and val*.txt name; the split is that of the list.

    Raises ValueError, which names list and line, for what is not understood.
    """
    paths = find_covidx_lists(folder)
    listing = Listing(source, "COVIDx lists", tables=paths, columns=list(LINE_COLUMNS))
    labels = FindingLabels(
        COVID_LABELS | {"covid": "covid"} | chosen, keep_others=True, made=listing.label_names
    )
    list_of_split = {_split_of(path): path for path in paths}
    if len(list_of_split) < len(paths):
        raise ValueError(
            f"{folder} holds several lists of one split: "
            f"{', '.join(path.name for path in paths)}; keep one train and one test list there"
        )
    entries = {split: _read_list(path) for split, path in list_of_split.items()}
    # Without an origin in every line, one patient's images could come under two origins.
    has_origins = all(entry.origin for of_list in entries.values() for entry in of_list)
    if not has_origins:
        listing.notes.append("lists without sources: all images count as of one source")
    for split, of_list in entries.items():
        target = "validation" if split == "val" else split
        splits = splits_allowed(target, has_validation="val" in list_of_split)
        for entry in of_list:
            patient, file = _find_file(folder, split, entry)
            listing.findings[entry.finding] += 1
            label = labels.label_of(entry.finding, entry.where)
            if not os.path.isfile(file):
                listing.absent.append(str(file))
            elif label is None:
                listing.passed_over[f"{entry.finding}: not wanted"] += 1
            else:
                origin = entry.origin.lower() if has_origins else ""
                offered = offer_file(
                    file,
                    label,
                    f"{source}-{entry.origin}" if has_origins else source,
                    patient=patient or None,
                    register=COVIDX_REGISTERS.get(origin, f"COVIDx {origin}".strip()),
                    splits=splits,
                )
                listing.images.append(
                    replace(offered, table_rows=(_name_cells(patient, file, entry),))
                )
    return listing


def _name_cells(patient: str, file: Path, entry: _Entry) -> dict[str, str]:
    cells = (patient, file.name, entry.finding, entry.origin)
    return dict(zip(LINE_COLUMNS, cells, strict=True))


def _split_of(path: Path) -> str:
    return next(name for name in ("train", "test", "val") if path.name.lower().startswith(name))


def _begins_as_list(path: Path) -> bool:
    """Return whether the first lines of a text name an image each, and say more after it."""
    try:
        lines = [line for line in decode_text(path).splitlines() if line.strip()][:TOLD_LINES]
    except ValueError:
        return False
    return any(_image_place(re.findall(r"\S+", line)[:-1]) is not None for line in lines)


def _read_list(path: Path) -> list[_Entry]:
    lines = re.split(r"\r\n|\r|\n", decode_text(path))
    return [
        _parse_line(line, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _parse_line(line: str, where: str) -> _Entry:
    """Read a line from its right end, since patients and files may have spaces in their names."""
    words = list(re.finditer(r"\S+", line))
    place = _image_place([word.group() for word in words])
    if place is None or len(words) - 1 - place not in (1, 2):
        raise ValueError(f"{where}: {line!r:.200}, {EXPECTED}, the file with a suffix such as .png")
    readings = []
    for start in range(place, -1, -1):
        patient = line[words[0].start() : words[start - 1].end()] if start else ""
        readings.append((patient, line[words[start].start() : words[place].end()]))
    after = [word.group() for word in words[place + 1 :]]
    return _Entry(readings, after[0], after[1] if len(after) > 1 else "", where)


def _image_place(words: list[str]) -> int | None:
    """Return the place of the last word that ends as the name of an image does."""
    places = [
        place for place, word in enumerate(words) if Path(word).suffix.lower() in IMAGE_SUFFIXES
    ]
    return places[-1] if places else None


def _find_file(folder: Path, split: str, entry: _Entry) -> tuple[str, Path]:
    """Return the patient and the file of a line: of its readings, the one whose file is there.

    Where there is none, the file is where it is first looked for. Raises ValueError when the files
    of two readings are there.
    """
    present = [
        (patient, place)
        for patient, name in entry.readings
        for place in _places(folder, split, name)
        if os.path.isfile(place)
    ]
    names = sorted({place.name for _, place in present})
    if len(names) > 1:
        raise ValueError(
            f"{entry.where}: the file may be {' or '.join(map(repr, names))}, and both are there; "
            "expected one: rename it, there and in the list"
        )
    if present:
        return present[0]
    patient, name = entry.readings[0]
    return patient, _places(folder, split, name)[0]


def _places(folder: Path, split: str, name: str) -> list[Path]:
    return [parent / Path(name).name for parent in (folder / split, folder / "images", folder)]
