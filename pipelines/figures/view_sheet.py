"""A sheet of the same images in every view of them: whole, with their outlines, box, lungs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from pipelines.figures.image_sheet import spread_evenly
from pipelines.figures.lung_sheets import outline_colour, paint_outline
from pipelines.figures.style import INK, MUTED
from pipelines.study.manifest import Row
from pipelines.study.view_names import LUNG_BOX, LUNGS, WHOLE
from pipelines.study.views import read_lung_shares, read_view
from pipelines.study.workspace import Workspace
from runtime.files import atomic

VIEWED_IMAGES = 8  # of each label
VIEW_SIDE, GAP = 128, 8  # pixels of an image, and between two
LEFT, HEADING, TITLE = 84, 38, 48  # pixels beside the images, above a label's, and of the title
ROWS = {WHOLE: "whole", "outline": "outline", LUNG_BOX: "lung-box", LUNGS: "lungs"}


def draw_view_sheet(workspace: Workspace, path: Path) -> None:
    """Draw training images of each label, one of a patient, each in every view.

    They are evenly spaced through the list of those whose lungs can be trusted, so that nobody
    picked them. workspace: Of a study that has lungs.
    """
    training = [row for row in workspace.all_rows() if row.split == "train"]
    labels = sorted({row.label for row in training})
    blocks = [
        _label_block(workspace, [row for row in training if row.label == label]) for label in labels
    ]
    sheet = Image.new(
        "RGB", (max(b.width for b in blocks), TITLE + sum(b.height for b in blocks)), "white"
    )
    draw = ImageDraw.Draw(sheet)
    text = (
        f"Training images at {VIEW_SIDE} px, as each --view shows them; outline orange: drawn by a "
        "network, green: brought"
    )
    draw.text((GAP, TITLE / 2), text, fill=MUTED, font=_font(16), anchor="lm")
    top = TITLE
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    with atomic(path) as file:
        sheet.save(file, "PNG")


def _label_block(workspace: Workspace, rows: Sequence[Row]) -> Image.Image:
    """Draw a label's images, a row of them for each view; nothing but its heading if it has none.

    rows: Its training images.
    """
    usable = workspace.in_view(LUNGS).seen_in_view(rows)
    one_per_patient = {row.patient: row for row in usable}
    chosen = spread_evenly(list(one_per_patient.values()), VIEWED_IMAGES)
    height = HEADING + (len(ROWS) * (VIEW_SIDE + GAP) + 2 * GAP if chosen else 0)
    block = Image.new("RGB", (LEFT + VIEWED_IMAGES * (VIEW_SIDE + GAP), height), "white")
    draw = ImageDraw.Draw(block)
    heading = f"{rows[0].label}: {len(chosen)} of {len(usable)} images"
    if len(usable) < len(rows):
        heading += f"; left out: {len(rows) - len(usable)} whose lungs cannot be trusted"
    draw.text((GAP, HEADING / 2), heading, fill=INK, font=_font(20), anchor="lm")
    for number, name in enumerate(ROWS if chosen else ()):
        top = HEADING + number * (VIEW_SIDE + GAP)
        draw.text((GAP, top + VIEW_SIDE / 2), ROWS[name], fill=INK, font=_font(15), anchor="lm")
        for column, tile in enumerate(_tiles(workspace, chosen, name)):
            block.paste(Image.fromarray(tile), (LEFT + column * (VIEW_SIDE + GAP), top))
    return block


def _tiles(workspace: Workspace, rows: Sequence[Row], name: str) -> list[np.ndarray]:
    """Return one row of the sheet: squares uint8 (S, S), or (S, S, 3) with outlines."""
    if name != "outline":
        seen = workspace.in_view(name)
        return [read_view(seen, row, VIEW_SIDE) for row in rows]
    whole = workspace.in_view(WHOLE)
    shares = read_lung_shares(whole, rows, VIEW_SIDE)
    return [
        paint_outline(
            read_view(whole, row, VIEW_SIDE),
            share > 0.5,
            outline_colour(whole.lungs[row.file_name]),
        )
        for row, share in zip(rows, shares, strict=True)
    ]


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), size)
