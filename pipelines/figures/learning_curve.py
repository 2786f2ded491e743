"""The learning curve of a comparison, and what synthetic images are worth on it in patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from pipelines.figures.arm_style import (
    KIND_COLOURS,
    KIND_MARKERS,
    add_legend,
    measure_axis_title,
    percentages,
)
from pipelines.figures.style import (
    INK,
    MUTED,
    REAL_GAN,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    write_figure,
)
from pipelines.metrics.learning_curve import never_falling
from pipelines.results.arm_result import ArmResult, arm_kind
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.data_efficiency import DataEfficiency, FurtherReals

SIDE_STEP = 1.02  # factor between the places of arms with equal numbers of patients
X_MARGIN = 0.09  # of the curve's length on either side
BAND_ALPHA = 0.13
DOT_SIZE, DOT_ALPHA = 3.0, 0.5  # points, of a subset
WORTH_HEIGHT = 0.46  # inches, of what synthetic images are worth at a fraction
TEXT_RISE = 0.22  # of such a row, from its bar to its words


def draw_learning_curve(summary: ComparisonSummary, path: Path) -> None:
    """Draw the learning curve over real patients, and what synthetic images are worth on it.

    The curve is that of the question's reference, at the fractions of all classes alike. Arrows
    lead from the question's arm, at its ratio, to the patients that would have done as much; their
    number and its interval stand below. Arms that are read on the same curve stand beside it.
    """
    question, entries = summary.question, summary.primary_data_efficiency()
    heights = [2.3, *([0.3 + WORTH_HEIGHT * len(entries)] if entries else [])]
    figure = new_figure(WIDTH, 1.2 + sum(heights) + 0.3 * len(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    upper, lowest = panels[0, 0], panels[-1, 0]
    reference, arm = (summary.learning_curve(name) for name in (question.reference, question.arm))
    alike = {own.arm for own in summary.data_efficiency if own.reference == question.reference}
    rivals = sorted(alike - {question.arm})
    _draw_reference(upper, reference, summary.measure)
    for name in rivals:
        _draw_points(upper, summary.learning_curve(name), summary.measure, "white")
    _draw_arm(upper, arm, summary.measure)
    if entries:
        _draw_arrows(upper, arm, entries, summary.measure)
        _draw_worth(lowest, entries)
    style_axes(upper, measure_axis_title(summary.measure))
    upper.set_ylim(*_heights([*reference, *arm], summary.measure))
    upper.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    upper.set_xscale("log")
    patients = [result.real_patients for result in reference]
    margin = (patients[-1] / patients[0]) ** X_MARGIN
    lowest.set_xlim(patients[0] / margin, patients[-1] * margin)
    lowest.xaxis.set_major_locator(FixedLocator(patients))
    lowest.xaxis.set_major_formatter(FixedFormatter([str(number) for number in patients]))
    lowest.xaxis.set_minor_locator(NullLocator())
    lowest.set_xlabel("real patients to train on", fontsize=9.5, color=INK)
    add_legend(figure, _handles(summary, rivals))
    write_figure(figure, path)


def _draw_reference(axes: Axes, curve: Sequence[ArmResult], measure: str) -> None:
    """Draw a learning curve as it is read, never falling, with the means that it is made of."""
    colour = KIND_COLOURS[curve[0].kind]
    patients = [result.real_patients for result in curve]
    means, low, high = percentages(curve, measure)
    axes.fill_between(patients, low, high, color=colour, alpha=BAND_ALPHA, linewidth=0)
    axes.plot(patients, never_falling(means), color=colour, linewidth=1.8, zorder=3)
    _draw_points(axes, curve, measure, colour)
    _draw_subsets(axes, curve, measure, 1 / SIDE_STEP)


def _draw_arm(axes: Axes, curve: Sequence[ArmResult], measure: str) -> None:
    """Draw the question's arm: the mean, its interval and every subset at each fraction."""
    colour = KIND_COLOURS[curve[0].kind]
    _, low, high = percentages(curve, measure)
    axes.vlines([own.real_patients for own in curve], low, high, color=colour, linewidth=1.2)
    _draw_points(axes, curve, measure, colour)
    _draw_subsets(axes, curve, measure, SIDE_STEP)


def _draw_points(axes: Axes, curve: Sequence[ArmResult], measure: str, face: str) -> None:
    """Draw the mean of an arm at each fraction."""
    patients = [result.real_patients for result in curve]
    means = percentages(curve, measure)[0]
    axes.plot(patients, means, linestyle="", zorder=5, **_mark(curve[0].arm, face))


def _mark(arm: str, face: str) -> dict[str, Any]:
    """Return an arm's marker, filled with its colour or hollow."""
    colour = KIND_COLOURS[arm_kind(arm)]
    return {
        "marker": KIND_MARKERS[arm_kind(arm)],
        "markersize": 6.5,
        "markerfacecolor": face,
        "markeredgecolor": "white" if face == colour else colour,
        "markeredgewidth": 0.6 if face == colour else 1.2,
    }


def _heights(results: Sequence[ArmResult], measure: str) -> tuple[float, float]:
    """Return what of the axis of per cent is shown: all means, and about them as much again.

    An interval of two subsets may be all that there is, and nothing else would be seen.
    """
    means = percentages(results, measure)[0]
    margin = max(float(np.ptp(means)), 2.0)
    return max(float(means.min()) - margin, 0.0), min(float(means.max()) + margin, 100.5)


def _draw_subsets(axes: Axes, curve: Sequence[ArmResult], measure: str, shift: float) -> None:
    """Draw the mean of the classifiers of each subset of the reals, where there are several."""
    for result in curve:
        values = np.array(result.measures.of(measure).per_replicate)
        subsets = np.array([replicate.subset for replicate in result.replicates])
        if len(set(subsets)) == 1:
            continue
        means = [100 * values[subsets == subset].mean() for subset in sorted(set(subsets))]
        places = [result.real_patients * shift] * len(means)
        colour = KIND_COLOURS[result.kind]
        axes.scatter(places, means, DOT_SIZE**2, colour, alpha=DOT_ALPHA, linewidths=0)


def _draw_arrows(
    axes: Axes, curve: Sequence[ArmResult], entries: Sequence[DataEfficiency], measure: str
) -> None:
    """Draw an arrow from the arm at each fraction to the learning curve, at the arm's height."""
    heights = dict(
        zip([own.fraction for own in curve], percentages(curve, measure)[0], strict=True)
    )
    for entry in entries:
        _draw_arrow(axes, entry, heights[entry.fraction])


def _draw_arrow(axes: Axes, entry: DataEfficiency, height: float) -> None:
    """Draw an arrow from the patients that there are to those that do as much.

    Dashed where the learning curve ends before.
    """
    if entry.further.patients:
        start, end = entry.real_patients, entry.real_patients + entry.further.patients
        axes.annotate(
            "",
            (end, height),
            (start, height),
            arrowprops={
                "arrowstyle": "-|>,head_width=0.22,head_length=0.42",
                "color": REAL_GAN,
                "linewidth": 1.3,
                "linestyle": (0, (3, 2)) if entry.further.bound else "-",
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=6,
        )


def _draw_worth(axes: Axes, entries: Sequence[DataEfficiency]) -> None:
    """Draw the patients that do as much at each fraction, with their interval.

    It goes on dotted where the learning curve ends before it does.
    """
    for row, entry in enumerate(entries):
        own = entry.real_patients
        ends = [own + entry.low.patients, own + entry.high.patients]
        axes.plot(ends, [row, row], color=REAL_GAN, linewidth=6, alpha=0.3, solid_capstyle="butt")
        for further, end, edge in zip((entry.low, entry.high), ends, axes.get_xlim(), strict=True):
            if further.bound:
                axes.hlines(row, end, edge, REAL_GAN, (0, (0.6, 0.6)), linewidth=3, alpha=0.6)
        axes.plot(own, row, zorder=5, **_mark(entry.arm, REAL_GAN))
        _draw_arrow(axes, entry, row)
        axes.text(
            0,
            row - TEXT_RISE,
            f"{own} patients + {entry.synthetic_images} synthetic: {_signed(entry.further)} "
            f"({_signed(entry.low)} to {_signed(entry.high)})",
            transform=axes.get_yaxis_transform(),
            fontsize=8.3,
            color=INK,
            va="bottom",
            in_layout=False,
        )
    style_axes(axes, "Worth in further patients (95 % interval)")
    axes.set_ylim(len(entries) - 0.6, -0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _signed(further: FurtherReals) -> str:
    """Write a number of further patients: +9, −12, ≥ +40."""
    sign = {"at least": "≥ ", "at most": "≤ "}.get(further.bound, "")
    number = f"{further.patients:+d}" if further.patients else "0"
    return f"{sign}{number}".replace("-", "−")


def _handles(summary: ComparisonSummary, rivals: Sequence[str]) -> list[Any]:
    """Return what the legend has: the curve, the arms on it, and what else is drawn."""
    reference, arm = summary.question.reference, summary.question.arm
    colour = KIND_COLOURS[arm_kind(reference)]
    handles: list[Any] = [
        Line2D([], [], color=colour, label=plain_text(reference), **_mark(reference, colour)),
        *(
            Line2D([], [], linestyle="", label=plain_text(name), **_mark(name, face))
            for name, face in [
                (arm, KIND_COLOURS[arm_kind(arm)]),
                *((own, "white") for own in rivals),
            ]
        ),
        Patch(color=colour, alpha=BAND_ALPHA, linewidth=0, label="95 % interval"),
    ]
    if summary.budget.subsets > 1:
        handles.append(
            Line2D(
                [],
                [],
                color=MUTED,
                label="mean of one subset of the reals",
                marker="o",
                linestyle="",
                markersize=DOT_SIZE,
                alpha=DOT_ALPHA,
                markeredgewidth=0,
            )
        )
    if summary.primary_data_efficiency():
        handles.append(
            Line2D([], [], color=REAL_GAN, marker=">", label="to the patients that do as much")
        )
    return handles
