"""What a network saw in an image, and next to it in colour where it saw that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipelines.figures.style import INK, MUTED
from pipelines.study.intended_use import INTENDED_USE
from runtime.files import atomic

PANEL_SIDE = 384  # pixels
PANEL_GAP = 8  # pixels
CAPTION_HEIGHT = 56  # pixels
HEAT_OPACITY = 0.55  # of the colour at the map's largest value


def draw_explanation(image: np.ndarray, heat: np.ndarray, caption: str, path: Path) -> None:
    """Draw an image, and next to it the same under a map of heat.

    image: uint8 (S, S). heat: float (S, S) in 0..1.
    """
    gray = Image.fromarray(image).resize((PANEL_SIDE, PANEL_SIDE), Image.Resampling.BICUBIC)
    seen = gray.convert("RGB")
    left = PANEL_SIDE + PANEL_GAP
    sheet = Image.new("RGB", (left + PANEL_SIDE, PANEL_SIDE + CAPTION_HEIGHT), "white")
    sheet.paste(seen, (0, 0))
    sheet.paste(_overlay_heat(seen, heat), (left, 0))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 15)
    draw.text((2, PANEL_SIDE + 8), caption, fill=INK, font=font)
    warning = "Research on methods only: no diagnosis."
    draw.text((2, PANEL_SIDE + 31), warning, fill=MUTED, font=font)
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
