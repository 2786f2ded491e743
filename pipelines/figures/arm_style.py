"""How arms are drawn: each has the colour and the mark of its kind.

They are told apart by colour-blind readers and in grey print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipelines.figures.style import INK, REAL, REAL_GAN
from pipelines.metrics.names import MEASURE_TITLES
from pipelines.results.arm_result import ArmResult

KIND_COLOURS = {
    "real": REAL,
    "classical": "#1f6fb2",
    "synthetic": REAL_GAN,
    "control": "#8a4f9e",
}
KIND_MARKERS = {"real": "D", "classical": "s", "synthetic": "^", "control": "o"}
REFERENCE_LINE: dict[str, Any] = {"color": REAL, "linewidth": 1, "linestyle": (0, (4, 3))}


def measure_axis_title(measure: str) -> str:
    """Name a measure as an axis of per cent does: ROC AUC (%)."""
    title = MEASURE_TITLES[measure]
    return f"{title[0].upper()}{title[1:]} (%)"


def percentages(
    results: Sequence[ArmResult], measure: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a measure of arms and the ends of its interval in per cent, (N,) each."""
    estimates = [result.measures.of(measure) for result in results]
    means = 100 * np.array([estimate.value for estimate in estimates])
    low = np.clip([100 * estimate.low for estimate in estimates], 0, 100)
    high = np.clip([100 * estimate.high for estimate in estimates], 0, 100)
    return means, low, high


def add_legend(figure: Figure, handles: Sequence[Any]) -> None:
    """Put a legend of two columns below a figure."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=8.3,
        labelcolor=INK,
        handlelength=2.2,
        columnspacing=1.6,
    )
