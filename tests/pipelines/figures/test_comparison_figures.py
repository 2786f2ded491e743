"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.figures.arm_style import KIND_COLOURS
from pipelines.figures.comparison_figures import (
    draw_comparison,
    draw_external,
    draw_sensitivity_specificity,
)
from pipelines.figures.learning_curve import draw_learning_curve
from pipelines.figures.ratio_curve import draw_ratio_curve
from pipelines.figures.style import DPI, REAL, REAL_GAN, WIDTH
from pipelines.results.arm_result import arm_kind
from pipelines.results.comparison_summary import ComparisonSummary, Question
from tests.pipelines.report.summaries import ARMS, make_summary

HOSTILE = "$a$ & <b>"
Draw = Callable[[ComparisonSummary, Path], None]
FIGURES = [
    draw_comparison,
    draw_sensitivity_specificity,
    draw_external,
    draw_learning_curve,
    draw_ratio_curve,
]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize(
    ("arms", "reference"),
    [(tuple(ARMS), "real+classical"), (("real", "real+gan"), "real")],
    ids=["all arms", "two arms"],
)
def test_a_figure_is_as_wide_as_the_page_and_shows_both_kinds_of_arm(
    draw: Draw, arms: tuple[str, ...], reference: str, tmp_path: Path
) -> None:
    question = Question("real+gan", reference, 1.0, 2.0, "roc_auc")
    summary = make_summary((HOSTILE, "normal"), arms=arms, question=question)
    draw(summary, tmp_path / "figure.png")
    image = pixels(tmp_path / "figure.png")
    assert image.shape[1] == round(WIDTH * DPI)
    alone = KIND_COLOURS[arm_kind(reference)] if draw is draw_learning_curve else REAL
    for colour in (alone, REAL_GAN):
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (np.abs(image - wanted).sum(axis=2) < 12).sum() > 50, colour


@pytest.mark.parametrize("draw", [draw_learning_curve, draw_ratio_curve])
def test_a_thinned_class_is_drawn_with_ratios_alone(draw: Draw, tmp_path: Path) -> None:
    arms = ("real", "real+gan")
    question = Question("real+gan", "real", 1.0, 2.0, "roc_auc")
    for name, fractions in (("thinned", (0.1, "covid=0.1", 1.0)), ("plain", (0.1, 1.0))):
        draw(
            make_summary(arms=arms, question=question, fractions=fractions),
            tmp_path / f"{name}.png",
        )
    same = (tmp_path / "thinned.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    assert same == (draw is draw_learning_curve)


def test_the_worth_in_patients_is_drawn_below_the_learning_curve(tmp_path: Path) -> None:
    summary = make_summary()
    untold = replace(summary, data_efficiency=())
    draw_learning_curve(summary, tmp_path / "told.png")
    draw_learning_curve(untold, tmp_path / "untold.png")
    heights = [pixels(tmp_path / name).shape[0] for name in ("told.png", "untold.png")]
    rows = len(summary.primary_data_efficiency())
    assert heights[0] - heights[1] > rows * 0.4 * DPI


def test_subsets_are_drawn_as_dots_of_their_own(tmp_path: Path) -> None:
    """Two subsets far from their mean: all that differs from a study of one is near the points."""
    summary = make_summary(arms=("real", "real+gan"), fractions=(0.1, 1.0))
    results = []
    for result in summary.results:
        replicates = tuple(
            replace(own, subset=number % 2) for number, own in enumerate(result.replicates)
        )
        results.append(replace(result, replicates=replicates) if result.fraction != 1 else result)
    draw_learning_curve(summary, tmp_path / "one.png")
    draw_learning_curve(replace(summary, results=tuple(results)), tmp_path / "two.png")
    one, two = pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png")
    rows, columns = np.nonzero((one != two).any(axis=2))
    assert len(rows) > 20
    assert columns.max() < one.shape[1] / 2  # at few reals, not at all of them
    assert rows.max() < one.shape[0] / 2


def test_a_replicate_far_from_the_others_is_seen_where_it_lies(tmp_path: Path) -> None:
    question = Question("real+gan", "real", 1.0, 2.0, "accuracy")
    summary = make_summary(
        arms=("real", "real+gan"), fractions=(1.0,), ratios=(2.0,), question=question
    )
    real, gan = summary.results
    accuracy = gan.measures.accuracy
    values = list(accuracy.per_replicate)
    values[3] += 0.004
    measures = replace(gan.measures, accuracy=replace(accuracy, per_replicate=tuple(values)))
    moved = replace(summary, results=(real, replace(gan, measures=measures)))
    draw_comparison(summary, tmp_path / "before.png")
    draw_comparison(moved, tmp_path / "after.png")
    changed = (pixels(tmp_path / "before.png") != pixels(tmp_path / "after.png")).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 20 < changed.sum() < 2000
    assert np.ptp(rows) < 20
    assert np.ptp(columns) < 80
