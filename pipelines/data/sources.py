"""The kinds of sources that can be imported, recognised from what is in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.data.covidx import has_covidx_lists, list_covidx
from pipelines.data.csv_source import find_table, list_csv
from pipelines.data.folder_names import split_of
from pipelines.data.folders import list_folder_per_label, list_labelled_folder
from pipelines.data.listing import (
    EVERY_OTHER,
    Listing,
    check_label_names,
    note_label_names,
    splits_allowed,
)
from pipelines.data.nih import find_nih_table, list_nih
from pipelines.data.published import (
    has_metadata,
    has_radiography_folders,
    list_actualmed,
    list_covid_chestxray,
    list_figure1,
    list_radiography,
)
from pipelines.data.side_tables import note_unused_tables
from pipelines.study.image_io import IMAGE_SUFFIXES, looks_like_image
from pipelines.study.manifest import LABEL, SPLITS
from pipelines.study.text import decode_file_name
from runtime.options import OptionError


@dataclass(frozen=True)
class SourceKind:
    """A layout that can be imported.

    Attributes:
        name: As `--as` takes it.
        about: What it is and how it is laid out.
        recognises: Whether a path is laid out so.
        list_images: Lists a path, under a source's name and with labels by findings.
        url, licence: Where to get it, and under which licence.
    """

    name: str
    about: str
    recognises: Callable[[Path], bool]
    list_images: Callable[[Path, str, dict[str, str]], Listing]
    url: str = ""
    licence: str = ""


SOURCE_KINDS = (
    SourceKind(
        "actualmed",
        "Actualmed COVID-19 chest X-rays: metadata.csv, images named by its column imagename; "
        "frontal COVID-19 X-rays, other findings by --label",
        lambda path: has_metadata(path, "imagename"),
        list_actualmed,
        "https://github.com/agchung/Actualmed-COVID-chestxray-dataset",
        "research use; see the repository",
    ),
    SourceKind(
        "covid-chestxray-dataset",
        "Cohen et al. 2020 (arXiv 2006.11988): metadata.csv, images/; frontal COVID-19 X-rays, "
        "other findings by --label",
        lambda path: has_metadata(path, "filename"),
        list_covid_chestxray,
        "https://github.com/ieee8023/covid-chestxray-dataset",
        "per image, in metadata.csv (CC BY-NC-SA and others)",
    ),
    SourceKind(
        "figure1",
        "Figure 1 COVID-19 chest X-rays: metadata.csv, images named by patientid; "
        "frontal COVID-19 X-rays, other findings by --label",
        has_metadata,
        list_figure1,
        "https://github.com/agchung/Figure1-COVID-chestxray-dataset",
        "research use; see the repository",
    ),
    SourceKind(
        "radiography",
        "COVID-19 Radiography Database: COVID/images, Normal/images, Lung_Opacity/images, "
        "Viral Pneumonia/images",
        has_radiography_folders,
        list_radiography,
        "https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
        "see the page; its sources' licences apply",
    ),
    SourceKind(
        "covidx",
        "COVIDx: train*.txt and test*.txt with patient, file, class, source, images in train/ and "
        "test/; the lists' split is kept",
        has_covidx_lists,
        list_covidx,
        "https://www.kaggle.com/datasets/andyczhao/covidx-cxr2",
        "its sources' licences apply",
    ),
    SourceKind(
        "nih",
        "NIH ChestX-ray14: Data_Entry_2017*.csv, images in images*/; No Finding becomes normal, "
        "other findings by --label",
        lambda path: find_nih_table(path) is not None,
        list_nih,
        "https://nihcc.app.box.com/v/ChestXray-NIHCC",
        "free use with attribution to the NIH Clinical Center",
    ),
    SourceKind(
        "csv",
        "a CSV, or a folder with one, with file_name,label[,patient,view,split] or the usual other "
        "names of columns",
        lambda path: find_table(path) is not None,
        list_csv,
    ),
    SourceKind(
        "folders",
        "a folder per label; DICOM files too, their patients told by PatientID",
        lambda path: path.is_dir(),
        list_folder_per_label,
    ),
)


def read_sources(
    arguments: Sequence[str],
    *,
    external: Sequence[str] = (),
    kind: str | None = None,
    labels: dict[str, str] | None = None,
) -> list[Listing]:
    """List the images of command-line arguments, each PATH or PATH=LABEL.

    external: further arguments, whose images no folder's name puts into a split.
    kind: the name of one of SOURCE_KINDS, where it should not be recognised.
    labels: a source's findings, in lower case, to labels.

    Raises FileNotFoundError when a path is absent; ValueError when it is of no known kind, holds no
    image, names a file outside itself, or when a finding of `labels` is nowhere.
    """
    listings = []
    chosen = labels or {}
    folders: dict[str, Path] = {}  # of the sources so far, by their names
    own_splits: list[str | None] = []
    for argument in (*arguments, *external):
        path, label = _parse_argument(argument)
        if label is None:
            path, source_kind = _find_kind(path, kind)
            listing = source_kind.list_images(path, _name_source(path, folders), chosen)
            own_splits.append(split_of(path.resolve().name))
        else:
            listing = list_labelled_folder(path, _name_source(path, folders), label)
            own_splits.append(split_of(path.resolve().name) or split_of(path.resolve().parent.name))
        _check_not_empty(path, listing)
        note_label_names(listing)
        note_unused_tables(_parse_argument(argument)[0], listing)
        listings.append(listing)
    _check_findings(chosen, listings)
    check_label_names(listings)
    count = len(arguments)
    return [*_keep_splits(listings[:count], own_splits[:count]), *listings[count:]]


def _keep_splits(listings: Sequence[Listing], splits: Sequence[str | None]) -> list[Listing]:
    """Put sources that are folders called train, test and so on into these splits.

    One split alone is none.
    """
    if len(set(splits) - {None}) < 2:
        return list(listings)
    kept = []
    for listing, split in zip(listings, splits, strict=True):
        allowed = splits_allowed(split, has_validation="validation" in splits)
        images = [
            replace(image, splits=allowed) if image.splits == SPLITS else image
            for image in listing.images
        ]
        notes = [f"its folder gives the split: {split}"] if split else []
        kept.append(replace(listing, images=images, notes=[*listing.notes, *notes]))
    return kept


def _parse_argument(argument: str) -> tuple[Path, str | None]:
    """Split PATH=LABEL, where there is no file of that name, and check both."""
    path, label = Path(argument), None
    if "=" in argument and not path.exists():
        text, _, label = argument.rpartition("=")
        path = Path(text)
        if path.is_file():
            raise ValueError(
                f"{argument}: a label is given to a folder of images, and {path} is a file; "
                "name the file alone"
            )
        if not LABEL.fullmatch(label):
            raise ValueError(
                f"{argument}: label {label!r}, expected lower-case letters, digits, - and _, "
                f"as in {text}=normal"
            )
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; expected a folder of images, or a CSV that lists some"
        )
    return path, label


def _name_source(path: Path, folders: dict[str, Path]) -> str:
    """Name a source by its folder, and by the one above too where another has that name."""
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    source = decode_file_name(folder.name) or "images"
    if folders.setdefault(source, folder) != folder:
        source = f"{decode_file_name(folder.parent.name)}-{source}"
    return source


def _find_kind(path: Path, name: str | None) -> tuple[Path, SourceKind]:
    """Return a source and its kind: those of the one folder in it, where that is of a known kind.

    As archives are often unpacked into a folder of their own name.
    """
    inner = path
    while inner.is_dir():
        for kind in SOURCE_KINDS:
            if kind.name != "folders" and name in (None, kind.name) and kind.recognises(inner):
                return inner, kind
        inside = [child for child in inner.iterdir() if not child.name.startswith((".", "__"))]
        folders = [child for child in inside if child.is_dir()]
        if len(folders) != 1 or any(looks_like_image(child) for child in inside if child.is_file()):
            break
        inner = folders[0]
    return path, _choose_kind(path, name)


def _choose_kind(path: Path, name: str | None) -> SourceKind:
    """Return the kind of this name or, without one, the first that recognises the path."""
    if name is not None:
        kind = next(kind for kind in SOURCE_KINDS if kind.name == name)
        # A CSV says itself what its table lacks.
        if not kind.recognises(path) and kind.name != "csv":
            raise ValueError(f"{path} is not laid out as {name}; expected {kind.about}")
        return kind
    for kind in SOURCE_KINDS:
        if kind.recognises(path):
            return kind
    raise ValueError(
        f"{path} is of no kind that is known; expected a folder of images, or a CSV with the "
        "columns file_name and label (cxr data sources lists the kinds)"
    )


def _check_not_empty(path: Path, listing: Listing) -> None:
    if listing.images:
        return
    passed_over = "".join(
        f"; passed over: {count} {reason}" for reason, count in listing.passed_over.items()
    )
    absent = ""
    if listing.absent:
        absent = f"; {len(listing.absent)} named in its table are absent, first {listing.absent[0]}"
    raise ValueError(
        f"{path} ({listing.kind}) holds no usable image{passed_over}{absent}; "
        f"expected files such as {', '.join(sorted(IMAGE_SUFFIXES))}"
    )


def _check_findings(chosen: dict[str, str], listings: Sequence[Listing]) -> None:
    """Raise OptionError when a label is given to a finding that no image has."""
    counts = {
        finding.lower(): count
        for listing in listings
        for finding, count in listing.findings.items()
    }
    if EVERY_OTHER in chosen and not any(listing.is_selective for listing in listings):
        raise OptionError(
            "label",
            f'"*={chosen[EVERY_OTHER]}"',
            "no source here has findings that are left out unless they are named",
        )
    unknown = [finding for finding in chosen if finding not in (*counts, EVERY_OTHER)]
    if unknown:
        commonest = sorted(counts, key=counts.__getitem__, reverse=True)[:12]
        raise OptionError(
            "label",
            f'"{unknown[0]}=…"',
            f"no image has this finding; the findings here are: {', '.join(commonest) or 'none'}",
        )
