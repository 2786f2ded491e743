"""The figures of a comparison: every replicate of every arm, how arms differ from `real`, and what changes with the number of images.

An arm has the colour and the mark of its kind, told apart by colour-blind readers and in grey print.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from pipelines.figures.style import (
    GRID,
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
from pipelines.results.comparison_summary import (
    KIND_NAMES,
    headline_results,
    headline_worth,
    kind_of,
    results_at,
)

COLOURS = {"real": REAL, "classical": "#1f6fb2", "synthetic": REAL_GAN, "control": "#8a4f9e"}
MARKS = {"real": "D", "classical": "s", "synthetic": "^", "control": "o"}
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))  # of arms of one kind, in turn
ROW = 0.37  # inches


def comparison(summary: dict[str, Any], path: Path) -> None:
    """Accuracy of each arm of the headline, every replicate, the mean and its 95 % interval; below, what each differs by from `real`.

    summary: what a comparison's summary.json says. A replicate keeps its height within a row, so that arms pair up.
    """
    results = headline_results(summary)
    others = [one for one in results if one["against_real"]]
    figure = new_figure(WIDTH, 1.7 + ROW * (len(results) + len(others)) + (0.5 if others else 0))
    panels = figure.subplots(
        2 if others else 1,
        1,
        squeeze=False,
        height_ratios=(len(results), len(others)) if others else None,
    )[:, 0]
    _shares(panels[0], results, "accuracy", "Accuracy (%)")
    if others:
        below = panels[1]
        for row, one in enumerate(others):
            detectable = 100 * one["against_real"]["difference"]["accuracy"]["detectable"]
            below.barh(
                row, 2 * detectable, 0.8, left=-detectable, color=GRID, linewidth=0, zorder=0
            )
            _row(below, row, one["arm"], one["against_real"]["difference"]["accuracy"])
        below.axvline(0, color=REAL, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        _name_rows(below, others, "Difference from real (points)")
    test = summary["test"]
    panels[-1].set_xlabel(
        f"test split: {test['images']} images of {test['patients']} patients",
        fontsize=8.5,
        color=MUTED,
    )
    handles = [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            markersize=4.5,
            markerfacecolor="none",
            markeredgecolor=MUTED,
            label="one classifier",
        )
    ]
    handles += [
        Line2D(
            [],
            [],
            color=MUTED,
            linewidth=2.4,
            marker="D",
            markersize=5,
            label="mean, 95 % interval",
        )
    ]
    handles += [Patch(color=GRID, label="too small to be found")] if others else []
    handles += [Line2D([], [], color=REAL, linewidth=1, linestyle=(0, (4, 3)), label="real")]
    _legend_below(figure, handles, 2)
    write_figure(figure, path)


def sensitivity_specificity(summary: dict[str, Any], path: Path) -> None:
    """Sensitivity and specificity of each arm of the headline, drawn as `comparison` draws accuracy."""
    results = headline_results(summary)
    figure = new_figure(WIDTH, 1.7 + 2 * ROW * len(results) + 0.5)
    upper, lower = figure.subplots(2, 1)
    _shares(
        upper,
        results,
        "sensitivity",
        f"Sensitivity, of {plain_text(_short(summary['positive']))} (%)",
    )
    _shares(lower, results, "specificity", "Specificity (%)")
    kinds = [kind for kind in KIND_NAMES if any(kind_of(one["arm"]) == kind for one in results)]
    _legend_below(
        figure,
        [
            Line2D(
                [],
                [],
                color=COLOURS[kind],
                linewidth=2.4,
                marker=MARKS[kind],
                markersize=5,
                label=KIND_NAMES[kind],
            )
            for kind in kinds
        ],
        2,
    )
    write_figure(figure, path)


def learning_curve(summary: dict[str, Any], path: Path) -> None:
    """Accuracy of each arm against the number of real training images, and below, what the synthetic images are worth in real ones."""
    headline = summary["headline"]
    of_fraction = [
        results_at(summary, fraction, headline["ratio"])
        for fraction in sorted(summary["fractions"])
    ]
    arms = list(dict.fromkeys(one["arm"] for results in of_fraction for one in results))
    worth = headline_worth(summary)
    figure = new_figure(WIDTH, 3.4 + 0.17 * len(arms) + (1.7 if worth else 0))
    panels = figure.subplots(
        2 if worth else 1, 1, sharex=True, squeeze=False, height_ratios=(2, 1) if worth else None
    )[:, 0]
    sizes = [results[0]["real_images"] for results in of_fraction]
    handles, seen = [], dict.fromkeys(KIND_NAMES, 0)
    for number, arm in enumerate(arms):
        mine = [one for results in of_fraction for one in results if one["arm"] == arm]
        kind = kind_of(arm)
        main = arm in ("real", headline["arm"])
        place = np.array([one["real_images"] for one in mine]) * 1.012 ** (
            number - (len(arms) - 1) / 2
        )  # side by side, not on top of each other
        style = {
            "color": COLOURS[kind],
            "linestyle": DASHES[seen[kind] % len(DASHES)],
            "linewidth": 2 if main else 1.2,
        }
        seen[kind] += 1
        means = [100 * one["accuracy"]["mean"] for one in mine]
        low, high = (
            np.clip([100 * one["accuracy"]["interval"][end] for one in mine], 0, 100)
            for end in (0, 1)
        )
        panels[0].plot(
            place,
            means,
            **style,
            marker=MARKS[kind],
            markersize=6 if main else 4,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=4 if main else 3,
        )
        if main:
            panels[0].vlines(place, low, high, color=COLOURS[kind], linewidth=1.6, zorder=2)
            for at, one in zip(place, mine):
                panels[0].plot(
                    [at] * len(one["accuracy"]["per_replicate"]),
                    100 * np.array(one["accuracy"]["per_replicate"]),
                    "o",
                    markersize=2.6,
                    color=COLOURS[kind],
                    alpha=0.4,
                    markeredgewidth=0,
                )
        handles.append(
            Line2D([], [], **style, marker=MARKS[kind], markersize=5, label=plain_text(arm))
        )
    style_axes(panels[0], "Accuracy (%)")
    panels[0].yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    if worth:
        _worth(panels[1], worth)
    panels[0].set_xscale("log")
    panels[-1].xaxis.set_major_locator(FixedLocator(sizes))
    panels[-1].xaxis.set_major_formatter(FixedFormatter([str(size) for size in sizes]))
    panels[-1].xaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel("real training images", fontsize=9.5, color=INK)
    _legend_below(figure, handles, 2)
    write_figure(figure, path)


def ratio_curve(summary: dict[str, Any], path: Path) -> None:
    """Accuracy of the headline's arm against the number of synthetic images per real one, at each fraction, beside that of `real`."""
    arm, fractions = summary["headline"]["arm"], sorted(summary["fractions"])
    figure = new_figure(WIDTH, 3.3)
    axes = figure.subplots()
    for number, fraction in enumerate(fractions):
        real = next(
            one
            for one in summary["results"]
            if one["fraction"] == fraction and one["arm"] == "real"
        )
        mine = [
            one for one in summary["results"] if one["fraction"] == fraction and one["arm"] == arm
        ]
        place = np.array(
            [
                one["synthetic_images"] / one["real_images"]
                if one["ratio"] is None
                else one["ratio"]
                for one in mine
            ]
        )
        order = np.argsort(place)
        place, mine = place[order], [mine[index] for index in order]
        means = 100 * np.array([one["accuracy"]["mean"] for one in mine])
        low, high = (
            np.clip([100 * one["accuracy"]["interval"][end] for one in mine], 0, 100)
            for end in (0, 1)
        )
        style = DASHES[number % len(DASHES)]
        line = f"{plain_text(arm)}, {real['real_images']} reals"
        axes.plot(
            place,
            means,
            color=COLOURS[kind_of(arm)],
            linestyle=style,
            linewidth=1.8,
            marker=MARKS[kind_of(arm)],
            markersize=6,
            label=line,
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
        axes.vlines(place, low, high, color=COLOURS[kind_of(arm)], linewidth=1.2)
        axes.axhline(
            100 * real["accuracy"]["mean"],
            color=COLOURS["real"],
            linestyle=style,
            linewidth=1.1,
            label=f"real, {real['real_images']} reals",
        )
    style_axes(axes, "Accuracy (%)", xlabel="synthetic images per real one")
    axes.set_xlim(left=0)
    _legend_below(figure, axes.get_legend_handles_labels()[0], 2)
    write_figure(figure, path)


def _shares(axes: Axes, results: Sequence[dict[str, Any]], measure: str, title: str) -> None:
    """A row per arm of one measure in per cent, and `real` as the line to compare with."""
    axes.axvline(
        100 * results[0][measure]["mean"], color=REAL, linewidth=1, linestyle=(0, (4, 3)), zorder=1
    )
    for row, one in enumerate(results):
        _row(axes, row, one["arm"], one[measure], 100)
    _name_rows(axes, results, title)
    left, right = axes.get_xlim()
    axes.set_xlim(left, min(right, 100.8))


def _row(axes: Axes, row: int, arm: str, estimate: dict[str, Any], most: float = np.inf) -> None:
    """One arm's row: mean and interval on its line, one dot per replicate above it."""
    kind = kind_of(arm)
    low, high = (min(100 * bound, most) for bound in estimate["interval"])
    values = [100 * value for value in estimate["per_replicate"]]
    heights = row - np.linspace(0.16, 0.42, len(values))
    axes.plot(
        values,
        heights,
        "o",
        markersize=4 if len(values) <= 12 else 3,
        markerfacecolor="white",
        markeredgecolor=COLOURS[kind],
        markeredgewidth=1 if len(values) <= 12 else 0.7,
        zorder=3,
    )
    axes.plot(
        [low, high],
        [row + 0.1] * 2,
        color=COLOURS[kind],
        linewidth=2.4,
        solid_capstyle="round",
        zorder=2,
    )
    axes.plot(
        100 * estimate["mean"],
        row + 0.1,
        MARKS[kind],
        markersize=6.5,
        markerfacecolor=COLOURS[kind],
        markeredgecolor="white",
        markeredgewidth=0.8,
        zorder=4,
    )


def _name_rows(axes: Axes, results: Sequence[dict[str, Any]], title: str) -> None:
    axes.set_yticks(range(len(results)), [plain_text(one["arm"]) for one in results])
    axes.set_ylim(len(results) - 0.55, -0.6)
    style_axes(axes, title)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    axes.spines["left"].set_visible(False)


def _worth(axes: Axes, worth: Sequence[dict[str, Any]]) -> None:
    """Extra real images of the same effect, with intervals; an arrow where the learning curve does not reach far enough to tell."""
    for one in worth:
        (low, high), at = one["interval"], one["real_images"]
        axes.plot([at, at], [low, high], color=REAL_GAN, linewidth=2.2, solid_capstyle="round")
        for open_end, value, mark in (
            (one["lower_open"], low, "v"),
            (one["upper_open"], high, "^"),
        ):
            if open_end:
                axes.plot(at, value, mark, markersize=7, color=REAL_GAN)
        axes.plot(
            at,
            one["extra"],
            "o",
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=REAL_GAN,
            markeredgewidth=1.6,
            zorder=4,
        )
    axes.axhline(0, color=REAL, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    style_axes(axes, "Worth in further real images")


def _legend_below(figure: Any, handles: list[Any], columns: int) -> None:
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8.3,
        labelcolor=INK,
        handlelength=2.2,
        columnspacing=1.6,
    )


def _short(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"
