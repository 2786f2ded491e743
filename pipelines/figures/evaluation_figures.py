"""What a classifier's answers are worth, drawn for a paper's column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from classifier.learning_rate import RateTest
from classifier.metrics import Metrics
from pipelines.figures.style import (
    CLASS_COLOURS,
    INK,
    MUTED,
    REAL,
    WIDTH,
    new_figure,
    plain_text,
    style_axes,
    title_legend,
    write_figure,
)

SHOWN = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "precision",
    "f1",
    "roc_auc",
    "average_precision",
    "matthews",
)
NAMES = {"f1": "F1", "roc_auc": "ROC AUC", "matthews": "Matthews corr."}


def measures(metrics: Metrics, path: Path, title: str) -> None:
    """Every measure with its 95 % interval, and precision, recall and F1 of each class."""
    figure = new_figure(WIDTH, 3.4 + 0.3 * len(metrics.classes) * 3)
    upper, lower = figure.subplots(2, 1, height_ratios=(len(SHOWN), 3.2 * len(metrics.classes)))
    for row, name in enumerate(SHOWN):
        measure = metrics.measures[name]
        upper.plot(
            (measure.low, measure.high),
            [row, row],
            color=REAL,
            linewidth=2.4,
            solid_capstyle="round",
        )
        upper.plot(
            measure.value, row, "D", markersize=6, markerfacecolor=REAL, markeredgecolor="white"
        )
        upper.annotate(
            f"{measure.value:.3f}",
            (measure.value, row),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=MUTED,
        )
    upper.set_yticks(
        range(len(SHOWN)), [NAMES.get(name, name.replace("_", " ").capitalize()) for name in SHOWN]
    )
    upper.set_ylim(len(SHOWN) - 0.4, -0.8)
    upper.set_xlim(max(min(metrics.measures[name].low for name in SHOWN) - 0.03, -1), 1.01)
    style_axes(
        upper,
        f"{title}, 95 % intervals",
        xlabel=f"sensitivity, precision and F1 are of {plain_text(metrics.positive)}",
    )
    upper.grid(axis="y", visible=False)
    for place, (name, values) in enumerate(metrics.classes.items()):
        for offset, measure in enumerate(("precision", "recall", "f1")):
            row = place * 3.6 + offset
            lower.barh(
                row, getattr(values, measure), 0.82, color=CLASS_COLOURS[place % len(CLASS_COLOURS)]
            )
            lower.annotate(
                f"{getattr(values, measure):.3f}",
                (getattr(values, measure), row),
                (-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                color="white",
            )
    ticks = [place * 3.6 + offset for place in range(len(metrics.classes)) for offset in range(3)]
    lower.set_yticks(
        ticks,
        [
            f"{plain_text(name)}: {measure}"
            for name in metrics.classes
            for measure in ("precision", "recall", "F1")
        ],
    )
    lower.set_ylim(ticks[-1] + 0.7, -0.7)
    lower.set_xlim(0, 1)
    style_axes(lower, "By class")
    lower.grid(axis="y", visible=False)
    for axes in (upper, lower):
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    write_figure(figure, path)


def roc_and_precision_recall(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    metrics: Metrics,
    path: Path,
) -> None:
    """Both curves of the positive class, or of each of more than two; the threshold chosen on validation is marked.

    labels (N,), probabilities (N, K).
    """
    drawn = [metrics.positive] if len(classes) == 2 else list(classes)
    figure = new_figure(WIDTH, 6.6)
    roc, precision = figure.subplots(2, 1)
    roc.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    for name in drawn:
        index = classes.index(name)
        colour = CLASS_COLOURS[index % len(CLASS_COLOURS)]
        is_it, score = labels == index, probabilities[:, index]
        false, true, _ = roc_curve(is_it, score)
        roc.step(
            false,
            true,
            where="post",
            color=colour,
            linewidth=1.8,
            label=f"{plain_text(name)} {metrics.classes[name].roc_auc:.3f}",
        )
        at, recall, _ = precision_recall_curve(is_it, score)
        precision.step(recall, at, where="post", color=colour, linewidth=1.8)
        precision.axhline(is_it.mean(), color=colour, linewidth=0.8, linestyle=(0, (1, 2)))
        if name == metrics.positive:
            chosen = {measure: value.value for measure, value in metrics.at_threshold.items()}
            label = f"threshold {metrics.threshold:.2f}"
            roc.plot(
                1 - chosen["specificity"],
                chosen["sensitivity"],
                "o",
                markersize=7,
                markerfacecolor="white",
                markeredgecolor=colour,
                markeredgewidth=1.6,
                label=label,
                zorder=4,
            )
            precision.plot(
                chosen["sensitivity"],
                chosen["precision"],
                "o",
                markersize=7,
                markerfacecolor="white",
                markeredgecolor=colour,
                markeredgewidth=1.6,
                zorder=4,
            )
    style_axes(roc, "ROC", xlabel="1 − specificity", ylabel="sensitivity")
    title_legend(roc)
    style_axes(
        precision, "Precision and recall (dotted: a guess)", xlabel="recall", ylabel="precision"
    )
    for axes in (roc, precision):
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.03)
    write_figure(figure, path)


def learning_rates(test: RateTest, path: Path) -> None:
    """The averaged loss at rising learning rates, and the rate that was suggested."""
    figure = new_figure(WIDTH, 2.7)
    axes = figure.subplots()
    axes.plot(test.rates, test.losses, color=REAL, linewidth=1.8)
    axes.axvline(
        test.suggested,
        color=MUTED,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        label=f"suggested: {test.suggested:.1e}",
    )
    axes.set_xscale("log")
    style_axes(axes, "Loss", xlabel="learning rate")
    title_legend(axes)
    write_figure(figure, path)


def reliability(metrics: Metrics, path: Path) -> None:
    """How often the classifier is right against how sure it is; the bars count the images."""
    figure = new_figure(WIDTH, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    lowest = 1 / len(metrics.classes)
    upper.plot(
        [lowest, 1],
        [lowest, 1],
        color=MUTED,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        label="as sure as right",
    )
    upper.plot(
        [one.confidence for one in metrics.reliability],
        [one.accuracy for one in metrics.reliability],
        "o-",
        color=REAL,
        linewidth=1.6,
        markersize=5,
        label="test images, in bins",
    )
    error = metrics.measures["calibration_error"]
    style_axes(
        upper,
        f"Calibration error {error.text()}",
        ylabel="share that is right",
    )
    upper.set_ylim(min([lowest, *(one.accuracy for one in metrics.reliability)]) - 0.05, 1.03)
    upper.legend(loc="lower right", frameon=False, fontsize=8.3, labelcolor=INK)
    lower.bar(
        [one.confidence for one in metrics.reliability],
        [one.count for one in metrics.reliability],
        0.03,
        color=REAL,
    )
    style_axes(lower, "", xlabel="confidence, probability of the answer", ylabel="images")
    lower.set_xlim(lowest - 0.03, 1.02)
    write_figure(figure, path)
