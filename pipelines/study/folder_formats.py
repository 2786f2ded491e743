"""Folders of labelled images as other programs read them: written whole or not at all.

imagefolder  LABEL/NAME.png, as torchvision's ImageFolder has it.
huggingface  The same under train/, with train/metadata.jsonl, as `datasets` reads it.
flat         NAME.png side by side, with metadata.jsonl.
stylegan     dataset.zip as the dataset_tool.py of StyleGAN2-ADA and StyleGAN3 writes it: PNGs
             without compression, 00000/img00000000.png and on, and dataset.json with
             {"labels": [[name, class index], ...]}.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from runtime.files import write_text
from runtime.options import OptionError

IMAGEFOLDER, HUGGINGFACE, FLAT, STYLEGAN = "imagefolder", "huggingface", "flat", "stylegan"
FOLDER_FORMATS = (IMAGEFOLDER, HUGGINGFACE, FLAT, STYLEGAN)
METADATA_FILE = "metadata.jsonl"
STYLEGAN_ZIP, STYLEGAN_LABELS = "dataset.zip", "dataset.json"
SIZES = (16, 512)  # the smallest and the largest side in pixels
_IMAGES_PER_FOLDER = 1000  # of a StyleGAN zip: the first five of eight digits name it
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # so that the same images give the same bytes


@dataclass(frozen=True)
class LabelledImage:
    """An image to be written.

    Attributes:
        name: Its file name without suffix, no other's.
        pixels: uint8 (S, S).
        notes: Text chunks of the PNG.
        columns: What metadata.jsonl says of it beside file_name and label.
    """

    name: str
    label: str
    pixels: np.ndarray
    notes: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, object] = field(default_factory=dict)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to write into, which appears as `target` when the block ends without an error.

    Raises ValueError when there is something in `target` already, or it is no folder.
    """
    target = Path(os.path.abspath(target))
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError(f"{target} is there and is no folder; choose another")
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"{target} is not empty; choose a new folder, or empty it")
    target.parent.mkdir(parents=True, exist_ok=True)
    begun = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(begun, ignore_errors=True)  # of a process with this number that was killed
    begun.mkdir()
    try:
        yield begun
        begun.rename(target)  # over an empty folder, if there is one
    except BaseException:
        shutil.rmtree(begun, ignore_errors=True)
        raise


def check_side(image_size: int) -> None:
    """Raise OptionError when images of this side do not go to other programs or come from them."""
    if not SIZES[0] <= image_size <= SIZES[1]:
        raise OptionError("image_size", image_size, f"expected {SIZES[0]} to {SIZES[1]} pixels")


def check_format(format: str, image_size: int) -> None:
    """Raise ValueError when a format is unknown or does not hold images of this size."""
    if format not in FOLDER_FORMATS:
        raise ValueError(f"format {format!r}: expected one of {', '.join(FOLDER_FORMATS)}")
    if format == STYLEGAN and image_size & (image_size - 1):
        raise ValueError(
            f"StyleGAN takes images whose side is a power of two, not {image_size} px; "
            "choose 32, 64, 128 or 256"
        )


def write_images(
    folder: Path, images: Iterable[LabelledImage], format: str, classes: Sequence[str]
) -> int:
    """Write images into an empty folder; return how many.

    classes: All labels, in the order of their indices.
    """
    if format == STYLEGAN:
        return _write_zip(folder / STYLEGAN_ZIP, images, classes)
    root = folder / "train" if format == HUGGINGFACE else folder
    lines = []
    for image in images:
        file_name = f"{image.name}.png" if format == FLAT else f"{image.label}/{image.name}.png"
        path = root / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(image))
        lines.append({"file_name": file_name, "label": image.label, **image.columns})
    if format != IMAGEFOLDER:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_text(root / METADATA_FILE, text)
    return len(lines)


def _write_zip(path: Path, images: Iterable[LabelledImage], classes: Sequence[str]) -> int:
    labels: list[tuple[str, int]] = []
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED) as archive:
        for number, image in enumerate(images):
            name = f"{number // _IMAGES_PER_FOLDER:05d}/img{number:08d}.png"
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), _png(image, compress_level=0))
            labels.append((name, classes.index(image.label)))
        text = json.dumps({"labels": labels})
        archive.writestr(zipfile.ZipInfo(STYLEGAN_LABELS, _ZIP_DATE), text)
    return len(labels)


def _png(image: LabelledImage, compress_level: int = 6) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    for name, text in image.notes.items():
        chunks.add_itxt(name, text)
    written = io.BytesIO()
    Image.fromarray(image.pixels).save(
        written, "PNG", pnginfo=chunks, compress_level=compress_level
    )
    return written.getvalue()
