"""The figure of a reproduction: a paper's claim, and what is left of it rung by rung."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipelines.figures.arm_style import KIND_COLOURS, KIND_MARKERS, REFERENCE_LINE, add_legend
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
from pipelines.results.arm_result import arm_kind
from pipelines.results.reproduction_result import ReproductionResult, Rung
from runtime.estimate import Estimate

RUNG_HEIGHT = 0.36  # inches
SHOWN_ARMS = ("real", "real+gan")
CLAIM = "the paper"


def draw_ladder(result: ReproductionResult, path: Path) -> None:
    """Draw a row for the paper and each rung: accuracy of both arms, and how far they differ.

    Small marks are single runs, large ones what is reported, with its 95 % interval.
    """
    rows = 1 + len(result.ladder)
    figure = new_figure(WIDTH, 2.3 + 2 * RUNG_HEIGHT * rows)
    upper, lower = figure.subplots(2, 1)
    claim = [_value(result.rows[0].arms[arm]["accuracy"]) for arm in SHOWN_ARMS]
    _draw_claim(upper, lower, claim)
    for row, rung in enumerate(result.ladder, start=1):
        _draw_accuracies(upper, row, rung)
        _draw_difference(lower, row, rung)
    upper.axvline(100 * result.commonest, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    lower.axvline(0, **REFERENCE_LINE, zorder=1)
    style_axes(upper, "Accuracy", xlabel="Accuracy (%)")
    style_axes(lower, "Gain by synthetic images", xlabel="Difference in accuracy (points)")
    names = [CLAIM, *(rung.title + ("*" if rung.leaky else "") for rung in result.ladder)]
    fair = max(place for place, rung in enumerate(result.ladder, start=1) if _is_whole(rung))
    for axes in (upper, lower):
        axes.set_yticks(range(rows), [plain_text(name) for name in names])
        axes.set_ylim(rows - 0.4, -0.6)
        axes.axhline(fair + 0.5, color=GRID, linewidth=1.2)
        axes.axhline(0.5, color=GRID, linewidth=1.2)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=INK)
        axes.spines["left"].set_visible(False)
        axes.get_yticklabels()[fair].set_fontweight("bold")
    add_legend(figure, _handles(result.commonest))
    write_figure(figure, path)


def _is_whole(rung: Rung) -> bool:
    """Whether a rung is of images as they are; the last of those is the fair protocol."""
    return not rung.averaged or rung.name == "all-runs"


def _draw_claim(upper: Axes, lower: Axes, claim: list[float]) -> None:
    upper.plot([100 * value for value in claim], [0, 0], color=MUTED, linewidth=1, zorder=1)
    for arm, value in zip(SHOWN_ARMS, claim, strict=True):
        _mark(upper, arm, 100 * value, 0, filled=False)
    _mark(lower, "real+gan", 100 * (claim[1] - claim[0]), 0, filled=False)


def _draw_accuracies(axes: Axes, row: int, rung: Rung) -> None:
    """Draw both arms of a rung, the one above the other."""
    for arm, height in zip(SHOWN_ARMS, (row - 0.16, row + 0.16), strict=True):
        kind = arm_kind(arm)
        axes.plot(
            [100 * value for value in rung.runs[arm]],
            [height] * len(rung.runs[arm]),
            KIND_MARKERS[kind],
            markersize=2.6,
            color=KIND_COLOURS[kind],
            alpha=0.45,
            markeredgewidth=0,
        )
        accuracy = rung.reported.arms[arm]["accuracy"]
        _draw_interval(axes, arm, accuracy, height)
        _mark(axes, arm, 100 * accuracy.value, height, filled=not rung.leaky)


def _draw_difference(axes: Axes, row: int, rung: Rung) -> None:
    """Draw a rung's gain, and that of each run against the run of the same seed."""
    pairs = zip(rung.runs["real"], rung.runs["real+gan"], strict=True)
    singles = [100 * (own - real) for real, own in pairs]
    axes.plot(
        singles, [row + 0.22] * len(singles), "|", markersize=4.5, color=MUTED, markeredgewidth=0.9
    )
    _draw_interval(axes, "real+gan", rung.reported.difference, row)
    _mark(axes, "real+gan", 100 * rung.reported.difference.value, row, filled=not rung.leaky)


def _draw_interval(axes: Axes, arm: str, estimate: Estimate, height: float) -> None:
    axes.plot(
        [100 * estimate.low, 100 * estimate.high],
        [height] * 2,
        color=KIND_COLOURS[arm_kind(arm)],
        linewidth=1.6,
        solid_capstyle="round",
        zorder=2,
    )


def _mark(axes: Axes, arm: str, value: float, height: float, *, filled: bool) -> None:
    kind = arm_kind(arm)
    axes.plot(
        value,
        height,
        KIND_MARKERS[kind],
        markersize=5.6,
        markerfacecolor=KIND_COLOURS[kind] if filled else "white",
        markeredgecolor="white" if filled else KIND_COLOURS[kind],
        markeredgewidth=0.7 if filled else 1.2,
        zorder=3,
    )


def _value(measure: Estimate | float) -> float:
    return measure.value if isinstance(measure, Estimate) else measure


def _handles(commonest: float) -> list[Line2D]:
    arms = [
        Line2D(
            [],
            [],
            color=KIND_COLOURS[arm_kind(arm)],
            marker=KIND_MARKERS[arm_kind(arm)],
            markersize=5.6,
            label=title,
        )
        for arm, title in zip(SHOWN_ARMS, ("real images", "real and synthetic"), strict=True)
    ]
    return [
        *arms,
        Line2D([], [], color=MUTED, marker="|", linestyle="", label="one run and its partner"),
        Line2D(
            [],
            [],
            color=MUTED,
            linewidth=0.9,
            linestyle=(0, (1, 2)),
            label=f"all images called alike: {100 * commonest:.0f} %",
        ),
    ]
