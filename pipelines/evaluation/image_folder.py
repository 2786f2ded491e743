"""A plain folder of images, with a subfolder for each label or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipelines.data.cleaning import find_fault
from pipelines.data.folders import walk_images
from pipelines.evaluation.folder_labels import read_labels
from pipelines.study.image_io import Picture, read_picture
from pipelines.study.raster import IMAGE_FORMATS
from pipelines.study.text import decode_file_name, one_line

SAME_PIXEL_PATH = "expected one size, as both kinds must take the same path of pixels"
MODES_OF_8_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
NAMED = 3  # files that a warning names


@dataclass(frozen=True)
class Storage:
    """How a file stores its picture.

    Attributes:
        container: PNG, JPEG, …, as Pillow calls it, or DICOM.
        is_deep: Whether it has more than 8 bits per channel.
        height, width: In the file.
    """

    container: str
    is_deep: bool
    height: int
    width: int


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder.

    Attributes:
        path: The folder.
        images: uint8 (N, H, W).
        labels: The name of each image's label; "" where its folders name none.
        file_names: Relative to the folder.
        storage: Of each image.
        notes: What was passed over, and how the folder was read, in plain words.
    """

    path: Path
    images: np.ndarray
    labels: list[str]
    file_names: list[str]
    storage: list[Storage]
    notes: list[str]


def read_image_folder(path: Path) -> ImageFolder:
    """Read all images under a folder as 8-bit gray, with the eyes of an import.

    Masks, hidden files, and pictures that an import would leave out as no radiographs are passed
    over and noted. Blank pictures stay, since a generator that draws them is to be scored for it,
    and so do small and synthetic ones.

    Raises FileNotFoundError when there are none, ValueError when one is damaged, when they differ
    in size, or when their labels cannot be told.
    """
    files, notes = _list_images(path)
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(read_picture, files))
        containers = list(pool.map(_read_container, files))
    faults = [_find_fault(picture) for picture in pictures]
    notes += _list_faults(path, files, faults)
    kept = [place for place, fault in enumerate(faults) if fault is None]
    if not kept:
        raise ValueError(
            f"{path} holds no radiograph among its {len(files)} images; {files[0].name}: "
            f"{faults[0]}"
        )
    names = [files[place].relative_to(path) for place in kept]
    labels, label_notes = read_labels(path, names)
    images = [pictures[place].gray for place in kept]
    sizes = Counter(f"{image.shape[1]}×{image.shape[0]} px" for image in images)
    if len(sizes) > 1:
        raise ValueError(
            f"{path}: images differ in size: {_list_commonest(sizes)}; {SAME_PIXEL_PATH}"
        )
    storage = [
        Storage(*containers[place], pictures[place].height, pictures[place].width) for place in kept
    ]
    file_names = [name.as_posix() for name in names]
    return ImageFolder(path, np.stack(images), labels, file_names, storage, notes + label_notes)


def check_two_folders(first: ImageFolder, second: ImageFolder) -> None:
    """Raise ValueError when one folder lies in the other, or their images differ in size."""
    one, other = first.path.resolve(), second.path.resolve()
    if one in other.parents or other in one.parents:
        raise ValueError(
            f"{first.path} and {second.path}: one lies in the other and would be scored against "
            "itself; expected two folders beside each other"
        )
    shapes = first.images.shape[1:], second.images.shape[1:]
    if shapes[0] != shapes[1]:
        sizes = [f"{width}×{height} px" for height, width in shapes]
        raise ValueError(
            f"{first.path} has images of {sizes[0]}, {second.path} of {sizes[1]}; {SAME_PIXEL_PATH}"
        )


def _list_images(path: Path) -> tuple[list[Path], list[str]]:
    """List the image files under a folder, and say what is passed over."""
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: no such folder; expected one of images, or of subfolders of images"
        )
    passed_over: Counter[str] = Counter()
    is_workspace = (path / "manifest.csv").is_file() and (path / "import.json").is_file()
    files = sorted(walk_images(path / "images" if is_workspace else path, passed_over))
    reasons = ", ".join(f"{count} {reason}" for reason, count in passed_over.most_common())
    if not files:
        raise FileNotFoundError(
            f"{path} holds no image; expected some there or in its subfolders"
            + (f"; passed over: {reasons}" if reasons else "")
        )
    return files, [f"{path}: passed over: {reasons}"] if reasons else []


def _find_fault(picture: Picture) -> str | None:
    """Return why a picture is no radiograph, or None, as "kind: details"."""
    fault = find_fault(replace(picture, comment=""), min_side=1)
    return None if fault and fault.startswith("blank") else fault


def _list_faults(path: Path, files: Sequence[Path], faults: Sequence[str | None]) -> list[str]:
    """Say, for each kind of fault, how many files have it, and which."""
    of_kind: dict[str, list[str]] = {}
    for file, fault in zip(files, faults, strict=True):
        if fault:
            name = one_line(decode_file_name(str(file.relative_to(path))))
            of_kind.setdefault(fault.partition(":")[0], []).append(name)
    return [
        f"{path}: passed over: {len(names)} {kind}: {', '.join(names[:NAMED])}"
        + (", …" if len(names) > NAMED else "")
        for kind, names in of_kind.items()
    ]


def _read_container(file: Path) -> tuple[str, bool]:
    """Read the kind of a picture's file, and whether it is deeper than 8 bits."""
    try:
        with Image.open(file, formats=IMAGE_FORMATS) as image:
            return str(image.format), image.mode not in MODES_OF_8_BITS
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return "DICOM", False  # which says itself how it is brought to 8 bits


def _list_commonest(counts: Counter[str]) -> str:
    listed = ", ".join(f"{count} of {kind}" for kind, count in counts.most_common(3))
    return listed + (", …" if len(counts) > 3 else "")
