"""A table of one's own images, under whatever names its columns have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.data.folder_names import SPLIT_WORDS
from pipelines.data.folders import offer_file, pass_over, walk_images
from pipelines.data.listing import FindingLabels, Listing, splits_allowed
from pipelines.data.named_files import NamedFiles, leads_out, note_doubtful
from pipelines.data.table_columns import (
    KNOWN_COLUMNS,
    WORKBOOK_SUFFIXES,
    ImageColumns,
    find_columns,
    is_table,
    lists_images,
)
from pipelines.data.table_text import TextRow, TextTable, describe_header, open_table, read_header
from pipelines.study.import_log import PassedOver
from pipelines.study.manifest import SPLITS

UNUSED_COLUMNS_SHOWN = 8


@dataclass
class _NamedImage:
    """What the rows of one file say of it."""

    line: int
    labels: list[str] = field(default_factory=list)
    patient: str = ""
    view: str = ""
    split: str = ""
    rows: list[dict[str, str]] = field(default_factory=list)


def find_table(path: Path) -> Path | None:
    """Return the table of images that `path` is or holds, if there is one.

    Raises ValueError when a folder holds several, and for a workbook.
    """
    if path.is_file():
        if path.suffix.lower() in WORKBOOK_SUFFIXES:
            raise ValueError(f"{path} is a workbook; expected text: save it as CSV")
        is_list = path.suffix.lower() == ".txt" and lists_images(read_header(path, KNOWN_COLUMNS))
        return path if is_table(path) or is_list else None
    if not path.is_dir():
        return None
    tables = [
        table
        for table in sorted(path.iterdir())
        if is_table(table) and lists_images(read_header(table, KNOWN_COLUMNS))
    ]
    if len(tables) > 1:
        raise ValueError(
            f"{path} holds several tables of images: {', '.join(table.name for table in tables)}; "
            "name one of them in place of the folder"
        )
    return tables[0] if tables else None


def list_csv(path: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List a CSV with file_name,label[,patient,view,split], or a folder that holds one.

    Columns may have the usual other names. File names are relative to its folder. Rows of one file
    are one image: its labels are those of all of them.

    chosen: labels by the table's own, in lower case.

    Raises ValueError, which names file and line, for what is not understood.
    """
    table_path = find_table(path)
    if table_path is None:
        raise ValueError(f"{path} holds no CSV with the columns file_name and label")
    table = open_table(table_path, KNOWN_COLUMNS)
    try:
        columns = find_columns(table, patients_name_files=path.is_file())
    except ValueError as error:
        if path.is_file():
            raise
        raise ValueError(f"{error}; or --as folders, where folders are the labels") from error
    listing = Listing(source, f"table {table_path.name}", tables=[table_path])
    listing.columns.extend(name for name in table.header if name)
    files = NamedFiles(table_path.parent)
    named = _read_images(table, columns, files, listing)
    if columns.unused:
        unused = describe_header(columns.unused, UNUSED_COLUMNS_SHOWN)
        listing.notes.append(f"columns not used: {unused}")
    if files.doubtful:
        listing.notes.append(note_doubtful(files.doubtful))
    if columns.patients_name_files:
        listing.notes.append("no column of files: the patients' numbers are read as their names")
    labels = FindingLabels(chosen, keep_others=True, made=listing.label_names)
    _offer_images(listing, named, labels, table_path)
    if path.is_dir():
        _pass_over_unnamed(listing, path, set(named))
    return listing


def _read_images(
    table: TextTable, columns: ImageColumns, files: NamedFiles, listing: Listing
) -> dict[Path, _NamedImage]:
    """Read what the rows say of each file that is there, and list those that are not."""
    named: dict[Path, _NamedImage] = {}
    absent: dict[str, None] = {}
    repeated = 0
    for row in table.rows():
        where = f"{table.path}, line {row.line}"
        name, label = (columns.value(row.cells, column) for column in ("file_name", "label"))
        if leads_out(name):
            raise ValueError(
                f"{where}: file name {name!r} leads out of the folder; expected a path inside it"
                if name
                else f"{where}: no file name; expected one in each row, or an empty row"
            )
        if not label:
            raise ValueError(f"{where}: no label; expected one for each file")
        _check_split(columns.optional(row.cells, "split"), where)
        file = files.find(name)
        if file is None:
            listing.findings.update(_split_labels(label))
            absent[str(table.path.parent / name)] = None
            continue
        repeated += file in named
        image = named.setdefault(file, _NamedImage(row.line))
        image.rows.append(dict(zip(table.header, row.cells, strict=True)))
        _add_row(image, row, columns, where)
    listing.absent.extend(absent)
    if repeated:
        listing.notes.append(f"{repeated} rows are of a file that has a row already")
    return named


def _add_row(image: _NamedImage, row: TextRow, columns: ImageColumns, where: str) -> None:
    """Add what a row says of an image. Raises ValueError when another row says otherwise."""
    for label in _split_labels(columns.value(row.cells, "label")):
        if label not in image.labels:
            image.labels.append(label)
    for name in ("patient", "view", "split"):
        value, before = columns.optional(row.cells, name), getattr(image, name)
        if value and before and value.casefold() != before.casefold():
            raise ValueError(
                f"{where}: {name} {value!r} of a file that has {before!r} in the row of line "
                f"{image.line}; expected one {name} for each file"
            )
        setattr(image, name, before or value)


def _split_labels(text: str) -> list[str]:
    """Return the labels that a cell holds, as in "Effusion|Mass"."""
    return [label.strip() for label in text.split("|") if label.strip()]


def _check_split(text: str, where: str) -> None:
    if text and text.lower() not in SPLIT_WORDS:
        raise ValueError(
            f"{where}: split {text.lower()!r}, expected one of {', '.join(SPLITS)}, or nothing"
        )


def _offer_images(
    listing: Listing, named: dict[Path, _NamedImage], labels: FindingLabels, table: Path
) -> None:
    """Offer the files whose rows give one label that is wanted, and pass over the others."""
    splits = {SPLIT_WORDS.get(image.split.lower()) for image in named.values()}
    for file, image in named.items():
        listing.findings.update(image.labels)
        name = str(file.relative_to(table.parent))
        where = f"{table}, line {image.line}"
        told = [labels.label_of(name, where) for name in image.labels]
        chosen = {label for label in told if label is not None}
        if len(chosen) > 1:
            pass_over(listing, f"several labels: {', '.join(sorted(chosen))}", name)
        elif not chosen:
            pass_over(listing, f"{', '.join(image.labels)}: not wanted", name)
        else:
            offered = offer_file(
                file,
                chosen.pop(),
                listing.source,
                patient=image.patient or None,
                view=image.view,
                splits=splits_allowed(
                    SPLIT_WORDS.get(image.split.lower()),
                    has_validation="validation" in splits,
                ),
            )
            listing.images.append(replace(offered, table_rows=tuple(image.rows)))


def _pass_over_unnamed(listing: Listing, folder: Path, named: set[Path]) -> None:
    """Count the images of a table's folder that no row of it names."""
    real = {file.resolve() for file in named}
    others: list[PassedOver] = []
    for file in walk_images(folder, Counter(), others):
        if file not in named and file.resolve() not in real:
            pass_over(listing, "in no row of the table", str(file.relative_to(folder)))
    for other in others:
        path = folder / other.file
        if path not in listing.tables and not any(path in file.parents for file in named):
            listing.passed_over[other.reason] += other.files
            listing.passed_over_files.append(other)
