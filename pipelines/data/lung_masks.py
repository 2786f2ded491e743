"""Lung masks that a source brings: a folder of PNGs named like the images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from pipelines.data.originals import read_originals
from pipelines.study.manifest import Row
from pipelines.study.workspace import Workspace
from runtime.files import check_file

MAX_MASK_BYTES = 50_000_000
MAX_MASK_PIXELS = 50_000_000
MAX_ASPECT_ERROR = 0.01  # between mask and image: rounding when one of them was made smaller
MASK_MODES = ("1", "L", "P", "RGB", "RGBA", "LA")


@dataclass(frozen=True)
class FoundMasks:
    """The masks of a folder, matched with a study's images.

    Attributes:
        paths: File of each image's mask, by the image's file name in the study.
        left_out: How many masks are of images that the import left out.
    """

    paths: dict[str, Path]
    left_out: int


def match_masks(workspace: Workspace, folders: Sequence[Path]) -> FoundMasks:
    """Match the masks in folders with the study's images.

    A mask is named like the file that its image was imported from, as originals.csv tells, or like
    the image in the study. Raises ValueError when a folder has no masks, a mask is of another
    format or has no image, a name fits several images, or an image has several masks.
    """
    masks = [path for folder in folders for path in _list_masks(folder)]
    names, left_out = _image_names(workspace)
    paths: dict[str, Path] = {}
    strays, passed_over = [], 0
    for path in masks:
        images = sorted(names.get(path.stem, ()))
        if len(images) > 1:
            raise ValueError(
                f"{path} could be the mask of {len(images)} images, {' and '.join(images)}; name "
                "it like the one in data/images"
            )
        if not images:
            passed_over += path.stem in left_out
            strays += [] if path.stem in left_out else [path]
        elif images[0] in paths:
            raise ValueError(f"{images[0]} has two masks, {paths[images[0]]} and {path}")
        else:
            paths[images[0]] = path
    if strays:
        raise ValueError(
            f"{len(strays)} of {len(masks)} masks have no image in the study, first {strays[0]}; "
            "import the images, or take the masks out (masks are named like the imported files, "
            "which data/originals.csv tells, or like the images in data/images)"
        )
    return FoundMasks(paths, passed_over)


def _list_masks(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; expected one of PNG masks named like the images")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in files:
        if path.suffix.lower() != ".png":
            raise ValueError(
                f"{path} is no PNG; expected a folder of PNG masks named like the images, and "
                "nothing else"
            )
    if not files:
        raise ValueError(f"{folder} is empty; expected PNG masks named like the images")
    return files


def _image_names(workspace: Workspace) -> tuple[dict[str, set[str]], set[str]]:
    """Return the images of the study by each name that their mask may have, and the left out."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    known = {row.file_name for row in workspace.rows()}
    for file_name in known:
        names[PurePath(file_name).stem].add(file_name)
    left_out = set()
    for original in read_originals(workspace.data / "originals.csv"):
        stem = PurePath(original.origin).stem
        if original.file_name in known:
            names[stem].add(original.file_name)
        else:
            left_out.add(stem)
    return names, left_out


def read_mask(path: Path, row: Row) -> np.ndarray:
    """Read the mask of an image, bool (H, W) of the image's size in the study.

    A mask of another size with the same aspect is resized. Raises ValueError that names the file
    when it is no PNG, has another aspect, is not of two values, or covers nothing.
    """
    values = _read_values(path)  # (H, W)
    found = np.unique(values)
    if len(found) > 2 or (len(found) == 2 and found[0] != 0):
        raise ValueError(
            f"{path} has {len(found)} gray values, {', '.join(map(str, found[:4]))}"
            f"{', …' if len(found) > 4 else ''}; expected a mask of two, 0 and lung"
        )
    if len(found) == 1:
        raise ValueError(f"{path} is {'empty' if found[0] == 0 else 'all lung'}; expected a mask")
    height, width = values.shape
    if abs(width / height * row.height / row.width - 1) > MAX_ASPECT_ERROR:
        raise ValueError(
            f"{path} is {width}×{height} px, its image {row.file_name} {row.width}×{row.height}: "
            "another shape; expected the image's size, or one of the same aspect"
        )
    mask = Image.fromarray((values > 0).astype(np.uint8) * 255)
    if mask.size != (row.width, row.height):
        mask = mask.resize((row.width, row.height), Image.Resampling.BOX)
    return np.asarray(mask) > 127


def is_resized(path: Path, row: Row) -> bool:
    """Say whether a mask has another size than its image in the study."""
    with Image.open(path) as mask:
        return mask.size != (row.width, row.height)


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


def check_masks(rows: Sequence[Row], masks: FoundMasks) -> int:
    """Read every mask; return how many are resized. Raises ValueError at the first bad one."""
    by_name = {row.file_name: row for row in rows}
    for name, path in masks.paths.items():
        read_mask(path, by_name[name])
    return sum(is_resized(path, by_name[name]) for name, path in masks.paths.items())
