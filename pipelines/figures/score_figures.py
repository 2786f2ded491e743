"""What a score has to show: suspicious synthetic images, and where all images lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipelines.figures.style import (
    INK,
    MUTED,
    REAL,
    REAL_GAN,
    TILE,
    VALIDATION,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    write_figure,
)
from pipelines.metrics.nearness import Neighbours
from pipelines.study.split import Split
from runtime.estimate import significant
from runtime.files import atomic
from runtime.randomness import numpy_generator

PAIRS = 6  # synthetic images on the sheet, of each space
PAIR_COLUMNS = ("synthetic", "training", "held-out")
PAIR_GAP, PAIR_CAPTION_HEIGHT, PAIR_HEADING_HEIGHT = TILE // 16, TILE // 5, TILE // 2  # pixels
PAIR_BLOCK_GAP = 4 * PAIR_GAP
DARK_TEXT, LIGHT_TEXT = 30, 90  # gray levels
SHEET_COMMENT = (
    "synthetic images beside real ones: not to be given away where the real ones are not"
)
MAP_POINTS = 400  # of a panel of the map
MAP_SHADOW = "#dfe3e7"  # of the training images behind every panel


@dataclass(frozen=True)
class MapColumn:
    """A column of panels of the feature map: which set, and how its points look."""

    name: str
    title: str
    colour: str
    marker: str


MAP_COLUMNS = (
    MapColumn("train", "training", REAL, "o"),
    MapColumn("held_out", "held-out", VALIDATION, "s"),
    MapColumn("synthetic", "synthetic", REAL_GAN, "^"),
)


@dataclass(frozen=True)
class _PairSheet:
    """A sheet of images being drawn: tiles with captions under them."""

    image: Image.Image
    tile: int  # pixels of an enlarged image

    @cached_property
    def draw(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    def write(
        self, position: tuple[float, float], text: str, *, bold: bool, size: int, fill: int
    ) -> None:
        """Write text whose left end is vertically centred at a position."""
        face = "DejaVu Sans:bold" if bold else "DejaVu Sans"
        font = ImageFont.truetype(findfont(face), size)
        self.draw.text(position, text, fill=fill, font=font, anchor="lm")

    def place(self, left: int, top: int, pixels: np.ndarray, caption: str) -> None:
        """Paste an image, enlarged, with a caption; one of a copy is bold."""
        enlarged = Image.fromarray(pixels).resize((self.tile, self.tile), Image.Resampling.NEAREST)
        self.image.paste(enlarged, (left, top))
        is_copy = caption.endswith("near")
        self.write(
            (left, top + self.tile + PAIR_CAPTION_HEIGHT / 2),
            caption,
            bold=is_copy,
            size=TILE // 9 if is_copy else TILE // 8,
            fill=DARK_TEXT,
        )


def draw_nearest_pairs(
    sets: Mapping[str, Split],
    neighbours: Mapping[str, Neighbours],
    thresholds: Mapping[str, float],
    path: Path,
) -> None:
    """Draw the synthetic images nearest to a training image.

    Each is beside that and beside its nearest held-out image, with the distances. Two blocks side
    by side: nearest in pixels, and nearest in features. A distance below the space's threshold of a
    copy is called too near.
    """
    size = sets["synthetic"].images.shape[1]
    tile = math.ceil(TILE / size) * size
    block = 3 * tile + 2 * PAIR_GAP
    rows = min(PAIRS, len(sets["synthetic"].images))
    shape = 2 * block + PAIR_BLOCK_GAP, PAIR_HEADING_HEIGHT + rows * (tile + PAIR_CAPTION_HEIGHT)
    sheet = _PairSheet(Image.new("L", shape, "white"), tile)
    for left, space in ((0, "pixels"), (block + PAIR_BLOCK_GAP, "features")):
        _draw_block(sheet, left, space, sets, neighbours[space], thresholds[space])
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", SHEET_COMMENT)
    with atomic(path) as file:
        sheet.image.save(file, "PNG", pnginfo=notes)


def _draw_block(
    sheet: _PairSheet,
    left: int,
    space: str,
    sets: Mapping[str, Split],
    neighbours: Neighbours,
    threshold: float,
) -> None:
    """Draw the pairs of one space under their heading, the nearest first."""
    heading = f"Nearest in {space} (too near: below {significant(threshold)})"
    sheet.write(
        (left, PAIR_HEADING_HEIGHT * 0.27), heading, bold=True, size=TILE // 8, fill=DARK_TEXT
    )
    lefts = [left + column * (sheet.tile + PAIR_GAP) for column in range(len(PAIR_COLUMNS))]
    for column_left, name in zip(lefts, PAIR_COLUMNS, strict=True):
        sheet.write(
            (column_left, PAIR_HEADING_HEIGHT * 0.75),
            name,
            bold=False,
            size=TILE // 8,
            fill=LIGHT_TEXT,
        )
    training, held_out = neighbours.training, neighbours.held_out
    for row, place in enumerate(np.argsort(training.distance, kind="stable")[:PAIRS]):
        top = PAIR_HEADING_HEIGHT + row * (sheet.tile + PAIR_CAPTION_HEIGHT)
        name = Path(sets["synthetic"].file_names[place]).stem.removeprefix("synthetic-")
        too_near = " too near" if training.distance[place] < threshold else ""
        tiles = (
            (sets["synthetic"].images[place], name),
            (
                sets["train"].images[training.index[place]],
                f"{significant(training.distance[place])}{too_near}",
            ),
            (sets["held_out"].images[held_out.index[place]], significant(held_out.distance[place])),
        )
        for column_left, (pixels, caption) in zip(lefts, tiles, strict=True):
            sheet.place(column_left, top, pixels, caption)


def draw_feature_map(
    sets: Mapping[str, Split],
    features: Mapping[str, np.ndarray],
    classes: Sequence[str],
    extractor: str,
    path: Path,
) -> None:
    """Draw where training, held-out and synthetic images of each class lie.

    On the first two principal components of the reals' features; a row of panels per class, all of
    one scale; behind each the training images of all classes.

    features: (N, d) of each set.
    """
    positions, explained = _project(features)
    every = np.concatenate(list(positions.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    figure = new_figure(WIDTH, 0.7 + 1.55 * len(classes))
    panels = figure.subplots(len(classes), 3, sharex=True, sharey=True, squeeze=False)
    for row, label in enumerate(classes):
        for axes, column in zip(panels[row], MAP_COLUMNS, strict=True):
            points = positions[column.name][sets[column.name].labels == row]
            chosen = numpy_generator(0, "map", column.name, label).permutation(len(points))
            axes.plot(*positions["train"].T, ".", color=MAP_SHADOW, markersize=3, markeredgewidth=0)
            _draw_points(axes, points[np.sort(chosen[:MAP_POINTS])], column, len(points))
            style_axes(axes, column.title.capitalize() if row == 0 else "")
            axes.grid(False)
            axes.tick_params(length=0, labelleft=False, labelbottom=False)
        panels[row][0].set_ylabel(plain_text(label), fontsize=9.5, color=INK)
    margin = 0.05 * (high - low) + 1e-6
    panels[0][0].set_xlim(low[0] - margin[0], high[0] + margin[0])
    panels[0][0].set_ylim(low[1] - margin[1], high[1] + margin[1])
    figure.supxlabel(
        f"first two principal components\nof the reals' {plain_text(extractor)} features "
        f"({explained[0]:.0f} % and {explained[1]:.0f} %)",
        fontsize=8.3,
        color=MUTED,
    )
    write_figure(figure, path)


def _project(features: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Bring features onto two principal components of the reals.

    Returns positions (N, 2) of each set, and what the components explain of the variance in %.
    """
    reals = np.concatenate([features["train"], features["held_out"]]).astype(np.float64)
    mean = reals.mean(axis=0)
    _, scales, directions = np.linalg.svd(reals - mean, full_matrices=False)
    explained = 100 * np.square(scales[:2]) / max(np.square(scales).sum(), 1e-12)
    return {name: (rows - mean) @ directions[:2].T for name, rows in features.items()}, explained


def _draw_points(axes: Axes, points: np.ndarray, column: MapColumn, total: int) -> None:
    """Draw points (N, 2), and how many images there are."""
    axes.plot(
        *points.T,
        column.marker,
        linestyle="",
        color=column.colour,
        markersize=2.4,
        alpha=0.65,
        markeredgewidth=0,
    )
    axes.annotate(
        f"n = {total}",
        (0.97, 0.95),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=7.5,
        color=MUTED,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
