"""The figure of a preregistered study: one difference at every fraction of the reals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.lines import Line2D

from pipelines.figures.arm_style import KIND_COLOURS, KIND_MARKERS, REFERENCE_LINE, add_legend
from pipelines.figures.style import (
    GUIDE_LINE,
    INK,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    write_figure,
)
from pipelines.results.arm_result import arm_kind
from pipelines.results.study_result import StudyContrast
from pipelines.study.fractions import fraction_text

CONTRAST_HEIGHT = 0.42  # inches, of a row


def draw_study(contrasts: Sequence[StudyContrast], points: float, title: str, path: Path) -> None:
    """Draw a row for each contrast: the difference in points, its 95 % interval and its reference.

    points: What a yes takes, a line beside that of no difference.
    """
    figure = new_figure(WIDTH, 1.5 + CONTRAST_HEIGHT * len(contrasts))
    axes = figure.subplots()
    axes.axvline(0, **REFERENCE_LINE, zorder=1)
    axes.axvline(points, **GUIDE_LINE, zorder=1)
    for row, own in enumerate(contrasts):
        kind, estimate = arm_kind(own.arm), own.difference
        axes.plot(
            [100 * estimate.low, 100 * estimate.high],
            [row] * 2,
            color=KIND_COLOURS[kind],
            linewidth=2.4,
            solid_capstyle="round",
            zorder=2,
        )
        axes.plot(
            100 * estimate.value,
            row,
            KIND_MARKERS[kind],
            markersize=6.5,
            markerfacecolor=KIND_COLOURS[kind],
            markeredgecolor="white",
            markeredgewidth=0.8,
            zorder=3,
        )
    names = [f"{fraction_text(own.fraction)}\n− {own.reference}" for own in contrasts]
    axes.set_yticks(range(len(contrasts)), [plain_text(name) for name in names])
    axes.set_ylim(len(contrasts) - 0.4, -0.6)
    style_axes(axes, title, xlabel="Difference (points)")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    for label, own in zip(axes.get_yticklabels(), contrasts, strict=True):
        label.set_fontweight("bold" if own.asked else "normal")
    add_legend(
        figure,
        [
            Line2D([], [], **REFERENCE_LINE, label="no difference"),
            Line2D([], [], **GUIDE_LINE, label=f"{points:g} points, a yes"),
        ],
    )
    write_figure(figure, path)
