"""Lung masks that a source brings, matched with a study's images."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from pipelines.data.mask_files import BroughtMask, files_in, holds_masks, list_masks
from pipelines.data.originals import OriginalRow, read_originals
from pipelines.study.manifest import Row
from pipelines.study.workspace import Workspace

MAX_ASPECT_ERROR = 0.01  # between mask and image: rounding when one of them was made smaller


@dataclass(frozen=True)
class FoundMasks:
    """The masks of folders and files, matched with a study's images.

    Attributes:
        by_image: The mask of each image, by the image's file name in the study.
        left_out: How many masks are of images that the import left out.
        other_names: How many annotations are of no lung, by their names.
    """

    by_image: dict[str, BroughtMask]
    left_out: int
    other_names: Counter[str]


def match_masks(workspace: Workspace, sources: Sequence[Path]) -> FoundMasks:
    """Match the masks in folders and files with the study's images.

    A mask is named like the file that its image was imported from, as originals.csv tells, or like
    the image in the study; _mask, -mask or _lung may follow. Raises ValueError when a source has
    no masks, a mask is of another format or has no image, a name fits several images, or an image
    has several masks.
    """
    other_names: Counter[str] = Counter()
    masks = [mask for source in sources for mask in list_masks(source, other_names)]
    originals = read_originals(workspace.data / "originals.csv")
    names = _image_names(workspace, originals)
    by_image: dict[str, BroughtMask] = {}
    strays = []
    for mask in masks:
        images = sorted({image for name in mask.names for image in names.get(name, ())})
        if len(images) > 1:
            raise ValueError(
                f"{mask.where} could be the mask of {len(images)} images, {' and '.join(images)}; "
                "name it like the one in data/images"
            )
        if not images:
            strays.append(mask)
        elif images[0] in by_image:
            raise ValueError(
                f"{images[0]} has two masks, {by_image[images[0]].where} and {mask.where}"
            )
        else:
            by_image[images[0]] = mask
    left_out = _left_out_names(originals, strays) if strays else set()
    unknown = [mask for mask in strays if left_out.isdisjoint(mask.names)]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(masks)} masks have no image in the study, first "
            f"{unknown[0].where}; import the images, or take the masks out (masks are named like "
            "the imported files, which data/originals.csv tells, or like the images in data/images)"
        )
    return FoundMasks(by_image, len(strays), other_names)


def find_masks_beside(workspace: Workspace) -> list[Path]:
    """Return the folders of masks that lie beside those that images were imported from."""
    folders = _origin_folders(read_originals(workspace.data / "originals.csv"))
    return [
        path
        for folder in sorted({folder.parent for folder in folders})
        for path in _subfolders(folder)
        if holds_masks(path.name)
    ]


# --- which images there are ---


def _image_names(workspace: Workspace, originals: Sequence[OriginalRow]) -> dict[str, set[str]]:
    """Return the images of the study by each name that their mask may have."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    known = {row.file_name for row in workspace.rows()}
    for file_name in known:
        names[PurePath(file_name).stem].add(file_name)
    for original in originals:
        if original.file_name in known:
            names[PurePath(original.origin).stem].add(original.file_name)
    return names


def _left_out_names(originals: Sequence[OriginalRow], strays: Iterable[BroughtMask]) -> set[str]:
    """Return the names of images that were there to be imported, in the study or not.

    They are those of originals.csv, and of the files beside them and in folders called images
    beside the masks.
    """
    folders = {
        *_origin_folders(originals),
        *(folder / "images" for mask in strays for folder in mask.file.parents[:2]),
    }
    return {PurePath(original.origin).stem for original in originals} | {
        file.stem for folder in folders if folder.is_dir() for file in files_in(folder)
    }


def _origin_folders(originals: Sequence[OriginalRow]) -> set[Path]:
    """Return the folders that images were imported from, as far as they are there."""
    names = {os.path.dirname(original.origin) for original in originals} - {""}
    return {Path(name) for name in names if os.path.isdir(name)}


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


# --- a mask itself ---


def read_mask(mask: BroughtMask, row: Row) -> np.ndarray:
    """Read the mask of an image, bool (H, W) of the image's size in the study.

    A mask of another size with the same aspect is resized. Raises ValueError that names it when it
    is of another format or aspect, not of two values, or covers nothing or everything.
    """
    values = _read_fitting(mask, row)
    if values.shape == (row.height, row.width):
        return values
    gray = Image.fromarray(values.astype(np.uint8) * 255)
    is_smaller = row.width < values.shape[1]
    method = Image.Resampling.BOX if is_smaller else Image.Resampling.BILINEAR
    return np.asarray(gray.resize((row.width, row.height), method)) > 127


def check_masks(rows: Sequence[Row], masks: FoundMasks) -> int:
    """Read every mask; return how many are resized. Raises ValueError at the first bad one."""
    by_name = {row.file_name: row for row in rows}
    return sum(
        _read_fitting(mask, by_name[name]).shape != (by_name[name].height, by_name[name].width)
        for name, mask in masks.by_image.items()
    )


def _read_fitting(mask: BroughtMask, row: Row) -> np.ndarray:
    """Read a mask, bool (H, W) of its own size, which has the image's aspect."""
    values = mask.read()
    if values.all() or not values.any():
        raise ValueError(
            f"{mask.where} is {'all lung' if values.all() else 'empty'}; expected a mask"
        )
    height, width = values.shape
    if abs(width / height * row.height / row.width - 1) > MAX_ASPECT_ERROR:
        raise ValueError(
            f"{mask.where} is {width}×{height} px, its image {row.file_name} "
            f"{row.width}×{row.height}: another shape; expected the image's size, or one of the "
            "same aspect"
        )
    return values
