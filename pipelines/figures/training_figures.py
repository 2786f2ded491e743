"""How a training went: curves of a GAN's and of a classifier's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipelines.figures.style import (
    CLASS_COLOURS,
    DISCRIMINATOR,
    GAP,
    GENERATOR,
    GUIDE_LINE,
    INK,
    MUTED,
    TRAINING,
    VALIDATION,
    WIDTH,
    new_figure,
    plain_text,
    ring,
    style_axes,
    title_legend,
    write_figure,
)

SMOOTHED_FROM = 40  # points, from which on a curve is drawn faint behind a smoothed one
MARKED_BELOW = 5  # points, below which each is marked

Events = Sequence[Mapping[str, Any]]


def draw_gan_curves(
    journal: Events, classes: Sequence[str], best_step: int | None, path: Path
) -> bool:
    """Draw a GAN's training: losses, gap between real and fake, and each class's figures.

    journal: events with `step`, `d_loss`, `g_loss` and `gap`, and those with `diversity` and
    `distance` of each class; others are passed over. Returns whether there was anything to draw; no
    file is written otherwise.
    """
    losses = [event for event in journal if "d_loss" in event]
    if not losses:
        return False
    figure = new_figure(WIDTH, 8.2)
    loss_axes, gap_axes, diversity_axes, distance_axes = figure.subplots(
        4, 1, sharex=True, height_ratios=(3, 2, 2.4, 2.4)
    )
    steps = np.array([event["step"] for event in losses])
    _draw_curve(loss_axes, steps, _values(losses, "d_loss"), "discriminator", DISCRIMINATOR)
    _draw_curve(loss_axes, steps, _values(losses, "g_loss"), "generator", GENERATOR)
    _draw_curve(gap_axes, steps, _values(losses, "gap"), "_gap", GAP)
    gap_axes.axhline(0, zorder=1, label="0: undecided", **GUIDE_LINE)
    names = [plain_text(label) for label in classes]
    _draw_class_curves(diversity_axes, journal, "diversity", names)
    _draw_class_curves(distance_axes, journal, "distance", ["_"] * len(classes))
    diversity_axes.axhline(1, zorder=1, label="_reals", **GUIDE_LINE)
    diversity_axes.set_ylim(0, max(1.2, diversity_axes.get_ylim()[1]))
    distance_axes.set_ylim(bottom=0)
    if best_step is not None:
        distance_axes.axvline(best_step, zorder=1, label=f"best: step {best_step}", **GUIDE_LINE)
    style_axes(loss_axes, "Loss")
    style_axes(gap_axes, "Gap, real − fake (logits)")
    style_axes(diversity_axes, "Diversity (reals: 1)")
    style_axes(distance_axes, "Distance from the reals", xlabel="training step")
    for axes in (loss_axes, gap_axes, diversity_axes, distance_axes):
        title_legend(axes)
    distance_axes.set_xlim(0, 1.02 * steps[-1])
    distance_axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=(1, 2, 2.5, 5, 10)))
    distance_axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", "\u2009"))
    )
    write_figure(figure, path)
    return True


def draw_training_curves(journal: Events, path: Path) -> None:
    """Draw a classifier's accuracy and loss over epochs, training against validation.

    The weights that were kept are marked. journal: an event per evaluation, with `step`, `epoch`,
    `loss`, `accuracy`, `validation_loss` and `validation_accuracy`, and one with the `best_step`.
    Raises ValueError without any evaluation.
    """
    events = [event for event in journal if "validation_loss" in event]
    if not events:
        raise ValueError(
            "the journal holds no evaluation; expected at least one event with validation_loss"
        )
    best_step = next((event["best_step"] for event in journal if "best_step" in event), None)
    best = next((event for event in events if event["step"] == best_step), None)
    figure = new_figure(WIDTH, 4.2)
    accuracy_axes, loss_axes = figure.subplots(2, 1, sharex=True)
    _draw_evaluations(accuracy_axes, events, best, "accuracy", 100)
    style_axes(accuracy_axes, "Accuracy", ylabel="accuracy (%)")
    _draw_evaluations(loss_axes, events, best, "loss", 1)
    style_axes(loss_axes, "Loss", ylabel="cross-entropy")
    lowest = min(min(event["accuracy"], event["validation_accuracy"]) for event in events)
    highest = max(max(event["loss"], event["validation_loss"]) for event in events)
    accuracy_axes.set_ylim(100 * lowest - 3, 101)
    loss_axes.set_ylim(0, 1.08 * highest)
    loss_axes.set_xlim(0, 1.02 * events[-1]["epoch"])
    loss_axes.set_xlabel("epoch (passes over the training set)", fontsize=9.5, color=INK)
    handles, _ = accuracy_axes.get_legend_handles_labels()
    if best:
        label = f"kept: step {best_step}"
        handles.append(Line2D([], [], label=label, **ring(7, 1.8, VALIDATION)))
    title_legend(accuracy_axes, handles)
    write_figure(figure, path)


def _values(events: Events, name: str) -> np.ndarray:
    return np.array([event[name] for event in events])


def _draw_curve(axes: Axes, steps: np.ndarray, values: np.ndarray, label: str, colour: str) -> None:
    """Draw a curve; of many points also its centred running mean over a twentieth of them."""
    if len(steps) < SMOOTHED_FROM:
        marker = "o" if len(steps) < MARKED_BELOW else None
        axes.plot(steps, values, color=colour, linewidth=1.6, marker=marker, label=label)
        return
    window = np.ones(2 * (len(steps) // 40) + 1)
    smooth = np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
    axes.plot(steps, smooth, color=colour, linewidth=1.8, label=label)


def _draw_class_curves(axes: Axes, journal: Events, name: str, labels: Sequence[str]) -> None:
    """Draw what the events say of each class under a name."""
    events = [event for event in journal if name in event]
    colours = CLASS_COLOURS if len(labels) <= len(CLASS_COLOURS) else [MUTED] * len(labels)
    for index, (label, colour) in enumerate(zip(labels, colours, strict=False)):
        axes.plot(
            [event["step"] for event in events],
            [event[name][index] for event in events],
            color=colour,
            linewidth=1.6,
            marker="o",
            markersize=3,
            label=label,
        )


def _draw_evaluations(
    axes: Axes, events: Events, best: Mapping[str, Any] | None, name: str, scale: float
) -> None:
    """Draw a measure in training and validation over epochs, the kept weights ringed."""
    epochs = [event["epoch"] for event in events]
    marker = "o" if len(events) < MARKED_BELOW else None
    training = [scale * event[name] for event in events]
    axes.plot(epochs, training, color=TRAINING, linewidth=1.4, marker=marker, label="training")
    validation = [scale * event[f"validation_{name}"] for event in events]
    axes.plot(
        epochs, validation, color=VALIDATION, linewidth=1.8, marker=marker, label="validation"
    )
    if best:
        axes.axvline(best["epoch"], zorder=1, **GUIDE_LINE)
        kept = scale * best[f"validation_{name}"]
        axes.plot(best["epoch"], kept, zorder=4, **ring(8, 1.8, VALIDATION))
