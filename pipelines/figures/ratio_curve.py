"""A comparison's measure against the number of synthetic images per real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.figures.arm_style import (
    KIND_COLOURS,
    KIND_MARKERS,
    add_legend,
    measure_axis_title,
    percentages,
)
from pipelines.figures.style import (
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    write_figure,
)
from pipelines.results.arm_result import arm_kind
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.study.fractions import sort_fractions

LINE_STYLES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))  # in turn


def draw_ratio_curve(summary: ComparisonSummary, path: Path) -> None:
    """Draw the measure of the question's arm against the synthetic images per real one.

    At each fraction, beside that of `real`.
    """
    arm, measure = summary.question.arm, summary.measure
    colour, marker = KIND_COLOURS[arm_kind(arm)], KIND_MARKERS[arm_kind(arm)]
    figure = new_figure(WIDTH, 3.3)
    axes = figure.subplots()
    for number, fraction in enumerate(sort_fractions(summary.fractions)):
        of_arm, of_real = (
            [
                result
                for result in summary.results
                if result.fraction == fraction and result.arm == name
            ]
            for name in (arm, "real")
        )
        of_arm.sort(key=lambda result: result.added_per_real)
        real = of_real[0]
        places = [result.added_per_real for result in of_arm]
        means, low, high = percentages(of_arm, measure)
        style = LINE_STYLES[number % len(LINE_STYLES)]
        axes.plot(
            places,
            means,
            color=colour,
            linestyle=style,
            linewidth=1.8,
            marker=marker,
            markersize=6,
            label=f"{plain_text(arm)}, {real.real_images} reals",
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
        axes.vlines(places, low, high, color=colour, linewidth=1.2)
        axes.axhline(
            100 * real.measures.of(measure).value,
            color=KIND_COLOURS["real"],
            linestyle=style,
            linewidth=1.1,
            label=f"real, {real.real_images} reals",
        )
    style_axes(axes, measure_axis_title(measure), xlabel="synthetic images per real one")
    axes.set_xlim(left=0)
    add_legend(figure, axes.get_legend_handles_labels()[0])
    write_figure(figure, path)
