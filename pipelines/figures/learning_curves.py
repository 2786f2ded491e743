"""The curves of a comparison: the measure against the number of real and of synthetic images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from pipelines.figures.arm_style import (
    KIND_COLOURS,
    KIND_MARKERS,
    REFERENCE_LINE,
    add_legend,
    measure_axis_title,
)
from pipelines.figures.style import (
    INK,
    REAL_GAN,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    write_figure,
)
from pipelines.results.arm_result import ArmResult, arm_kind
from pipelines.results.comparison_summary import ComparisonSummary, DataEfficiency
from pipelines.study.fractions import of_all_classes, sort_fractions

LINE_STYLES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))  # in turn
SIDE_STEP = 1.012  # factor between the places of arms with equal numbers of real images


def draw_learning_curve(summary: ComparisonSummary, path: Path) -> None:
    """Draw the comparison's measure of each arm against the number of real training images.

    At the fractions of all classes alike. Below, what the synthetic images are worth in real ones.
    """
    question, measure = summary.question, summary.measure
    results = [
        result
        for fraction in of_all_classes(summary.fractions)
        for result in summary.results_at(fraction, question.ratio)
    ]
    curves = _style_curves(results, ("real", question.reference, question.arm))
    entries = summary.primary_data_efficiency()
    figure = new_figure(WIDTH, 3.4 + 0.17 * len(curves) + (1.7 if entries else 0))
    panels = figure.subplots(
        2 if entries else 1,
        1,
        sharex=True,
        squeeze=False,
        height_ratios=(2, 1) if entries else None,
    )[:, 0]
    for number, curve in enumerate(curves):
        shift = SIDE_STEP ** (number - (len(curves) - 1) / 2)
        _draw_curve(panels[0], curve, measure, shift)
    style_axes(panels[0], measure_axis_title(measure))
    panels[0].yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    if entries:
        _draw_data_efficiency(panels[1], entries)
    panels[0].set_xscale("log")
    sizes = [result.real_images for result in results if result.arm == "real"]
    panels[-1].xaxis.set_major_locator(FixedLocator(sizes))
    panels[-1].xaxis.set_major_formatter(FixedFormatter([str(size) for size in sizes]))
    panels[-1].xaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel("real training images", fontsize=9.5, color=INK)
    add_legend(figure, [_curve_handle(curve) for curve in curves])
    write_figure(figure, path)


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
        means, low, high = _percentages(of_arm, measure)
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


@dataclass(frozen=True)
class _Curve:
    """An arm's results over the fractions, and how they are drawn."""

    arm: str
    results: list[ArmResult]
    is_main: bool  # `real` or one of the question, drawn with intervals and replicates
    line_style: Any

    @property
    def kind(self) -> str:
        return arm_kind(self.arm)

    @property
    def line(self) -> dict[str, Any]:
        return {
            "color": KIND_COLOURS[self.kind],
            "linestyle": self.line_style,
            "linewidth": 2 if self.is_main else 1.2,
        }


def _style_curves(results: Sequence[ArmResult], main_arms: Collection[str]) -> list[_Curve]:
    """Make a curve of each arm; arms of one kind have different lines."""
    curves: list[_Curve] = []
    for arm in dict.fromkeys(result.arm for result in results):
        num_alike = sum(curve.kind == arm_kind(arm) for curve in curves)
        curves.append(
            _Curve(
                arm=arm,
                results=[result for result in results if result.arm == arm],
                is_main=arm in main_arms,
                line_style=LINE_STYLES[num_alike % len(LINE_STYLES)],
            )
        )
    return curves


def _draw_curve(axes: Axes, curve: _Curve, measure: str, shift: float) -> None:
    """Draw a curve, its places times `shift`, so that arms lie side by side."""
    places = np.array([result.real_images for result in curve.results]) * shift
    means, low, high = _percentages(curve.results, measure)
    axes.plot(
        places,
        means,
        **curve.line,
        marker=KIND_MARKERS[curve.kind],
        markersize=6 if curve.is_main else 4,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=4 if curve.is_main else 3,
    )
    if not curve.is_main:
        return
    colour = KIND_COLOURS[curve.kind]
    axes.vlines(places, low, high, color=colour, linewidth=1.6, zorder=2)
    for place, result in zip(places, curve.results, strict=True):
        values = 100 * np.array(result.measures.of(measure).per_replicate)
        axes.plot(
            [place] * len(values),
            values,
            "o",
            markersize=2.6,
            color=colour,
            alpha=0.4,
            markeredgewidth=0,
        )


def _percentages(
    results: Sequence[ArmResult], measure: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a measure and the ends of its interval in per cent, (N,) each."""
    estimates = [result.measures.of(measure) for result in results]
    means = 100 * np.array([estimate.value for estimate in estimates])
    low = np.clip([100 * estimate.low for estimate in estimates], 0, 100)
    high = np.clip([100 * estimate.high for estimate in estimates], 0, 100)
    return means, low, high


def _draw_data_efficiency(axes: Axes, entries: Sequence[DataEfficiency]) -> None:
    """Draw extra real images of the same effect, with intervals.

    An arrow where the learning curve does not reach far enough to tell.
    """
    for entry in entries:
        place = entry.real_images
        axes.plot(
            [place, place],
            [entry.low, entry.high],
            color=REAL_GAN,
            linewidth=2.2,
            solid_capstyle="round",
        )
        if entry.lower_open:
            axes.plot(place, entry.low, "v", markersize=7, color=REAL_GAN)
        if entry.upper_open:
            axes.plot(place, entry.high, "^", markersize=7, color=REAL_GAN)
        axes.plot(
            place,
            entry.extra,
            "o",
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=REAL_GAN,
            markeredgewidth=1.6,
            zorder=4,
        )
    axes.axhline(0, **REFERENCE_LINE, zorder=1)
    style_axes(axes, "Worth in further real images")


def _curve_handle(curve: _Curve) -> Line2D:
    marker = KIND_MARKERS[curve.kind]
    return Line2D([], [], **curve.line, marker=marker, markersize=5, label=plain_text(curve.arm))
