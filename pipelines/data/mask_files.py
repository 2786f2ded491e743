"""The files in which masks come: PNGs named like the images, and polygons in JSON files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.data.coco_annotations import read_coco
from pipelines.data.darwin_annotations import read_darwin
from pipelines.data.folder_names import words_of
from pipelines.data.lung_annotations import MAX_MASK_PIXELS, LungAnnotations
from runtime.files import check_file, read_json

MAX_MASK_BYTES = 50_000_000
MASK_MODES = ("1", "L", "P", "RGB", "RGBA", "LA")
MASK_FOLDER_WORDS = frozenset(("lung", "lungs", "mask", "masks"))
MASK_SUFFIXES = (".png", ".json")
NOTE_SUFFIXES = (".md", ".txt", ".csv")  # of files that may stand beside masks
ENDING = re.compile(r"[ _.-]+(lungs?|(lungs?[ _.-]*)?masks?)$", re.IGNORECASE)  # x_mask is of x
WHAT_IS_EXPECTED = (
    "expected PNG masks named like the images, V7 Darwin or COCO JSON files, or a folder with "
    "folders called masks"
)


@dataclass(frozen=True)
class BroughtMask:
    """A mask that a source brings.

    Attributes:
        file: Where it is kept.
        where: The same, and the picture in it, for messages.
        names: What its image may be called, without ending.
        read: Returns it, bool (H, W) of its own size. Raises ValueError that names it when it is
            bad.
    """

    file: Path
    where: str
    names: tuple[str, ...]
    read: Callable[[], np.ndarray]


def list_masks(source: Path, other_names: Counter[str]) -> Iterator[BroughtMask]:
    """Yield the masks of a folder or file; count the annotations that are of no lung."""
    found = False
    names_here: Counter[str] = Counter()
    for file in _list_files(source):
        if file.suffix.lower() != ".json":
            yield BroughtMask(file, str(file), _names_of(file.stem), partial(_read_png, file))
            found = True
            continue
        annotations = _read_annotations(file)
        names_here += annotations.other_names
        for lungs in annotations.pictures:
            yield BroughtMask(file, lungs.where, lungs.names, lungs.draw)
            found = True
    if not found:
        listed = ", ".join(f"{name} ({count})" for name, count in names_here.most_common(8))
        raise ValueError(
            f"{source} has no annotation called lung, left lung or right lung; "
            + (f"those it has are called {listed:.200}" if listed else "it has none at all")
        )
    other_names += names_here


def _read_annotations(file: Path) -> LungAnnotations:
    content = read_json(file)
    if "annotations" in content and "images" in content:
        return read_coco(file, content)
    if "annotations" in content and ("image" in content or "item" in content):
        return read_darwin(file, content)
    held = ", ".join(list(content)[:5]) or "nothing"
    raise ValueError(
        f"{file} holds {held:.80}; expected V7 Darwin JSON (annotations, and image or item) or "
        "COCO JSON (annotations, images and categories)"
    )


def _list_files(source: Path) -> list[Path]:
    """Return the PNG and JSON files of a source, a file, a folder, or one with folders of masks."""
    if not source.is_dir():
        if source.suffix.lower() not in MASK_SUFFIXES or not source.exists():
            raise ValueError(f"{source} is no folder and no PNG or JSON file; {WHAT_IS_EXPECTED}")
        return [source]
    files = files_in(source)
    others = [file for file in files if file.suffix.lower() not in MASK_SUFFIXES]
    if len(others) == len(files):
        below = [
            Path(folder, name)
            for folder, names, _ in os.walk(source)
            for name in names
            if holds_masks(name)
        ]
        if below:
            return [file for folder in sorted(below) for file in _list_files(folder)]
    if others:
        raise ValueError(f"{others[0]} is no PNG or JSON file; {WHAT_IS_EXPECTED}")
    if not files:
        raise ValueError(f"{source} holds no masks; {WHAT_IS_EXPECTED}")
    return files


def holds_masks(name: str) -> bool:
    """Return whether a folder is called masks, lung masks or the like; infection masks are not."""
    words = set(words_of(name))
    return words <= MASK_FOLDER_WORDS and bool(words & {"mask", "masks"})


def _names_of(stem: str) -> tuple[str, ...]:
    """Return what the image of a mask of this name may be called."""
    return tuple(dict.fromkeys((stem, ENDING.sub("", stem))))


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that may be images or masks, in order of their names."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and path.suffix.lower() not in NOTE_SUFFIXES
        and not path.is_dir()
    )


def _read_png(path: Path) -> np.ndarray:
    """Read a PNG of two gray values, 0 and lung: bool (H, W)."""
    values = _read_values(path)
    found = np.unique(values)
    if len(found) > 2 or (len(found) == 2 and found[0] != 0):
        raise ValueError(
            f"{path} has {len(found)} gray values, {', '.join(map(str, found[:4]))}"
            f"{', …' if len(found) > 4 else ''}; expected a mask of two, 0 and lung"
        )
    return values > 0


def _read_values(path: Path) -> np.ndarray:
    """Return the gray values of a mask, uint8 (H, W); of equal colour channels one."""
    check_file(path, MAX_MASK_BYTES)
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_MASK_PIXELS or image.mode not in MASK_MODES:
                raise ValueError(
                    f"{path} is {image.width}×{image.height} px of mode {image.mode}; expected an "
                    f"8-bit or 1-bit PNG of at most {MAX_MASK_PIXELS:,} px"
                )
            values = np.asarray(image.convert("RGB" if image.mode == "P" else image.mode))
    except (OSError, SyntaxError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path} cannot be read as a PNG ({error})") from error
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if values.ndim == 2:
        return values
    colours = values[..., : 1 if image.mode == "LA" else 3]
    if (colours != colours[..., :1]).any():
        raise ValueError(f"{path} is in colour; expected a mask of two gray values")
    return colours[..., 0]
