"""The shortcut audit in one picture: what was taken away, and how much skill is left."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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
from pipelines.results.audit_result import AuditResult
from runtime.estimate import Estimate

ALTERATION_HEIGHT = 0.62  # inches
THUMBNAIL_SIDE = 128  # pixels, at least
THUMBNAIL_MARGIN = 6  # pixels, around each
MAX_CLASS_NAME = 9  # characters above the thumbnails
CHANCE_STYLE = (0, (4, 3))  # dashes


def draw_audit(audit: AuditResult, examples: Sequence[np.ndarray], path: Path) -> None:
    """Draw ROC AUC with its interval per alteration, next to test images altered so.

    examples: for each alteration uint8 (K, S, S), an image of each of K classes.
    """
    rows = len(audit.alterations)
    figure = new_figure(WIDTH, 1.6 + ALTERATION_HEIGHT * rows)
    thumbnails, plot = figure.subplots(1, 2, sharey=True, width_ratios=(1.02, 1))
    _draw_thumbnails(thumbnails, audit, examples)
    _draw_aucs(plot, audit)
    _draw_legend(figure, audit)
    write_figure(figure, path)


def _draw_thumbnails(axes: Axes, audit: AuditResult, examples: Sequence[np.ndarray]) -> None:
    """A row of altered images for each alteration, its title on the left."""
    rows, columns = len(audit.alterations), len(examples[0])
    axes.imshow(
        np.concatenate([_strip(images) for images in examples]),
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(0, columns, rows - 0.5, -0.5),
        interpolation="nearest",
    )
    axes.set_anchor("E")
    axes.set_xticks([])
    titles = [textwrap.fill(plain_text(result.title), 14) for result in audit.alterations]
    axes.set_yticks(range(rows), titles)
    axes.tick_params(axis="y", length=0, labelsize=8.5, labelcolor=INK)
    axes.spines[:].set_visible(False)
    other = next(name for name in audit.classes if name != audit.positive)
    names = f"{_shorten(audit.positive)}   {_shorten(other)}"
    axes.set_title(names, fontsize=8.3, color=MUTED)


def _strip(images: np.ndarray) -> np.ndarray:
    """Join images (K, S, S) to one uint8 array, pixels repeated, a white margin around each."""
    times = math.ceil(THUMBNAIL_SIDE / images.shape[1])
    enlarged = images.repeat(times, axis=1).repeat(times, axis=2)
    padded = [np.pad(image, THUMBNAIL_MARGIN, constant_values=255) for image in enlarged]
    return np.concatenate(padded, axis=1)


def _shorten(name: str) -> str:
    return plain_text(name if len(name) <= MAX_CLASS_NAME else name[: MAX_CLASS_NAME - 1] + "…")


def _draw_aucs(axes: Axes, audit: AuditResult) -> None:
    """The ROC AUCs of a row each: of a classifier trained so, and of the audited one shown so."""
    rows = len(audit.alterations)
    axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=CHANCE_STYLE, zorder=1)
    if audit.close_from is not None:
        axes.axvspan(audit.close_from, 1.05, color=REAL_GAN, alpha=0.1, linewidth=0, zorder=0)
    for row, result in enumerate(audit.alterations):
        trained_so = audit.intact if row == 0 else result.retrained
        if trained_so:
            _draw_main_estimate(axes, row - 0.12, trained_so.roc_auc)
        if row or result.retrained:
            _draw_interval(axes, row + 0.22, result.as_it_is.roc_auc, MUTED)
    lowest = min(
        skill.roc_auc.low
        for result in audit.alterations
        for skill in (result.as_it_is, result.retrained)
        if skill
    )
    axes.set_xlim(min(0.44, lowest - 0.03), 1.02)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.xaxis.set_major_locator(MultipleLocator(0.1 if lowest > 0.3 else 0.2))
    style_axes(axes, "", xlabel="ROC AUC")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)


def _draw_main_estimate(axes: Axes, row: float, auc: Estimate) -> None:
    """Draw the estimate to read: a filled mark on the line of its interval, with its number."""
    _draw_interval(axes, row, auc, REAL, filled=True)
    axes.annotate(
        f"{auc.value:.3f}",
        (auc.value, row),
        (0, 4.5),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
        color=REAL,
        annotation_clip=False,
    )


def _draw_interval(
    axes: Axes, row: float, auc: Estimate, colour: str, *, filled: bool = False
) -> None:
    """Draw a mark on the line of its interval."""
    axes.errorbar(
        auc.value,
        row,
        xerr=[[max(auc.value - auc.low, 0)], [max(auc.high - auc.value, 0)]],
        color=colour,
        linewidth=1.8 if filled else 1.2,
        capsize=2.5,
        marker="D" if filled else "o",
        markersize=4.5,
        markerfacecolor=colour if filled else "white",
        zorder=4,
    )


def _draw_legend(figure: Figure, audit: AuditResult) -> None:
    """The title, and what each mark means, above the plots."""
    trained_so = Line2D([], [], marker="D", color=REAL, linewidth=1.8, markersize=4.5)
    shown_so = Line2D([], [], marker="o", color=MUTED, linewidth=1.2, markersize=4.5)
    shown_so.set_markerfacecolor("white")
    chance = Line2D([], [], color=MUTED, linewidth=0.9, linestyle=CHANCE_STYLE)
    close = Line2D([], [], color=REAL_GAN, alpha=0.2, linewidth=7)
    figure.legend(
        handles=[trained_so, shown_so, chance, close],
        labels=[
            "trained and tested on such images",
            "trained on whole images, shown such",
            "chance",
            "close to whole images",
        ],
        loc="outside upper left",
        ncols=1,
        frameon=False,
        fontsize=8.3,
        labelcolor=INK,
        title=_title(audit),
        title_fontproperties={"size": 10, "weight": "bold"},
        alignment="left",
    )


def _title(audit: AuditResult) -> str:
    return textwrap.fill(
        f"Told apart without the lungs? {audit.config.arch}, {audit.test.images} test images of "
        f"{audit.test.patients} patients",
        52,
    )
