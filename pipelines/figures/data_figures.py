"""What a study's images look like: a sheet of them by label and split, and a page of figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D

from pipelines.data.checking import FACTS, facts_of
from pipelines.figures.style import (
    CLASS_COLOURS,
    MUTED,
    WIDTH,
    image_sheet,
    new_figure,
    plain_text,
    style_axes,
    title_legend,
    write_figure,
)
from pipelines.study.image_cache import load_images
from pipelines.study.manifest import EXTERNAL, SPLITS
from pipelines.study.workspace import Workspace
from runtime.randomness import numpy_generator

SHOWN = 16  # images of each label and split on the sheet
SHEET_SIZE = 128  # pixels of each
POINTS = 3000  # of the scatter


def show_study(workspace: Workspace) -> tuple[Path, Path]:
    """Write data/contact_sheet.png and data/figures.png; returns their paths."""
    rows = workspace.rows()
    labels = sorted({row.label for row in rows})
    groups = []
    for split in (*SPLITS, EXTERNAL):
        for label in labels:
            mine = [row for row in rows if (row.split, row.label) == (split, label)]
            if mine:
                chosen = sorted(
                    numpy_generator(0, "sheet", split, label).permutation(len(mine))[:SHOWN]
                )
                groups.append(
                    (
                        f"{split}: {label}, {len(chosen)} of {len(mine)}",
                        load_images(workspace, [mine[index] for index in chosen], SHEET_SIZE),
                    )
                )
    sheet, page = workspace.data / "contact_sheet.png", workspace.data / "figures.png"
    image_sheet(groups, sheet)

    facts = facts_of(workspace, rows)
    pairs = sorted({(row.label, row.source) for row in rows})
    of_pair = {pair: np.array([(row.label, row.source) == pair for row in rows]) for pair in pairs}
    colours = {
        label: CLASS_COLOURS[index % len(CLASS_COLOURS)] for index, label in enumerate(labels)
    }
    dashes = dict(
        zip(
            sorted({row.source for row in rows}),
            ["-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))] * 8,
        )
    )
    figure = new_figure(WIDTH, 13.2)
    sizes, *histograms, patients = figure.subplots(5, 1, height_ratios=(3, 2.4, 2.4, 2.4, 2.4))
    for (label, source), mine in of_pair.items():
        some = np.flatnonzero(mine)[:: max(1, int(mine.sum() * len(pairs) / POINTS))]
        sizes.plot(
            [rows[index].width for index in some],
            [rows[index].height for index in some],
            ".",
            color=colours[label],
            markersize=3.5,
            alpha=0.5,
            markeredgewidth=0,
        )
    style_axes(sizes, "Size", xlabel="width in pixels, as kept", ylabel="height")
    title_legend(
        sizes,
        [
            Line2D(
                [],
                [],
                color=colours[label],
                marker="o",
                linestyle="",
                markersize=5,
                label=plain_text(label),
            )
            for label in labels
        ],
    )
    for axes, name, title, unit in zip(
        histograms,
        ("brightness", "contrast", "dark border"),
        ("Brightness", "Contrast", "Dark border"),
        (
            "mean gray level",
            "standard deviation of gray levels",
            "share of the frame that is black",
        ),
    ):
        column = facts[:, FACTS.index(name)]
        edges = np.linspace(column.min(), max(column.max(), column.min() + 1e-6), 31)
        for (label, source), mine in of_pair.items():
            share = np.histogram(column[mine], edges)[0] / mine.sum()
            axes.stairs(
                100 * share, edges, color=colours[label], linewidth=1.6, linestyle=dashes[source]
            )
        style_axes(axes, title, xlabel=unit, ylabel="% of images")
    if len(dashes) > 1:
        handles = [
            Line2D(
                [],
                [],
                color=MUTED,
                linewidth=1.6,
                linestyle=style,
                label=plain_text(source if len(source) < 30 else source[:29] + "…"),
            )
            for source, style in dashes.items()
        ]
        histograms[-1].legend(
            handles=handles[:8],
            loc="upper right",
            frameon=False,
            fontsize=7.5,
            title="source",
            title_fontsize=8,
        )
    width = 0.8 / len(labels)
    for place, label in enumerate(labels):
        counts = Counter(
            min(count, 10)
            for count in Counter(row.patient for row in rows if row.label == label).values()
        )
        patients.bar(
            np.arange(1, 11) + (place - (len(labels) - 1) / 2) * width,
            [counts[number] for number in range(1, 11)],
            width,
            color=colours[label],
        )
    patients.set_xticks(range(1, 11), [*map(str, range(1, 10)), "10+"])
    patients.set_yscale("symlog", linthresh=10)
    patients.set_yticks(
        [0, 5, 10, 100, 1000][: 3 + int(np.log10(max(len(rows), 10)))],
        [str(tick) for tick in [0, 5, 10, 100, 1000][: 3 + int(np.log10(max(len(rows), 10)))]],
    )
    style_axes(patients, "Images of a patient", xlabel="images", ylabel="patients")
    write_figure(figure, page)
    return sheet, page
