"""Sheets of images side by side, under headings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from pipelines.figures.style import TILE
from runtime.files import atomic

Item = TypeVar("Item")


def draw_image_sheet(
    groups: Sequence[tuple[str, np.ndarray]], path: Path, columns: int = 8
) -> None:
    """Draw images side by side, each group under its heading.

    Whole pixels are repeated, so that no image is blurred. groups: (heading, uint8 (N, S, S)) pairs
    of one size S.
    """
    size = groups[0][1].shape[1]
    tile, gap = math.ceil(TILE / size) * size, TILE // 16
    font = ImageFont.truetype(findfont("DejaVu Sans:bold"), TILE // 5)
    heading = TILE // 3
    heights = [
        heading + math.ceil(len(images) / columns) * (tile + gap) + gap for _, images in groups
    ]
    sheet = Image.new("L", (columns * (tile + gap) - gap, sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for (text, images), height in zip(groups, heights, strict=True):
        middle = (0, top + heading / 2 - gap / 2)
        draw.text(middle, _shorten(text, font, sheet.width), fill=30, font=font, anchor="lm")
        for number, image in enumerate(images):
            row, column = divmod(number, columns)
            enlarged = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (column * (tile + gap), top + heading + row * (tile + gap)))
        top += height
    with atomic(path) as file:
        sheet.crop((0, 0, sheet.width, sheet.height - 2 * gap)).save(file, "PNG")


def spread_evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Take at most so many of the items, evenly spaced, so that nobody picked them."""
    chosen = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return [items[index] for index in chosen]


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Cut `text` with an ellipsis where it is wider than `width` pixels."""
    kept = text
    while kept and font.getlength(kept if kept == text else kept + "…") > width:
        kept = kept[:-1]
    return kept if kept == text else kept + "…"
