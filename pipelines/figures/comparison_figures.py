"""The figures of a comparison's arms: every replicate of each, and how far they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pipelines.figures.arm_style import (
    KIND_COLOURS,
    KIND_MARKERS,
    REFERENCE_LINE,
    add_legend,
    measure_axis_title,
)
from pipelines.figures.style import (
    GRID,
    INK,
    MUTED,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    write_figure,
)
from pipelines.metrics.paired_tests import ReplicatedEstimate
from pipelines.results.arm_result import ARM_KINDS, PairedDifference, arm_kind
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.image_count import ImageCount

ROW_HEIGHT = 0.37  # inches, of an arm
PAIR_HEIGHT = 0.42  # inches, of a difference
MOST_LARGE_DOTS = 12  # replicates of an arm; the dots of more are smaller
LONGEST_LABEL = 16  # characters


def draw_comparison(summary: ComparisonSummary, path: Path) -> None:
    """Draw the measure of the question's arms: every replicate, the mean and its 95 % interval.

    Below, how far arms differ, the question first. A replicate keeps its height within a row, so
    that arms pair up.
    """
    results, differences = summary.primary_results(), summary.primary_differences()
    figure = new_figure(WIDTH, 2.2 + ROW_HEIGHT * len(results) + PAIR_HEIGHT * len(differences))
    upper, lower = figure.subplots(
        2,
        1,
        height_ratios=(ROW_HEIGHT * len(results), PAIR_HEIGHT * len(differences)),
    )
    rows = [(result.arm, result.measures.of(summary.measure)) for result in results]
    _draw_shares(upper, rows, measure_axis_title(summary.measure))
    _draw_differences(lower, differences, summary.measure)
    _label_test_split(lower, summary.test)
    add_legend(figure, _comparison_handles())
    write_figure(figure, path)


def draw_sensitivity_specificity(summary: ComparisonSummary, path: Path) -> None:
    """Draw sensitivity and specificity of the question's arms, as `draw_comparison` its measure."""
    results = summary.primary_results()
    figure = new_figure(WIDTH, 1.7 + 2 * ROW_HEIGHT * len(results) + 0.5)
    upper, lower = figure.subplots(2, 1)
    sensitivities = [(result.arm, result.measures.sensitivity) for result in results]
    positive = plain_text(_shorten(summary.positive))
    _draw_shares(upper, sensitivities, f"Sensitivity, of {positive} (%)")
    specificities = [(result.arm, result.measures.specificity) for result in results]
    _draw_shares(lower, specificities, "Specificity (%)")
    kinds = {result.kind for result in results}
    add_legend(figure, [_kind_handle(kind) for kind in ARM_KINDS if kind in kinds])
    write_figure(figure, path)


def draw_external(summary: ComparisonSummary, path: Path) -> None:
    """Draw the measure of the question's arms inside and outside: two rows an arm, joined.

    Raises ValueError where the external set has not the measure.
    """
    results, measure = summary.primary_results(), summary.measure
    if summary.external is None or any(measure not in result.outside for result in results):
        raise ValueError(f"no {measure} of an external test set in this comparison")
    figure = new_figure(WIDTH, 1.6 + 2 * ROW_HEIGHT * len(results))
    axes = figure.subplots()
    names = []
    for place, result in enumerate(results):
        inside, outside = result.measures.of(measure), result.outside[measure].estimate
        axes.plot(
            [100 * inside.value, 100 * outside.value],
            [2 * place + 0.1, 2 * place + 1.1],
            color=KIND_COLOURS[result.kind],
            linewidth=0.9,
            zorder=1,
        )
        _draw_row(axes, 2 * place, result.arm, inside, highest=100)
        _draw_row(axes, 2 * place + 1, result.arm, outside, highest=100)
        names += [result.arm, "outside"]
    _name_rows(axes, names, measure_axis_title(measure))
    external = summary.external.all
    axes.set_xlabel(
        f"inside: {summary.test.images} images of {summary.test.patients} patients; outside: "
        f"{external.images} of {external.patients}",
        fontsize=8.5,
        color=MUTED,
    )
    kinds = {result.kind for result in results}
    add_legend(figure, [_kind_handle(kind) for kind in ARM_KINDS if kind in kinds])
    write_figure(figure, path)


def _draw_shares(axes: Axes, rows: Sequence[tuple[str, ReplicatedEstimate]], title: str) -> None:
    """Draw a row per arm of one measure in per cent, and `real` (first) as a line across."""
    _, real = rows[0]
    axes.axvline(100 * real.value, **REFERENCE_LINE, zorder=1)
    for row, (arm, estimate) in enumerate(rows):
        _draw_row(axes, row, arm, estimate, highest=100)
    _name_rows(axes, [arm for arm, _ in rows], title)
    left, right = axes.get_xlim()
    axes.set_xlim(left, min(right, 100.8))


def _draw_differences(axes: Axes, differences: Sequence[PairedDifference], measure: str) -> None:
    """Draw a row per difference in points, before what is too small to be found."""
    for row, own in enumerate(differences):
        estimate = own.differences.of(measure)
        detectable = 100 * estimate.detectable
        axes.barh(row, 2 * detectable, 0.8, left=-detectable, color=GRID, linewidth=0, zorder=0)
        _draw_row(axes, row, own.condition.arm, estimate)
    axes.axvline(0, **REFERENCE_LINE, zorder=1)
    names = [f"{own.condition.arm}\n− {own.reference.arm}" for own in differences]
    _name_rows(axes, names, "Difference (points)")
    axes.tick_params(axis="y", labelsize=8)
    question = axes.get_yticklabels()[0]
    question.set_fontweight("bold")


def _draw_row(
    axes: Axes,
    row: int,
    arm: str,
    estimate: ReplicatedEstimate,
    highest: float = np.inf,
) -> None:
    """Draw one arm's row: mean and interval on its line, one dot per replicate above it."""
    colour = KIND_COLOURS[arm_kind(arm)]
    low, high = (min(100 * bound, highest) for bound in (estimate.low, estimate.high))
    values = [100 * value for value in estimate.per_replicate]
    is_few = len(values) <= MOST_LARGE_DOTS
    axes.plot(
        values,
        row - np.linspace(0.16, 0.42, len(values)),
        "o",
        markersize=4 if is_few else 3,
        markerfacecolor="white",
        markeredgecolor=colour,
        markeredgewidth=1 if is_few else 0.7,
        zorder=3,
    )
    axes.plot(
        [low, high],
        [row + 0.1] * 2,
        color=colour,
        linewidth=2.4,
        solid_capstyle="round",
        zorder=2,
    )
    axes.plot(
        100 * estimate.value,
        row + 0.1,
        KIND_MARKERS[arm_kind(arm)],
        markersize=6.5,
        markerfacecolor=colour,
        markeredgecolor="white",
        markeredgewidth=0.8,
        zorder=4,
    )


def _name_rows(axes: Axes, arms: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(arms)), [plain_text(arm) for arm in arms])
    axes.set_ylim(len(arms) - 0.55, -0.6)
    style_axes(axes, title)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    axes.spines["left"].set_visible(False)


def _label_test_split(axes: Axes, test: ImageCount) -> None:
    axes.set_xlabel(
        f"tested on {test.images} images of {test.patients} patients",
        fontsize=8.5,
        color=MUTED,
    )


def _comparison_handles() -> list[Line2D | Patch]:
    replicate = Line2D(
        [],
        [],
        marker="o",
        linestyle="",
        markersize=4.5,
        markerfacecolor="none",
        markeredgecolor=MUTED,
        label="one classifier",
    )
    mean = Line2D(
        [],
        [],
        color=MUTED,
        linewidth=2.4,
        marker="D",
        markersize=5,
        label="mean, 95 % interval",
    )
    undetectable = Patch(color=GRID, label="too small to be found")
    no_difference = Line2D([], [], **REFERENCE_LINE, label="real, or no difference")
    return [replicate, mean, undetectable, no_difference]


def _kind_handle(kind: str) -> Line2D:
    return Line2D(
        [],
        [],
        color=KIND_COLOURS[kind],
        linewidth=2.4,
        marker=KIND_MARKERS[kind],
        markersize=5,
        label=ARM_KINDS[kind],
    )


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
