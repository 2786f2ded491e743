"""What a classifier's answers are worth, drawn for a paper's column."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from sklearn.metrics import precision_recall_curve, roc_curve

from classifier.learning_rate import RateTest
from classifier.metrics import ClassMetrics, Metrics
from pipelines.figures.style import (
    CLASS_COLOURS,
    GUIDE_LINE,
    INK,
    MUTED,
    REAL,
    WIDTH,
    new_figure,
    plain_text,
    ring,
    style_axes,
    title_legend,
    write_figure,
)
from runtime.estimate import Estimate

DRAWN_MEASURES = (
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
SHORT_TITLES = {"f1": "F1", "roc_auc": "ROC AUC", "matthews": "Matthews corr."}
CLASS_MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1"}
ROWS_PER_CLASS = 3.6  # of bars, the gap between two classes included


def draw_measures(metrics: Metrics, path: Path, title: str) -> None:
    """Draw each measure with its interval, and precision, recall and F1 of each class."""
    classes = len(metrics.classes)
    figure = new_figure(WIDTH, 3.4 + 0.3 * classes * 3)
    upper, lower = figure.subplots(2, 1, height_ratios=(len(DRAWN_MEASURES), 3.2 * classes))
    _draw_estimates(upper, {name: metrics.measures[name] for name in DRAWN_MEASURES})
    style_axes(
        upper,
        f"{title}, 95 % intervals",
        xlabel=f"sensitivity, precision and F1 are of {plain_text(metrics.positive)}",
    )
    upper.grid(axis="y", visible=False)
    _draw_class_bars(lower, metrics.classes)
    style_axes(lower, "By class")
    lower.grid(axis="y", visible=False)
    for axes in (upper, lower):
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    write_figure(figure, path)


def draw_roc_and_precision_recall(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    metrics: Metrics,
    path: Path,
) -> None:
    """Draw both curves of the positive class, or of each of more than two.

    The threshold chosen on validation is marked. labels (N,), probabilities (N, K).
    """
    figure = new_figure(WIDTH, 6.6)
    roc_axes, precision_axes = figure.subplots(2, 1)
    roc_axes.plot([0, 1], [0, 1], **GUIDE_LINE)
    for name in [metrics.positive] if len(classes) == 2 else classes:
        index = classes.index(name)
        colour = CLASS_COLOURS[index % len(CLASS_COLOURS)]
        is_class, scores = labels == index, probabilities[:, index]
        label = f"{plain_text(name)} {metrics.classes[name].roc_auc:.3f}"
        _draw_roc_curve(roc_axes, is_class, scores, colour, label)
        _draw_precision_recall_curve(precision_axes, is_class, scores, colour)
        if name == metrics.positive:
            _mark_threshold(roc_axes, precision_axes, metrics, colour)
    style_axes(roc_axes, "ROC", xlabel="1 − specificity", ylabel="sensitivity")
    title_legend(roc_axes)
    style_axes(
        precision_axes,
        "Precision and recall (dotted: a guess)",
        xlabel="recall",
        ylabel="precision",
    )
    for axes in (roc_axes, precision_axes):
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.03)
    write_figure(figure, path)


def draw_learning_rates(test: RateTest, path: Path) -> None:
    """Draw the averaged loss at rising learning rates, and the rate that was suggested."""
    figure = new_figure(WIDTH, 2.7)
    axes = figure.subplots()
    axes.plot(test.rates, test.losses, color=REAL, linewidth=1.8)
    axes.axvline(test.suggested, label=f"suggested: {test.suggested:.1e}", **GUIDE_LINE)
    axes.set_xscale("log")
    style_axes(axes, "Loss", xlabel="learning rate")
    title_legend(axes)
    write_figure(figure, path)


def draw_reliability(metrics: Metrics, path: Path) -> None:
    """Draw how often the classifier is right against how sure it is; bars count the images."""
    figure = new_figure(WIDTH, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    guess = 1 / len(metrics.classes)
    confidences = [group.confidence for group in metrics.reliability]
    accuracies = [group.accuracy for group in metrics.reliability]
    counts = [group.count for group in metrics.reliability]
    upper.plot([guess, 1], [guess, 1], label="as sure as right", **GUIDE_LINE)
    upper.plot(
        confidences,
        accuracies,
        "o-",
        color=REAL,
        linewidth=1.6,
        markersize=5,
        label="test images, in bins",
    )
    error = metrics.measures["calibration_error"]
    style_axes(upper, f"Calibration error {error.text()}", ylabel="share that is right")
    upper.set_ylim(min([guess, *accuracies]) - 0.05, 1.03)
    upper.legend(loc="lower right", frameon=False, fontsize=8.3, labelcolor=INK)
    lower.bar(confidences, counts, 0.03, color=REAL)
    style_axes(lower, "", xlabel="confidence, probability of the answer", ylabel="images")
    lower.set_xlim(guess - 0.03, 1.02)
    write_figure(figure, path)


def draw_confusion_matrix(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], path: Path, title: str
) -> None:
    """Draw counts and shares of each true class (rows) that was called each class (columns)."""
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.05 * len(classes)
    figure = new_figure(max(side + 1.2, 3.6), side + 1.2)
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("share", ["#f4f6f8", REAL])
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        _label_cell(axes, row, column, int(counts[row, column]), float(shares[row, column]))
    names = [textwrap.fill(plain_text(name), 14) for name in classes]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names, rotation=90, va="center")
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    style_axes(axes, "", xlabel="predicted class", ylabel="true class")
    figure.suptitle(textwrap.fill(plain_text(title), 46), fontsize=10, fontweight="bold", color=INK)
    axes.grid(False)
    axes.grid(which="minor", color="white", linewidth=3)
    axes.tick_params(which="both", length=0, labelsize=9.5)
    axes.spines[:].set_visible(False)
    write_figure(figure, path)


def _draw_estimates(axes: Axes, estimates: Mapping[str, Estimate]) -> None:
    """Draw a row for each measure: its interval as a bar, its value as a diamond and in figures."""
    for row, estimate in enumerate(estimates.values()):
        axes.plot(
            (estimate.low, estimate.high),
            [row, row],
            color=REAL,
            linewidth=2.4,
            solid_capstyle="round",
        )
        axes.plot(
            estimate.value, row, "D", markersize=6, markerfacecolor=REAL, markeredgecolor="white"
        )
        axes.annotate(
            f"{estimate.value:.3f}",
            (estimate.value, row),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=MUTED,
        )
    titles = [SHORT_TITLES.get(name, name.replace("_", " ").capitalize()) for name in estimates]
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.4, -0.8)
    axes.set_xlim(max(min(estimate.low for estimate in estimates.values()) - 0.03, -1), 1.01)


def _draw_class_bars(axes: Axes, classes: Mapping[str, ClassMetrics]) -> None:
    """Draw a group of bars for each class: its precision, recall and F1."""
    rows, titles = [], []
    for place, (label, metrics) in enumerate(classes.items()):
        colour = CLASS_COLOURS[place % len(CLASS_COLOURS)]
        for offset, (name, title) in enumerate(CLASS_MEASURES.items()):
            row, value = place * ROWS_PER_CLASS + offset, getattr(metrics, name)
            rows.append(row)
            titles.append(f"{plain_text(label)}: {title}")
            axes.barh(row, value, 0.82, color=colour)
            axes.annotate(
                f"{value:.3f}",
                (value, row),
                (-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                color="white",
            )
    axes.set_yticks(rows, titles)
    axes.set_ylim(rows[-1] + 0.7, -0.7)
    axes.set_xlim(0, 1)


def _draw_roc_curve(
    axes: Axes, positives: np.ndarray, scores: np.ndarray, colour: str, label: str
) -> None:
    false_rates, true_rates, _ = roc_curve(positives, scores)
    axes.step(false_rates, true_rates, where="post", color=colour, linewidth=1.8, label=label)


def _draw_precision_recall_curve(
    axes: Axes, positives: np.ndarray, scores: np.ndarray, colour: str
) -> None:
    """Draw the curve, and dotted the precision of a guess."""
    precisions, recalls, _ = precision_recall_curve(positives, scores)
    axes.step(recalls, precisions, where="post", color=colour, linewidth=1.8)
    axes.axhline(positives.mean(), color=colour, linewidth=0.8, linestyle=(0, (1, 2)))


def _mark_threshold(roc_axes: Axes, precision_axes: Axes, metrics: Metrics, colour: str) -> None:
    """Ring the point of the threshold that was chosen on validation, on both curves."""
    chosen = {name: estimate.value for name, estimate in metrics.at_threshold.items()}
    roc_axes.plot(
        1 - chosen["specificity"],
        chosen["sensitivity"],
        label=f"threshold {metrics.threshold:.2f}",
        zorder=4,
        **ring(7, 1.6, colour),
    )
    precision_axes.plot(
        chosen["sensitivity"], chosen["precision"], zorder=4, **ring(7, 1.6, colour)
    )


def _label_cell(axes: Axes, row: int, column: int, count: int, share: float) -> None:
    """Write the count and the share of a cell, light on dark cells."""
    colour = "white" if share > 0.5 else INK
    axes.text(
        column,
        row - 0.08,
        f"{count}",
        ha="center",
        va="center",
        fontsize=15,
        fontweight="bold",
        color=colour,
    )
    axes.text(
        column,
        row + 0.22,
        f"{100 * share:.1f} %",
        ha="center",
        va="center",
        fontsize=9,
        color=colour,
    )
