"""An image on a sheet is the image, its pixels repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.figures.image_sheet import draw_image_sheet
from pipelines.figures.style import TILE

SIZE = 32


def test_an_image_sheet_repeats_whole_pixels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE), np.uint8)
    groups = [("some, real", images), ("x" * 200, images[:1])]
    draw_image_sheet(groups, tmp_path / "sheet.png", columns=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    enlarged = images[1].repeat(TILE // SIZE, axis=0).repeat(TILE // SIZE, axis=1)
    rows = [
        row
        for row in range(len(sheet) - TILE)
        if (sheet[row : row + TILE, -TILE:] == enlarged).all()
    ]
    assert len(rows) == 1
