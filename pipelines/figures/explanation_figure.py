"""What a network saw in an image, and next to it in colour where it saw that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipelines.figures.lung_sheets import TRUE_COLOUR, paint_outline
from pipelines.figures.style import INK, MUTED
from pipelines.study.intended_use import INTENDED_USE
from runtime.files import atomic

PANEL_SIDE = 384  # pixels
PANEL_GAP = 8  # pixels
LINE_HEIGHT = 23  # pixels of a line below
HEAT_OPACITY = 0.55  # of the colour at the map's largest value


def draw_explanation(
    image: np.ndarray,
    heat: np.ndarray,
    lungs: np.ndarray | None,
    caption: Sequence[str],
    path: Path,
) -> None:
    """Draw an image, and next to it the same under a map of heat.

    image: uint8 (S, S). heat: float (S, S) in 0..1. lungs: the share of each pixel that is lung,
    float (S, S), to be outlined over the heat. caption: lines below.
    """
    gray = Image.fromarray(image).resize((PANEL_SIDE, PANEL_SIDE), Image.Resampling.BICUBIC)
    seen = gray.convert("RGB")
    overlaid = _overlay_heat(seen, heat)
    if lungs is not None:
        overlaid = _outline(overlaid, lungs)
    warning = "Research on methods only: no diagnosis."
    lines = [*((text, INK) for text in caption), (warning, MUTED)]
    left, height = PANEL_SIDE + PANEL_GAP, LINE_HEIGHT * len(lines) + 10
    sheet = Image.new("RGB", (left + PANEL_SIDE, PANEL_SIDE + height), "white")
    sheet.paste(seen, (0, 0))
    sheet.paste(overlaid, (left, 0))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 15)
    for number, (text, colour) in enumerate(lines):
        draw.text((2, PANEL_SIDE + 8 + LINE_HEIGHT * number), text, fill=colour, font=font)
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("Comment", INTENDED_USE)
    with atomic(path) as file:
        sheet.save(file, "PNG", pnginfo=notes)


def _overlay_heat(panel: Image.Image, heat: np.ndarray) -> Image.Image:
    """Lay the colours of a map (S, S) over a panel, the more opaque the hotter."""
    enlarged = Image.fromarray(heat).resize(panel.size, Image.Resampling.BICUBIC)
    raised = np.asarray(enlarged).clip(0, 1)[..., None]  # (side, side, 1)
    colours = colormaps["inferno"](raised[..., 0])[..., :3]  # (side, side, 3)
    mixed = np.asarray(panel) * (1 - HEAT_OPACITY * raised) + 255 * colours * HEAT_OPACITY * raised
    return Image.fromarray(mixed.round().astype(np.uint8))


def _outline(panel: Image.Image, lungs: np.ndarray) -> Image.Image:
    """Draw the outline of lungs (S, S) over a panel."""
    enlarged = np.asarray(Image.fromarray(lungs).resize(panel.size, Image.Resampling.BICUBIC))
    return Image.fromarray(paint_outline(np.asarray(panel), enlarged > 0.5, TRUE_COLOUR))
