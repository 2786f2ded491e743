"""The look of a study's figures, each one PNG, drawn without pyplot and its global state.

All are 4.4 inches wide or less, but for matrices of many classes, so that their letters stay
readable in a journal's column and on a phone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from runtime.files import atomic

DPI = 200
WIDTH = 4.4  # inches
INK, MUTED, GRID = "#22272e", "#5c6670", "#e3e6ea"
REAL, REAL_GAN = "#34495e", "#e07b00"
DISCRIMINATOR, GENERATOR, GAP = "#00735c", "#a23b90", "#3d5a9e"
TRAINING, VALIDATION = "#7d8791", "#1f6fb2"
CLASS_COLOURS = ["#c1440e", "#1f6fb2", "#5a7d2a", "#7a4fa3", "#b8860b"]
TILE = 128  # pixels, at least, of one image among others
GUIDE_LINE: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (4, 3))}


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of this size in inches, whose axes make room for their labels."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, hspace=0.03)
    return Figure(figsize=(width, height), layout=layout)


def style_axes(axes: Axes, title: str, *, xlabel: str = "", ylabel: str = "") -> None:
    """Give axes a bold title at the left, a faint grid, and no frame above and to the right."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_xlabel(xlabel, fontsize=9.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=9.5, color=INK)
    axes.tick_params(labelsize=8.5, color=GRID, labelcolor=MUTED)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)


def title_legend(axes: Axes, handles: list[Any] | None = None) -> None:
    """Put a legend on the line of the title, at its right end."""
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


def ring(size: float, edge_width: float, colour: str) -> dict[str, Any]:
    """Return the marker of a chosen point: a white disc with a coloured edge."""
    return {
        "marker": "o",
        "linestyle": "",
        "markersize": size,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": edge_width,
    }


def plain_text(text: str) -> str:
    """Make a name from the data safe from matplotlib's reading of $…$ as a formula."""
    return text.replace("$", r"\$")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all.

    It is drawn once: `Figure.savefig` draws twice, the first time for the layout alone.
    """
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with atomic(path) as file:
        pixels.save(file, format="png", dpi=(DPI, DPI))
