"""Images in plain folders: one folder per label, or one folder of one label."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pipelines.data.folder_names import is_drawn, is_lateral, names_collection
from pipelines.data.folder_tree import read_patient, read_places, read_splits
from pipelines.data.listing import FindingLabels, Listing, SourceImage, splits_allowed
from pipelines.study.file_kinds import other_format, read_head
from pipelines.study.image_io import looks_like_image, read_picture
from pipelines.study.import_log import PassedOver
from pipelines.study.manifest import SPLITS

NIH_NAME = re.compile(r"(\d{8})_\d{3}")  # patient number, follow-up number
NIH_REGISTER = "NIH ChestX-ray"
MASK = "a mask"
NO_LABEL = "in no folder of a label"


def list_labelled_folder(folder: Path, source: str, label: str) -> Listing:
    """List a folder whose images all have one label. Folders of splits in it keep them."""
    listing = Listing(source, f"folder of one label, {label}")
    paths = list(walk_images(folder, listing.passed_over, listing.passed_over_files))
    splits = read_splits(folder, paths)
    for path, split in zip(paths, splits, strict=True):
        patient = read_patient(path.relative_to(folder).parts[:-1])
        allowed = splits_allowed(split, has_validation="validation" in splits)
        listing.images.append(
            offer_file(path, label, source, splits=allowed, folder_patient=patient)
        )
    return listing


def list_folder_per_label(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List a folder with one subfolder per label, or with folders of splits that have some.

    chosen: labels of folders by their names in lower case; others become labels themselves.

    Raises ValueError when it cannot be told which folders are labels.
    """
    listing = Listing(source, "folder per label")
    named = frozenset(chosen)
    paths = list(walk_images(folder, listing.passed_over, listing.passed_over_files, named))
    if not paths:
        return listing
    if all(path.parent == folder for path in paths):
        raise ValueError(f"{folder} holds images but no label; name it: {folder}=LABEL")
    places = read_places(folder, paths, named)
    if any(place.split for place in places):
        splits = sorted({place.split for place in places if place.split}, key=SPLITS.index)
        listing.notes.append(f"folders give the split: {', '.join(splits)}")
    has_validation = any(place.split == "validation" for place in places)
    labels = FindingLabels(chosen, keep_others=True, made=listing.label_names)
    for path, place in zip(paths, places, strict=True):
        if not place.label:
            pass_over(listing, NO_LABEL, path.name)
            continue
        listing.findings[place.label] += 1
        label = labels.label_of(place.label, f"{path.parent}")
        if label is None:
            listing.passed_over[f"{place.label}: not wanted"] += 1
            continue
        allowed = splits_allowed(place.split, has_validation=has_validation)
        listing.images.append(
            offer_file(path, label, source, splits=allowed, folder_patient=place.patient)
        )
    return listing


def offer_file(
    path: Path,
    label: str,
    source: str,
    *,
    patient: str | None = None,
    register: str = "",
    view: str = "",
    splits: Sequence[str] = SPLITS,
    folder_patient: str | None = None,
) -> SourceImage:
    """Offer an image file.

    patient, register: As a table numbers the patient, and whose numbers these are; see SourceImage.
    folder_patient: The folder that is of one patient, if the file lies in one.
    """
    nih = NIH_NAME.fullmatch(path.stem)
    return SourceImage(
        str(path),
        partial(read_picture, path),
        label,
        source,
        nih.group(1) if patient is None and nih else patient,
        view,
        tuple(splits),
        register=NIH_REGISTER if patient is None and nih else register,
        nih_number=nih.group(1) if nih else "",
        folder_patient=folder_patient or "",
    )


def pass_over(listing: Listing, reason: str, name: str) -> None:
    """Count and name a file of a source that is not offered."""
    listing.passed_over[reason] += 1
    listing.passed_over_files.append(PassedOver(name, reason))


def walk_images(
    folder: Path,
    passed_over: Counter[str],
    named: list[PassedOver] | None = None,
    wanted: frozenset[str] = frozenset(),
) -> Iterator[Path]:
    """Yield the image files under a folder in sorted order, and count what is passed over.

    Links are followed, but never in a circle. Folders of masks and the like are not gone into,
    nor those of lateral films.

    named: gets what is passed over by name, whole folders as one.
    wanted: names of folders, in lower case, that are gone into whatever they are called.
    """
    seen: set[tuple[int, int]] = set()

    def note(path: Path, reason: str, count: int = 1) -> None:
        passed_over[reason] += count
        if named is not None and count:
            is_folder = path.is_dir()
            name = f"{path.relative_to(folder)}{'/' * is_folder}"
            named.append(PassedOver(name, reason, count))

    for name, children, files in os.walk(folder, followlinks=True, onerror=_raise):
        here = os.stat(name)
        if (here.st_dev, here.st_ino) in seen:
            children.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        if "manifest.csv" in files and "import.json" in files:
            note(Path(name), "in a workspace of cxr")
            children.clear()
            continue
        entered = []
        for child in sorted(children):
            if child.startswith(".") or child == "__MACOSX":
                continue
            reason = None if child.lower() in wanted else _folder_fault(Path(name, child))
            if reason is None:
                entered.append(child)
            else:
                note(Path(name, child), reason, _count_files(Path(name, child)))
        children[:] = entered
        for file in sorted(files):
            path = Path(name, file)
            if file.startswith("."):
                continue
            if reason := _file_fault(path):
                note(path, reason)
            else:
                yield path


def _folder_fault(folder: Path) -> str | None:
    """Return why a folder is passed over, told by its name, or None.

    A data set of segmentations holds radiographs too, in folders of their own.
    """
    if is_drawn(folder.name):
        holds_more = names_collection(folder.name) and any(
            child.is_dir() and not child.is_symlink() and _folder_fault(child) is None
            for child in folder.iterdir()
        )
        return None if holds_more else MASK
    return "not a frontal X-ray" if is_lateral(folder.name) else None


def _file_fault(path: Path) -> str | None:
    """Return why a file is no image that is read, or None."""
    if not path.is_file():
        return "a link to nothing" if path.is_symlink() else "no file"
    if looks_like_image(path):
        return None
    try:
        other = other_format(read_head(path))
    except OSError:
        return "not to be opened"
    return f"{other}, which is not read" if other else "not an image"


def _raise(error: OSError) -> None:
    """Raise what `os.walk` would swallow: a folder that cannot be read is no empty one."""
    raise error


def _count_files(folder: Path) -> int:
    return sum(not file.startswith(".") for _, _, files in os.walk(folder) for file in files)
