"""The figures of a study, each one PNG, drawn without pyplot and its global state.

All are 4.4 inches wide or less, but for matrices of many classes, so that their letters stay readable in a journal's column and on a phone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from runtime.files import atomic

DPI = 200
WIDTH = 4.4  # inches
INK, MUTED, GRID = "#22272e", "#5c6670", "#e3e6ea"
REAL, REAL_GAN = "#34495e", "#e07b00"
DISCRIMINATOR, GENERATOR, GAP = "#00735c", "#a23b90", "#3d5a9e"
TRAINING, VALIDATION = "#7d8791", "#1f6fb2"
CLASS_COLOURS = ["#c1440e", "#1f6fb2", "#5a7d2a", "#7a4fa3", "#b8860b"]
TILE = 128  # pixels, at least, of one image on a sheet
MANY = 40  # points of a curve from which on the raw line is drawn faint behind a smoothed one


def gan_curves(
    journal: list[dict[str, Any]], classes: Sequence[str], best_step: int | None, path: Path
) -> bool:
    """GAN training as its doctor saw it: losses, gap between real and fake, and of each class diversity and distance.

    journal: events with `step`, `d_loss`, `g_loss` and `gap`, and those with `diversity` and `distance`; others are passed
    over. Returns whether there was anything to draw; no file is written otherwise.
    """
    losses = [event for event in journal if "d_loss" in event]
    checks = [event for event in journal if "diversity" in event]
    scores = [event for event in journal if "distance" in event]
    if not losses:
        return False
    figure = new_figure(WIDTH, 8.2)
    top, middle, variety, closeness = figure.subplots(
        4, 1, sharex=True, height_ratios=(3, 2, 2.4, 2.4)
    )
    steps = np.array([event["step"] for event in losses])
    for name, label, colour in (
        ("d_loss", "discriminator", DISCRIMINATOR),
        ("g_loss", "generator", GENERATOR),
    ):
        _curve(top, steps, np.array([event[name] for event in losses]), label, colour)
    _curve(middle, steps, np.array([event["gap"] for event in losses]), "_gap", GAP)
    _level(middle, 0, "0: undecided")
    colours = (
        CLASS_COLOURS[: len(classes)]
        if len(classes) <= len(CLASS_COLOURS)
        else [MUTED] * len(classes)
    )
    for index, (label, colour) in enumerate(zip(classes, colours)):
        for axes, name, events, shown in (
            (variety, "diversity", checks, plain_text(label)),
            (closeness, "distance", scores, "_"),
        ):
            values = [event[name][index] for event in events]
            axes.plot(
                [event["step"] for event in events],
                values,
                color=colour,
                linewidth=1.6,
                marker="o",
                markersize=3,
                label=shown,
            )
    _level(variety, 1, "_reals")
    variety.set_ylim(0, max(1.2, variety.get_ylim()[1]))
    closeness.set_ylim(bottom=0)
    if best_step is not None:
        closeness.axvline(
            best_step,
            color=MUTED,
            linewidth=0.9,
            linestyle=(0, (4, 3)),
            zorder=1,
            label=f"best: step {best_step}",
        )
    style_axes(top, "Loss")
    style_axes(middle, "Gap, real − fake (logits)")
    style_axes(variety, "Diversity (reals: 1)")
    style_axes(closeness, "Distance from the reals", xlabel="training step")
    for axes in (top, middle, variety, closeness):
        title_legend(axes)
    closeness.set_xlim(0, 1.02 * steps[-1])
    closeness.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=(1, 2, 2.5, 5, 10)))
    closeness.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", "\u2009"))
    )
    write_figure(figure, path)
    return True


def training_curves(journal: list[dict[str, Any]], path: Path) -> None:
    """Accuracy and loss of a classifier over epochs, training against validation, the kept weights marked.

    journal: one event per look at the validation images, with `step`, `epoch`, `loss`, `accuracy`,
    `validation_loss` and `validation_accuracy`, and one with the `best_step`. Raises ValueError without any look.
    """
    events = [event for event in journal if "validation_loss" in event]
    if not events:
        raise ValueError(
            "the journal holds no evaluation; expected at least one event with validation_loss"
        )
    best_step = next((event["best_step"] for event in journal if "best_step" in event), None)
    best = next((event for event in events if event["step"] == best_step), None)
    epochs = [event["epoch"] for event in events]
    figure = new_figure(WIDTH, 4.2)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, name, scale, label in zip(
        panels, ("accuracy", "loss"), (100, 1), ("accuracy (%)", "cross-entropy")
    ):
        marker = "o" if len(events) < 5 else None
        axes.plot(
            epochs,
            [scale * event[name] for event in events],
            color=TRAINING,
            linewidth=1.4,
            marker=marker,
            label="training",
        )
        kept = [scale * event[f"validation_{name}"] for event in events]
        axes.plot(epochs, kept, color=VALIDATION, linewidth=1.8, marker=marker, label="validation")
        if best:
            axes.axvline(best["epoch"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            axes.plot(
                best["epoch"],
                scale * best[f"validation_{name}"],
                "o",
                markersize=8,
                markerfacecolor="white",
                markeredgecolor=VALIDATION,
                markeredgewidth=1.8,
                zorder=4,
            )
        style_axes(axes, name.capitalize(), ylabel=label)
    panels[0].set_ylim(
        100 * min(min(event["accuracy"], event["validation_accuracy"]) for event in events) - 3, 101
    )
    panels[1].set_ylim(
        0, 1.08 * max(max(event["loss"], event["validation_loss"]) for event in events)
    )
    panels[1].set_xlim(0, 1.02 * epochs[-1])
    panels[1].set_xlabel("epoch (passes over the training set)", fontsize=9.5, color=INK)
    handles, _ = panels[0].get_legend_handles_labels()
    if best:
        handles.append(
            Line2D(
                [],
                [],
                marker="o",
                linestyle="",
                markersize=7,
                markerfacecolor="white",
                markeredgecolor=VALIDATION,
                markeredgewidth=1.8,
                label=f"kept: step {best_step}",
            )
        )
    title_legend(panels[0], handles)
    write_figure(figure, path)


def confusion_matrix(
    confusion: list[list[int]], classes: list[str], path: Path, title: str
) -> None:
    """Counts and shares of each true class (rows) that was called each class (columns)."""
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.05 * len(classes)
    figure = new_figure(max(side + 1.2, 3.6), side + 1.2)
    axes = figure.subplots()
    axes.imshow(
        shares, cmap=LinearSegmentedColormap.from_list("share", ["#f4f6f8", REAL]), vmin=0, vmax=1
    )
    for row, column in np.ndindex(counts.shape):
        colour = "white" if shares[row, column] > 0.5 else INK
        axes.text(
            column,
            row - 0.08,
            f"{counts[row, column]}",
            ha="center",
            va="center",
            fontsize=15,
            fontweight="bold",
            color=colour,
        )
        axes.text(
            column,
            row + 0.22,
            f"{100 * shares[row, column]:.1f} %",
            ha="center",
            va="center",
            fontsize=9,
            color=colour,
        )
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


def image_sheet(groups: list[tuple[str, np.ndarray]], path: Path, columns: int = 8) -> None:
    """Images side by side, each group under its heading, whole pixels repeated so that none is blurred.

    groups: (heading, uint8 (N, S, S)) pairs of one size S.
    """
    size = groups[0][1].shape[1]
    scale = math.ceil(TILE / size)
    tile, gap = scale * size, TILE // 16
    font = ImageFont.truetype(findfont("DejaVu Sans:bold"), TILE // 5)
    heading = TILE // 3
    heights = [
        heading + math.ceil(len(images) / columns) * (tile + gap) + gap for _, images in groups
    ]
    sheet = Image.new("L", (columns * (tile + gap) - gap, sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for (text, images), height in zip(groups, heights):
        draw.text(
            (0, top + heading / 2 - gap / 2),
            _fitting(text, font, sheet.width),
            fill=30,
            font=font,
            anchor="lm",
        )
        for number, image in enumerate(images):
            row, column = divmod(number, columns)
            enlarged = Image.fromarray(image).resize((tile, tile), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (column * (tile + gap), top + heading + row * (tile + gap)))
        top += height
    with atomic(path) as file:
        sheet.crop((0, 0, sheet.width, sheet.height - 2 * gap)).save(file, "PNG")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, whose axes make room for their labels."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, hspace=0.03)
    return figure


def style_axes(axes: Axes, title: str, *, xlabel: str = "", ylabel: str = "") -> None:
    """The look of every figure: a bold title at the left, a faint grid, no frame above and to the right."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_xlabel(xlabel, fontsize=9.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=9.5, color=INK)
    axes.tick_params(labelsize=8.5, color=GRID, labelcolor=MUTED)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)


def title_legend(axes: Axes, handles: list[Line2D] | None = None) -> None:
    """A legend on the line of the title, at its right end."""
    axes.legend(
        handles=handles or axes.get_legend_handles_labels()[0],
        loc="lower right",
        bbox_to_anchor=(1, 1.0),
        ncols=3,
        frameon=False,
        fontsize=8.3,
        labelcolor=INK,
        handlelength=1.3,
        handletextpad=0.4,
        columnspacing=0.9,
        borderpad=0.1,
        borderaxespad=0.2,
    )


def plain_text(text: str) -> str:
    """A name from the data, safe from matplotlib's reading of $…$ as a formula."""
    return text.replace("$", r"\$")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with atomic(path) as file:
        figure.savefig(file, format="png", dpi=DPI)


def _curve(axes: Axes, steps: np.ndarray, values: np.ndarray, label: str, colour: str) -> None:
    """A curve; of many points also its centred running mean over a twentieth of them."""
    if len(steps) < MANY:
        axes.plot(
            steps,
            values,
            color=colour,
            linewidth=1.6,
            marker="o" if len(steps) < 5 else None,
            label=label,
        )
        return
    window = np.ones(2 * (len(steps) // 40) + 1)
    smooth = np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
    axes.plot(steps, smooth, color=colour, linewidth=1.8, label=label)


def _level(axes: Axes, value: float, meaning: str) -> None:
    axes.axhline(value, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1, label=meaning)


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels."""
    kept = text
    while kept and font.getlength(kept if kept == text else kept + "…") > width:
        kept = kept[:-1]
    return kept if kept == text else kept + "…"
