"""Lungs as annotation tools keep them: regions of a picture, each with a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PureWindowsPath

import numpy as np

from pipelines.data.folder_names import words_of
from pipelines.data.rasterising import fill_paths, fill_runs

LUNG_WORDS = frozenset(("lung", "lungs"))
BESIDE_LUNG = frozenset(("left", "right", "both", "l", "r", "field", "fields", "mask"))
MAX_MASK_PIXELS = 50_000_000  # of a mask, drawn or to be drawn
MAX_OVERSHOOT = 0.05  # of the side, by which a point may lie outside of the picture


@dataclass(frozen=True)
class Region:
    """A part of a picture: closed paths (n, 2) of x and y, filled even-odd, or COCO's runs."""

    paths: Sequence[np.ndarray] = ()
    runs: Sequence[int] = ()


@dataclass(frozen=True)
class AnnotatedLungs:
    """The lungs of one picture.

    Attributes:
        where: The file, and in it the picture, for messages.
        names: Of the picture's file, without its ending; Darwin has two.
        height, width: Of the picture in pixels.
        regions: What the annotations of its lungs cover, added up.
    """

    where: str
    names: tuple[str, ...]
    height: int
    width: int
    regions: list[Region] = field(default_factory=list)

    def draw(self) -> np.ndarray:
        """Return the mask, bool (H, W). Raises ValueError that names it for bad runs."""
        mask = np.zeros((self.height, self.width), bool)
        for region in self.regions:
            if region.paths:
                mask |= fill_paths(region.paths, self.height, self.width)
                continue
            try:
                mask |= fill_runs(region.runs, self.height, self.width)
            except ValueError as error:
                raise ValueError(f"{self.where}: {error}") from error
        return mask


@dataclass(frozen=True)
class LungAnnotations:
    """What a file says of lungs.

    Attributes:
        pictures: Those that have lungs.
        other_names: How many annotations are called otherwise, by their names.
    """

    pictures: list[AnnotatedLungs]
    other_names: Counter[str]


def is_lung(name: str) -> bool:
    """Return whether an annotation called so is of a lung, and not of something in one."""
    words = {word for word in words_of(name) if not word.isdigit()}
    return not LUNG_WORDS.isdisjoint(words) and words <= LUNG_WORDS | BESIDE_LUNG


def begin_lungs(
    where: str, names: Sequence[object], picture: Mapping[str, object]
) -> AnnotatedLungs:
    """Begin with a picture that has no lungs yet.

    names: of its file, with their endings. Raises ValueError when it has no name or no size.
    """
    stems = [PureWindowsPath(read_text(name, where, "file name")).stem for name in names]
    if not stems:
        raise ValueError(f"{where} does not name its image")
    height, width = (read_whole(picture.get(name), where, name) for name in ("height", "width"))
    if min(height, width) < 1 or height * width > MAX_MASK_PIXELS:
        raise ValueError(
            f"{where}: an image of {width}×{height} px; expected 1 to {MAX_MASK_PIXELS:,} px"
        )
    return AnnotatedLungs(where, tuple(dict.fromkeys(stems)), height, width)


def check_path(points: Sequence[tuple[float, float]], lungs: AnnotatedLungs) -> np.ndarray:
    """Return points (x, y) as a path (n, 2).

    Raises ValueError for fewer than three, or one that is clearly outside of the picture.
    """
    if len(points) < 3:
        raise ValueError(f"{lungs.where}: a polygon of {len(points)} points; expected 3 or more")
    path = np.array(points)
    sides = np.array([lungs.width, lungs.height])
    if (path < -MAX_OVERSHOOT * sides).any() or (path > (1 + MAX_OVERSHOOT) * sides).any():
        (left, top), (right, bottom) = path.min(axis=0), path.max(axis=0)
        raise ValueError(
            f"{lungs.where}: a polygon from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), "
            f"outside of its picture of {lungs.width}×{lungs.height} px"
        )
    return path


# --- values of a JSON file, of the kind that is expected there ---


def read_object(value: object, where: str, name: str) -> Mapping[str, object]:
    """Return names and values. Raises ValueError that says where for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: {name} is {value!r:.40}; expected names and values")
    return value


def read_list(value: object, where: str, name: str) -> Sequence[object]:
    """Return a list. Raises ValueError that says where for anything else."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: {name} is {value!r:.40}; expected a list")
    return value


def read_text(value: object, where: str, name: str) -> str:
    """Return a text. Raises ValueError that says where for anything else, or an empty one."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {name} is {value!r:.40}; expected a text")
    return value


def read_number(value: object, where: str, name: str) -> float:
    """Return a number. Raises ValueError that says where for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    raise ValueError(f"{where}: {name} is {value!r:.40}; expected a number")


def read_whole(value: object, where: str, name: str) -> int:
    """Return a whole number. Raises ValueError that says where for anything else."""
    number = read_number(value, where, name)
    if not number.is_integer():
        raise ValueError(f"{where}: {name} is {value!r:.40}; expected a whole number")
    return int(number)
