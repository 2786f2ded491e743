"""What a score has to show: the most suspicious synthetic images beside their nearest reals, and where all images lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
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
from pipelines.metrics.memorisation import Memorisation, Neighbours
from pipelines.study.synthetic import Split
from runtime.files import atomic
from runtime.randomness import numpy_generator

PAIRS = 6  # synthetic images on the sheet, of each space
COLUMNS = ("synthetic", "training", "held-out")
POINTS = 400  # of a panel of the map


def nearest_pairs(
    sets: dict[str, Split], neighbours: dict[str, Neighbours], found: Memorisation, path: Path
) -> None:
    """The synthetic images nearest to a training image, each beside that and beside its nearest held-out image, with the distances.

    Two blocks side by side: nearest in pixels, and nearest in features. A distance below the threshold of a copy is called too near.
    """
    size = sets["synthetic"].images.shape[1]
    tile = math.ceil(TILE / size) * size
    gap, caption, heading = TILE // 16, TILE // 5, TILE // 2
    title, bold, small = (
        ImageFont.truetype(findfont(name), points)
        for name, points in (
            ("DejaVu Sans:bold", TILE // 8),
            ("DejaVu Sans:bold", TILE // 9),
            ("DejaVu Sans", TILE // 8),
        )
    )
    block, shown = 3 * tile + 2 * gap, min(PAIRS, len(sets["synthetic"].images))
    sheet = Image.new("L", (2 * block + 4 * gap, heading + shown * (tile + caption)), "white")
    draw = ImageDraw.Draw(sheet)
    for left, (space, threshold) in zip(
        (0, block + 4 * gap),
        (("pixels", found.pixels.threshold), ("features", found.features.threshold)),
    ):
        one = neighbours[space]
        draw.text(
            (left, heading * 0.27),
            f"Nearest in {space} (too near: below {threshold:.3g})",
            fill=30,
            font=title,
            anchor="lm",
        )
        for column, name in enumerate(COLUMNS):
            draw.text(
                (left + column * (tile + gap), heading * 0.75),
                name,
                fill=90,
                font=small,
                anchor="lm",
            )
        for row, place in enumerate(np.argsort(one.training.distance, kind="stable")[:shown]):
            top = heading + row * (tile + caption)
            for column, (kind, index, text) in enumerate(
                (
                    (
                        "synthetic",
                        place,
                        Path(sets["synthetic"].file_names[place]).stem.removeprefix("synthetic-"),
                    ),
                    (
                        "train",
                        one.training.index[place],
                        f"{one.training.distance[place]:.3g}{' too near' if one.training.distance[place] < threshold else ''}",
                    ),
                    ("held_out", one.held_out.index[place], f"{one.held_out.distance[place]:.3g}"),
                )
            ):
                enlarged = Image.fromarray(sets[kind].images[index]).resize(
                    (tile, tile), Image.Resampling.NEAREST
                )
                at = left + column * (tile + gap)
                sheet.paste(enlarged, (at, top))
                draw.text(
                    (at, top + tile + caption / 2),
                    text,
                    fill=30,
                    font=bold if text.endswith("near") else small,
                    anchor="lm",
                )
    notes = PngImagePlugin.PngInfo()
    notes.add_text(
        "Comment",
        "synthetic images beside real ones: not to be given away where the real ones are not",
    )
    with atomic(path) as file:
        sheet.save(file, "PNG", pnginfo=notes)


def feature_map(
    sets: dict[str, Split],
    features: dict[str, np.ndarray],
    classes: Sequence[str],
    extractor: str,
    path: Path,
) -> None:
    """Training, held-out and synthetic images of each class on the first two principal components of the reals' features.

    features (N, d) of each set. A row of panels per class, all of one scale; behind each the training images of all classes.
    """
    reals = np.concatenate([features["train"], features["held_out"]]).astype(np.float64)
    mean = reals.mean(axis=0)
    _, scales, directions = np.linalg.svd(reals - mean, full_matrices=False)
    explained = 100 * np.square(scales[:2]) / max(np.square(scales).sum(), 1e-12)
    places = {name: (rows - mean) @ directions[:2].T for name, rows in features.items()}  # (N, 2)
    every = np.concatenate(list(places.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    kinds = (
        ("train", "training", REAL, "o"),
        ("held_out", "held-out", VALIDATION, "s"),
        ("synthetic", "synthetic", REAL_GAN, "^"),
    )
    figure = new_figure(WIDTH, 0.7 + 1.55 * len(classes))
    panels = figure.subplots(len(classes), 3, sharex=True, sharey=True, squeeze=False)
    for row, label in enumerate(classes):
        for axes, (name, title, colour, marker) in zip(panels[row], kinds):
            mine = places[name][sets[name].labels == row]
            chosen = np.sort(numpy_generator(0, "map", name, label).permutation(len(mine))[:POINTS])
            axes.plot(*places["train"].T, ".", color="#dfe3e7", markersize=3, markeredgewidth=0)
            axes.plot(
                *mine[chosen].T,
                marker,
                linestyle="",
                color=colour,
                markersize=2.4,
                alpha=0.65,
                markeredgewidth=0,
            )
            style_axes(axes, title.capitalize() if row == 0 else "")
            axes.annotate(
                f"n = {len(mine)}",
                (0.97, 0.95),
                xycoords="axes fraction",
                ha="right",
                va="top",
                fontsize=7.5,
                color=MUTED,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            )
            axes.grid(False)
            axes.tick_params(length=0, labelleft=False, labelbottom=False)
        panels[row][0].set_ylabel(plain_text(label), fontsize=9.5, color=INK)
    margin = 0.05 * (high - low) + 1e-6
    panels[0][0].set_xlim(low[0] - margin[0], high[0] + margin[0])
    panels[0][0].set_ylim(low[1] - margin[1], high[1] + margin[1])
    figure.supxlabel(
        f"first two principal components\nof the reals' {plain_text(extractor)} features ({explained[0]:.0f} % and {explained[1]:.0f} %)",
        fontsize=8.3,
        color=MUTED,
    )
    write_figure(figure, path)
