"""The shortcut audit in one picture: what was taken away, and how well the classes are still told apart."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from pipelines.figures.style import (
    INK,
    MUTED,
    REAL,
    REAL_GAN,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    write_figure,
)

ROW = 0.62  # inches
TILE, GAP = 128, 6  # pixels at least of a thumbnail, and between two


def audit_figure(audit: dict[str, Any], examples: Sequence[np.ndarray], path: Path) -> None:
    """ROC AUC with its interval per alteration, beside the same test images altered so.

    audit: what audit.json says. examples: per alteration uint8 (K, S, S), an image each of K classes.
    """
    lines = audit["alterations"]
    figure = new_figure(WIDTH, 1.6 + ROW * len(lines))
    shown, plot = figure.subplots(1, 2, sharey=True, width_ratios=(1.02, 1))
    strips = [_strip(images) for images in examples]
    columns = len(examples[0])
    shown.imshow(
        np.concatenate(strips),
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(0, columns, len(lines) - 0.5, -0.5),
        interpolation="nearest",
    )
    shown.set_anchor("E")
    shown.set_xticks([])
    shown.set_yticks(
        range(len(lines)), [textwrap.fill(plain_text(line["title"]), 14) for line in lines]
    )
    shown.tick_params(axis="y", length=0, labelsize=8.5, labelcolor=INK)
    shown.spines[:].set_visible(False)
    others = next(name for name in audit["classes"] if name != audit["positive"])
    shown.set_title(f"{_short(audit['positive'])}   {_short(others)}", fontsize=8.3, color=MUTED)

    plot.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    if audit["close_from"] is not None:
        plot.axvspan(audit["close_from"], 1.05, color=REAL_GAN, alpha=0.1, linewidth=0, zorder=0)
    for row, line in enumerate(lines):
        anew = line["retrained"] or (line["as_it_is"] if row == 0 else None)
        if anew:
            _measured(plot, row - 0.12, anew["roc_auc"], REAL, filled=True)
        if row or line["retrained"]:
            _measured(plot, row + 0.22, line["as_it_is"]["roc_auc"], MUTED, filled=False)
    lowest = min(
        line[kind]["roc_auc"]["interval"][0]
        for line in lines
        for kind in ("as_it_is", "retrained")
        if line[kind]
    )
    plot.set_xlim(min(0.44, lowest - 0.03), 1.02)
    plot.set_ylim(len(lines) - 0.5, -0.5)
    plot.xaxis.set_major_locator(MultipleLocator(0.1 if lowest > 0.3 else 0.2))
    style_axes(plot, "", xlabel="ROC AUC")
    plot.grid(axis="y", visible=False)
    plot.tick_params(axis="y", length=0, labelleft=False)
    plot.spines["left"].set_visible(False)
    handles = [
        Line2D(
            [],
            [],
            marker="D",
            color=REAL,
            linewidth=1.8,
            markersize=4.5,
            label="trained and tested on such images",
        ),
        Line2D(
            [],
            [],
            marker="o",
            color=MUTED,
            linewidth=1.2,
            markersize=4.5,
            markerfacecolor="white",
            label="trained on whole images, shown such",
        ),
        Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="chance"),
        Line2D([], [], color=REAL_GAN, alpha=0.2, linewidth=7, label="close to whole images"),
    ]
    title = {
        "title": _title(audit),
        "title_fontproperties": {"size": 10, "weight": "bold"},
        "alignment": "left",
    }
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=1,
        frameon=False,
        fontsize=8.3,
        labelcolor=INK,
        **title,
    )
    write_figure(figure, path)


def _title(audit: dict[str, Any]) -> str:
    test = audit["test"]
    return textwrap.fill(
        f"Told apart without the lungs? {audit['config']['arch']}, {test['images']} test images of {test['patients']} patients",
        52,
    )


def _short(name: str) -> str:
    return plain_text(name if len(name) <= 9 else name[:8] + "…")


def _strip(images: np.ndarray) -> np.ndarray:
    """Images (K, S, S) side by side as one uint8 array, whole pixels repeated, a white gap around each."""
    times = -(-TILE // images.shape[1])
    enlarged = images.repeat(times, axis=1).repeat(times, axis=2)
    return np.concatenate([np.pad(image, GAP, constant_values=255) for image in enlarged], axis=1)


def _measured(
    axes: Axes, row: float, measure: dict[str, Any], colour: str, *, filled: bool
) -> None:
    """A value on the line of its interval, with its figure where it is the one to read."""
    low, high = measure["interval"]
    axes.errorbar(
        measure["value"],
        row,
        xerr=[[max(measure["value"] - low, 0)], [max(high - measure["value"], 0)]],
        color=colour,
        linewidth=1.8 if filled else 1.2,
        capsize=2.5,
        marker="D" if filled else "o",
        markersize=4.5,
        markerfacecolor=colour if filled else "white",
        zorder=4,
    )
    if filled:
        axes.annotate(
            f"{measure['value']:.3f}",
            (measure["value"], row),
            (0, 4.5),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=colour,
            annotation_clip=False,
        )
