"""Images in plain folders: one folder per label, or one folder of one label."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pipelines.data.listing import FindingLabels, Listing, SourceImage
from pipelines.study import dicom
from pipelines.study.image_io import IMAGE_SUFFIXES, read_picture
from pipelines.study.manifest import SPLITS

NIH_NAME = re.compile(r"(\d{8})_\d{3}")  # patient number, follow-up number
MASK_FOLDERS = ("masks", "mask", "segmentations", "lung masks")


def list_labelled_folder(folder: Path, source: str, label: str) -> Listing:
    """List a folder whose images all have one label."""
    listing = Listing(source, f"folder of one label, {label}")
    for path in walk_images(folder, listing.passed_over):
        listing.images.append(offer_file(path, label, source))
    return listing


def list_folder_per_label(folder: Path, source: str, chosen: dict[str, str]) -> Listing:
    """List a folder with one subfolder per label.

    chosen: labels of folders by their names in lower case; others become labels themselves.
    """
    listing = Listing(source, "folder per label")
    labels = FindingLabels(chosen, keep_others=True)
    for child in _subfolders(folder):
        if child.name.lower() in MASK_FOLDERS:
            listing.passed_over["a mask"] += _count_files(child)
            continue
        paths = list(walk_images(child, listing.passed_over))
        if not paths:
            continue
        listing.findings[child.name] += len(paths)
        label = labels.labels_of([child.name.replace("/", "-")])
        if not label and child.name.lower() not in chosen:
            raise ValueError(
                f"{child}: no label can be made from this folder name; name it: {child}=LABEL"
            )
        if not label:
            listing.passed_over[f"{child.name}: not wanted"] += len(paths)
        listing.images.extend(offer_file(path, name, source) for path in paths for name in label)
    is_empty = not listing.images and not listing.passed_over.total()
    if is_empty and any(walk_images(folder, Counter())):
        raise ValueError(f"{folder} holds images but no label; name it: {folder}=LABEL")
    return listing


def offer_file(
    path: Path,
    label: str,
    source: str,
    *,
    patient: str | None = None,
    view: str = "",
    splits: Sequence[str] = SPLITS,
) -> SourceImage:
    """Offer an image file; where no patient is given, a file name of NIH's tells it."""
    nih = NIH_NAME.fullmatch(path.stem)
    if patient is None and nih:
        patient = nih.group(1)
    load = partial(read_picture, path)
    return SourceImage(str(path), load, label, source, patient, view, tuple(splits))


def walk_images(folder: Path, passed_over: Counter[str]) -> Iterator[Path]:
    """Yield the image files under a folder in sorted order, and count what is passed over.

    Links are followed, but never in a circle.
    """
    seen: set[tuple[int, int]] = set()
    for name, children, files in os.walk(folder, followlinks=True, onerror=_raise):
        here = os.stat(name)
        if (here.st_dev, here.st_ino) in seen:
            children.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        masks = [child for child in children if child.lower() in MASK_FOLDERS]
        for child in masks:
            passed_over["a mask"] += _count_files(Path(name, child))
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
            if path.suffix.lower() in IMAGE_SUFFIXES or (
                not path.suffix and _begins_as_dicom(path)
            ):
                yield path
            else:
                passed_over["not an image by its name"] += 1


def _raise(error: OSError) -> None:
    """Raise what `os.walk` would swallow: a folder that cannot be read is no empty one."""
    raise error


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _count_files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _begins_as_dicom(path: Path) -> bool:
    return os.access(path, os.R_OK) and dicom.is_dicom(path)
