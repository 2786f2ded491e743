"""A plain folder of images, with a subfolder for each label or none."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipelines.study.image_io import IMAGE_FORMATS, IMAGE_SUFFIXES, read_gray

SAME_PIXEL_PATH = "expected one size, as both kinds must take the same path of pixels"


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder.

    Attributes:
        path: The folder.
        images: uint8 (N, H, W).
        labels: The name of each image's subfolder; "" where it lies in none.
        file_names: Relative to the folder.
    """

    path: Path
    images: np.ndarray
    labels: list[str]
    file_names: list[str]


def read_image_folder(path: Path) -> ImageFolder:
    """Read all images of a folder and of its subfolders, one level deep, as 8-bit gray.

    Raises FileNotFoundError when there are none, ValueError when they differ in size or mode.
    """
    files = _list_images(path)
    labels = [file.parent.name if file.parent != path else "" for file in files]
    if "" in labels and len(set(labels)) > 1:
        raise ValueError(
            f"{path} holds images both in itself and in subfolders; expected all in one way"
        )
    with ThreadPoolExecutor() as pool:
        modes = Counter(pool.map(_read_mode, files))
        if len(modes) > 1:
            raise ValueError(
                f"{path}: images differ in mode: {_list_commonest(modes)}; expected one"
            )
        images = list(pool.map(read_gray, files))
    sizes = Counter(f"{image.shape[1]}×{image.shape[0]} px" for image in images)
    if len(sizes) > 1:
        raise ValueError(
            f"{path}: images differ in size: {_list_commonest(sizes)}; {SAME_PIXEL_PATH}"
        )
    file_names = [file.relative_to(path).as_posix() for file in files]
    return ImageFolder(path, np.stack(images), labels, file_names)


def check_same_size(first: ImageFolder, second: ImageFolder) -> None:
    """Raise ValueError when the images of two folders differ in size."""
    shapes = first.images.shape[1:], second.images.shape[1:]
    if shapes[0] != shapes[1]:
        sizes = [f"{width}×{height} px" for height, width in shapes]
        raise ValueError(
            f"{first.path} has images of {sizes[0]}, {second.path} of {sizes[1]}; {SAME_PIXEL_PATH}"
        )


def _list_images(path: Path) -> list[Path]:
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: no such folder; expected one of images, or of subfolders of images"
        )
    files = sorted(
        file
        for pattern in ("*", "*/*")
        for file in path.glob(pattern)
        if file.suffix.lower() in IMAGE_SUFFIXES
        and file.is_file()
        and not file.name.startswith(".")
    )
    if not files:
        raise FileNotFoundError(f"{path} holds no image; expected some there or in its subfolders")
    return files


def _read_mode(file: Path) -> str:
    """Read how a picture stores its pixels, as Pillow calls it."""
    try:
        with Image.open(file, formats=IMAGE_FORMATS) as image:
            return image.mode
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return "other"  # DICOM; what is damaged is named when it is read


def _list_commonest(counts: Counter[str]) -> str:
    listed = ", ".join(f"{count} of {kind}" for kind, count in counts.most_common(3))
    return listed + (", …" if len(counts) > 3 else "")
