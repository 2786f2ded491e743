"""What a study's images look like: a sheet of them by label and split, and a page of figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipelines.data.image_facts import FACTS, measure_facts
from pipelines.figures.image_sheet import draw_image_sheet
from pipelines.figures.style import (
    CLASS_COLOURS,
    MUTED,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    title_legend,
    write_figure,
)
from pipelines.figures.view_sheet import draw_view_sheet
from pipelines.study.image_cache import load_images
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.workspace import Workspace
from runtime.randomness import numpy_generator

SHEET_IMAGES = 16  # of each label and split
SHEET_SIZE = 128  # pixels of each
SCATTER_POINTS = 3000
HISTOGRAM_BINS = 30
MAX_LEGEND_SOURCES = 8
MAX_SOURCE_LENGTH = 30  # letters of a source's name in a legend
MOST_PER_PATIENT = 10  # images of a patient, from which they are one bar
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
HISTOGRAMS = (  # fact, title, unit
    ("brightness", "Brightness", "mean gray level"),
    ("contrast", "Contrast", "standard deviation of gray levels"),
    ("dark border", "Dark border", "share of the frame that is black"),
)


@dataclass(frozen=True)
class ImageKind:
    """The images of one label from one source, and how they are drawn."""

    is_member: np.ndarray  # bool (N,)
    colour: str
    dashes: Any


class StudyPictures(NamedTuple):
    """Where the pictures of a study are.

    views: None where the study's lungs are not known. no_views: Why, else empty.
    """

    sheet: Path
    figures: Path
    views: Path | None
    no_views: str


def show_study(workspace: Workspace) -> StudyPictures:
    """Write data/contact_sheet.png, data/figures.png and, where lungs are known, data/views.png."""
    sheet, figures, views = (
        workspace.data / name for name in ("contact_sheet.png", "figures.png", "views.png")
    )
    draw_contact_sheet(workspace, sheet)
    draw_data_figures(workspace.rows(), measure_facts(workspace, workspace.rows()), figures)
    try:
        draw_view_sheet(workspace, views)
    except (FileNotFoundError, ValueError) as error:  # no lungs yet, or those of other images
        views.unlink(missing_ok=True)
        return StudyPictures(sheet, figures, None, str(error))
    return StudyPictures(sheet, figures, views, "")


def draw_contact_sheet(workspace: Workspace, path: Path) -> None:
    """Draw some images of each split and label; which ones never changes."""
    rows = workspace.rows()
    labels = sorted({row.label for row in rows})
    groups = []
    for split in (*SPLITS, EXTERNAL):
        for label in labels:
            members = [row for row in rows if (row.split, row.label) == (split, label)]
            if not members:
                continue
            order = numpy_generator(0, "sheet", split, label).permutation(len(members))
            chosen = [members[index] for index in sorted(order[:SHEET_IMAGES])]
            heading = f"{split}: {label}, {len(chosen)} of {len(members)}"
            groups.append((heading, load_images(workspace, chosen, SHEET_SIZE)))
    draw_image_sheet(groups, path)


def draw_data_figures(rows: Sequence[Row], facts: np.ndarray, path: Path) -> None:
    """Draw sizes, brightness, contrast and borders by label and source, and images per patient.

    facts: FACTS of each row, float (N, 5).
    """
    labels = sorted({row.label for row in rows})
    colours = {
        label: CLASS_COLOURS[index % len(CLASS_COLOURS)] for index, label in enumerate(labels)
    }
    sources = sorted({row.source for row in rows})
    dashes = {source: DASHES[index % len(DASHES)] for index, source in enumerate(sources)}
    kinds = [
        ImageKind(
            np.array([(row.label, row.source) == (label, source) for row in rows]),
            colours[label],
            dashes[source],
        )
        for label, source in sorted({(row.label, row.source) for row in rows})
    ]
    figure = new_figure(WIDTH, 13.2)
    sizes, *histograms, patients = figure.subplots(5, 1, height_ratios=(3, 2.4, 2.4, 2.4, 2.4))
    _draw_sizes(sizes, rows, kinds, colours)
    for axes, (fact, title, unit) in zip(histograms, HISTOGRAMS, strict=True):
        _draw_histogram(axes, facts[:, FACTS.index(fact)], kinds)
        style_axes(axes, title, xlabel=unit, ylabel="% of images")
    if len(sources) > 1:
        _add_source_legend(histograms[-1], dashes)
    _draw_patients(patients, rows, colours)
    write_figure(figure, path)


def _draw_sizes(
    axes: Axes, rows: Sequence[Row], kinds: Sequence[ImageKind], colours: Mapping[str, str]
) -> None:
    """Draw width against height, of so many images as can be told apart."""
    for kind in kinds:
        stride = max(1, int(kind.is_member.sum() * len(kinds) / SCATTER_POINTS))
        chosen = np.flatnonzero(kind.is_member)[::stride]
        axes.plot(
            [rows[index].width for index in chosen],
            [rows[index].height for index in chosen],
            ".",
            color=kind.colour,
            markersize=3.5,
            alpha=0.5,
            markeredgewidth=0,
        )
    style_axes(axes, "Size", xlabel="width in pixels, as kept", ylabel="height")
    handles = [
        Line2D(
            [],
            [],
            color=colour,
            marker="o",
            linestyle="",
            markersize=5,
            label=plain_text(label),
        )
        for label, colour in colours.items()
    ]
    title_legend(axes, handles)


def _draw_histogram(axes: Axes, values: np.ndarray, kinds: Sequence[ImageKind]) -> None:
    """Draw how one fact (N,) is distributed in each kind of images."""
    highest = max(values.max(), values.min() + 1e-6)
    edges = np.linspace(values.min(), highest, HISTOGRAM_BINS + 1)
    for kind in kinds:
        shares = np.histogram(values[kind.is_member], edges)[0] / kind.is_member.sum()
        axes.stairs(100 * shares, edges, color=kind.colour, linewidth=1.6, linestyle=kind.dashes)


def _add_source_legend(axes: Axes, dashes: Mapping[str, Any]) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=MUTED,
            linewidth=1.6,
            linestyle=style,
            label=plain_text(_shorten(source)),
        )
        for source, style in list(dashes.items())[:MAX_LEGEND_SOURCES]
    ]
    axes.legend(
        handles=handles,
        loc="upper right",
        frameon=False,
        fontsize=7.5,
        title="source",
        title_fontsize=8,
    )


def _shorten(name: str) -> str:
    return name if len(name) < MAX_SOURCE_LENGTH else name[: MAX_SOURCE_LENGTH - 1] + "…"


def _draw_patients(axes: Axes, rows: Sequence[Row], colours: Mapping[str, str]) -> None:
    """Draw how many patients have how many images, by label."""
    width = 0.8 / len(colours)
    numbers = range(1, MOST_PER_PATIENT + 1)
    for index, (label, colour) in enumerate(colours.items()):
        images = Counter(row.patient for row in rows if row.label == label)
        patients = Counter(min(count, MOST_PER_PATIENT) for count in images.values())
        shift = (index - (len(colours) - 1) / 2) * width
        axes.bar(
            np.array(numbers) + shift, [patients[number] for number in numbers], width, color=colour
        )
    axes.set_xticks(numbers, [*map(str, numbers[:-1]), f"{MOST_PER_PATIENT}+"])
    axes.set_yscale("symlog", linthresh=10)
    ticks = [0, 5, 10, 100, 1000][: 3 + int(np.log10(max(len(rows), 10)))]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    style_axes(axes, "Images of a patient", xlabel="images", ylabel="patients")
