"""Where the lungs are in a study's images: what `cxr data lungs` leaves, and how it is read.

data/lungs.csv         one row per image: box, quality, and whose mask it is; written last, so that
                       masks without it are not there
data/lungs/LABEL/ID.png  the mask, 0 or 255, of the size of data/images/LABEL/ID.png

In all of this `data` is the study's folder of that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipelines.study.image_io import pixel_hash, read_gray
from pipelines.study.manifest import Row
from pipelines.study.tables import format_table, read_table
from runtime.files import read_json, write_text

NETWORK, HUMAN = "network", "masks"  # sources of a mask
GOOD, DOUBTFUL = "good", "doubtful"  # qualities of one
MADE_BY_COMMAND = "cxr data lungs"


@dataclass(frozen=True)
class Box:
    """A box of pixels: columns left to right − 1 and rows top to bottom − 1."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, kw_only=True)
class LungRow:
    """The lungs of one image of the study.

    Attributes:
        file_name: images/LABEL/ID.png, as in the manifest.
        sha256: Of the image's pixels, as in the manifest.
        left, top, right, bottom: Box of both lungs in pixels of that image, right and bottom
            beyond it; all 0 where no lung was found.
        quality: good, or doubtful.
        doubts: Why it is doubtful.
        source: network, or masks for one that was brought.
        trained_on: yes, where the network that drew the mask was trained on this very image.
        mask_sha256: Of the mask's pixels.
    """

    file_name: str
    sha256: str
    left: int
    top: int
    right: int
    bottom: int
    quality: str
    doubts: str
    source: str
    trained_on: str
    mask_sha256: str

    @property
    def is_usable(self) -> bool:
        """Whether lungs are there that can be trusted: drawn by people, or not doubtful."""
        return self.box is not None and (self.quality == GOOD or self.source == HUMAN)

    @property
    def box(self) -> Box | None:
        """The box of both lungs, None where none was found."""
        box = Box(self.left, self.top, self.right, self.bottom)
        return box if self.right else None


FloatBox = tuple[float, float, float, float]  # left, top, right, bottom in pixels


class Lungs(NamedTuple):
    """The lungs of an image: mask bool (H, W) of its size, and box, None where none was found."""

    mask: np.ndarray
    box: Box | None


NETWORK_HASH = "network_sha256"  # in data/lungs.json
LUNG_COLUMNS = tuple(field.name for field in fields(LungRow))
_NUMBERS = ("left", "top", "right", "bottom")


def table_path(data: Path) -> Path:
    """Return where the table of a study's lungs is."""
    return data / "lungs.csv"


def mask_name(file_name: str) -> str:
    """Return the name of an image's mask within data/lungs."""
    return file_name.removeprefix("images/")


def write_lungs(path: Path, rows: Sequence[LungRow]) -> None:
    """Write the table of a study's lungs, whole or not at all."""
    write_text(path, format_table(LUNG_COLUMNS, (asdict(row) for row in rows)))


def read_lungs(data: Path, images: Sequence[Row]) -> dict[str, LungRow]:
    """Read where the lungs of every image of the study are, by file name.

    images: All rows of the manifest.

    Raises FileNotFoundError when they were not looked for, and ValueError when the table is
    damaged or the study's images are others by now.
    """
    path = table_path(data)
    if not path.exists():
        raise FileNotFoundError(
            f"{data.parent.resolve()} has no lungs yet; find them with: {MADE_BY_COMMAND}"
        )
    rows = {}
    for line_number, values in enumerate(read_table(path, LUNG_COLUMNS), start=2):
        row = _parse_lung_row(f"{path}, line {line_number}", values)
        rows[row.file_name] = row
    absent = [
        row
        for row in images
        if row.file_name not in rows or rows[row.file_name].sha256 != row.sha256
    ]
    if absent:
        raise ValueError(
            f"{path} is of other images than the study has ({len(absent)} are not in it, first "
            f"{absent[0].file_name}); make it anew with: {MADE_BY_COMMAND}"
        )
    return rows


def read_network_hash(data: Path) -> str:
    """Return the SHA-256 of the lung network whose masks the study has.

    Raises FileNotFoundError or ValueError that names data/lungs.json when it is absent or damaged.
    """
    path = data / "lungs.json"
    found: str = read_json(path).expect(**{NETWORK_HASH: str})[NETWORK_HASH]
    return found


def _parse_lung_row(where: str, values: Mapping[str, str]) -> LungRow:
    try:
        left, top, right, bottom = (int(values[name]) for name in _NUMBERS)
    except ValueError as error:
        raise ValueError(f"{where}: {error}; expected whole numbers for the box") from error
    return LungRow(
        file_name=values["file_name"],
        sha256=values["sha256"],
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        quality=values["quality"],
        doubts=values["doubts"],
        source=values["source"],
        trained_on=values["trained_on"],
        mask_sha256=values["mask_sha256"],
    )


def lungs_of(data: Path, row: Row, lung_rows: Mapping[str, LungRow]) -> Lungs:
    """Read mask and box of one image. lung_rows: as `read_lungs` returns them.

    Raises FileNotFoundError or ValueError that names the mask when it is absent, of another size,
    or not the one that the table is of.
    """
    path = data / "lungs" / mask_name(row.file_name)
    gray = read_gray(path)
    if gray.shape != (row.height, row.width):
        raise ValueError(
            f"{path} is {gray.shape[1]}×{gray.shape[0]} px, its image {row.width}×{row.height}; "
            f"make it anew with: {MADE_BY_COMMAND}"
        )
    lungs = lung_rows[row.file_name]
    if mask_hash(gray > 127) != lungs.mask_sha256:
        raise ValueError(
            f"{path} has changed since {table_path(data)} was written; bring a mask of your own "
            f"with: {MADE_BY_COMMAND} --masks DIR"
        )
    return Lungs(gray > 127, lungs.box)


def mask_hash(mask: np.ndarray) -> str:
    """Return the SHA-256 of a mask bool (H, W), its shape and pixels."""
    return pixel_hash(mask.astype(np.uint8) * 255)


def stretch(gray: np.ndarray, size: int, box: FloatBox | None = None) -> np.ndarray:
    """Return a uint8 image (H, W), stretched to (size, size): all of it, or what is in a box."""
    film = Image.fromarray(gray)
    return np.asarray(film.resize((size, size), Image.Resampling.BICUBIC, box=box))


def stretch_mask(mask: np.ndarray, size: int, box: FloatBox | None = None) -> np.ndarray:
    """Return the share of lung in each pixel of a bool (H, W), or of what of it is in a box.

    It is uint8 (size, size) in 0..255.
    """
    gray = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(gray.resize((size, size), Image.Resampling.BOX, box=box))
