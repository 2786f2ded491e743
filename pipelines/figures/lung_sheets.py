"""Sheets of X-rays with the outlines of their lungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageColor, ImageDraw, ImageFont
from scipy import ndimage

from pipelines.study.image_io import read_gray
from pipelines.study.lungs import HUMAN, LungRow, lungs_of
from pipelines.study.manifest import Row
from pipelines.study.workspace import Workspace
from runtime.files import atomic
from runtime.randomness import numpy_generator

TRUE_COLOUR, DRAWN_COLOUR = "#27d3c3", "#ff9a1f"  # drawn by people, by the network
SIDE = 192  # pixels of a tile
CAPTION = 30  # pixels under a tile
CAPTION_LETTERS = 28  # in a line of it
TILES_PER_ROW = 8
SHEET_DOUBTFUL, SHEET_GOOD = 64, 64  # images on the sheet of a study, at most


@dataclass(frozen=True)
class Outlined:
    """An image of a sheet: uint8 (H, W), masks bool (H, W) by the colour of their outline."""

    gray: np.ndarray
    outlines: Sequence[tuple[np.ndarray, str]]
    caption: str


def draw_outline_sheet(images: Sequence[Outlined], path: Path, title: str) -> None:
    """Draw images with outlines, each over its caption, under one title."""
    large, small = (ImageFont.truetype(findfont("DejaVu Sans"), size) for size in (18, 11))
    rows = -(-len(images) // TILES_PER_ROW)
    heading, gap = 40, 8
    sheet = Image.new(
        "RGB",
        (TILES_PER_ROW * (SIDE + gap) + gap, heading + rows * (SIDE + CAPTION + gap)),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((gap, heading / 2), title, fill="#22272e", font=large, anchor="lm")
    for number, image in enumerate(images):
        row, column = divmod(number, TILES_PER_ROW)
        left, top = gap + column * (SIDE + gap), heading + row * (SIDE + CAPTION + gap)
        tile = _outline(image)
        sheet.paste(tile, (left + (SIDE - tile.width) // 2, top + (SIDE - tile.height) // 2))
        for line, text in enumerate(wrap(image.caption, CAPTION_LETTERS)[:2]):
            draw.text((left, top + SIDE + 2 + 13 * line), text, fill="#22272e", font=small)
    with atomic(path) as file:
        sheet.save(file, "PNG")


def draw_study_lungs(workspace: Workspace) -> Path:
    """Write data/lungs.png: the doubtful images of the study, then some of the others.

    Returns its path.
    """
    path = workspace.data / "lungs.png"
    lung_rows = workspace.lungs
    rows = workspace.rows()
    doubtful = [row for row in rows if lung_rows[row.file_name].doubts]
    good = [row for row in rows if not lung_rows[row.file_name].doubts]
    random = numpy_generator(0, "lung sheet")
    chosen = sorted(random.permutation(len(good))[:SHEET_GOOD])
    shown = [*doubtful[:SHEET_DOUBTFUL], *(good[index] for index in chosen)]
    images = [_study_image(workspace, row, lung_rows) for row in shown]
    title = (
        f"{len(doubtful)} of {len(rows)} images are doubtful"
        f"{f', {SHEET_DOUBTFUL} of them' if len(doubtful) > SHEET_DOUBTFUL else ''} shown first, "
        "with what is doubtful; orange: drawn by the network, green: brought"
    )
    draw_outline_sheet(images, path, title)
    return path


def _study_image(workspace: Workspace, row: Row, lung_rows: Mapping[str, LungRow]) -> Outlined:
    found = lung_rows[row.file_name]
    mask = lungs_of(workspace.data, row, lung_rows).mask
    name = Path(row.file_name).stem
    return Outlined(
        read_gray(workspace.data / row.file_name),
        [(mask, outline_colour(found))],
        f"{name}: {found.doubts}" if found.doubts else f"{row.label}, {name}",
    )


def outline_colour(found: LungRow) -> str:
    """Return the colour that says whose mask it is."""
    return TRUE_COLOUR if found.source == HUMAN else DRAWN_COLOUR


def paint_outline(picture: np.ndarray, mask: np.ndarray, colour: str) -> np.ndarray:
    """Return a gray (H, W) or coloured (H, W, 3) uint8 picture in colour, with a mask's outline."""
    coloured = np.asarray(Image.fromarray(picture).convert("RGB")).copy()
    coloured[mask & ~ndimage.binary_erosion(mask)] = ImageColor.getrgb(colour)
    return coloured


def _outline(image: Outlined) -> Image.Image:
    """Return the image as a tile of RGB, aspect kept, with its outlines."""
    height, width = image.gray.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    tile = np.asarray(Image.fromarray(image.gray).resize(size))
    for mask, colour in image.outlines:
        enlarged = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size)) > 127
        tile = paint_outline(tile, enlarged, colour)
    return Image.fromarray(tile)
