"""The figures of a comparison, and which of its results belong side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.comparison.arms import ARMS as ALL_ARMS
from pipelines.figures import style as figures
from pipelines.figures.comparison_figures import (
    comparison,
    learning_curve,
    ratio_curve,
    sensitivity_specificity,
)
from pipelines.results.comparison_summary import (
    headline_results,
    headline_worth,
    kind_of,
    results_at,
    settings,
)
from tests.pipelines.report.studies import ARMS, make_summary

HOSTILE = "$a$ & <b>"


def test_results_of_a_setting_begin_with_real_and_have_every_arm_once() -> None:
    summary = make_summary()
    assert settings(summary) == [
        (fraction, ratio) for fraction in (0.1, 0.25, 1.0) for ratio in (0.5, 2.0)
    ]
    for fraction, ratio in settings(summary):
        found = results_at(summary, fraction, ratio)
        assert [one["arm"] for one in found] == list(ARMS)
        assert {one["ratio"] for one in found} == {
            None,
            ratio,
        }
    assert [one["fraction"] for one in headline_worth(summary)] == [0.1, 0.25, 1.0]
    assert (
        headline_worth(
            summary | {"headline": {"arm": "real+classical", "fraction": 1.0, "ratio": None}}
        )
        == []
    )  # no worth at 0.5 was told
    alone = make_summary(
        ratios=(None,),
        fractions=(1.0,),
        headline={"arm": "gan-only", "fraction": 1.0, "ratio": None},
    )
    assert settings(alone) == [(1.0, None)]
    assert len(headline_results(alone)) == len(ARMS)


def test_every_arm_has_a_kind() -> None:
    kinds = {name: kind_of(name) for name in ALL_ARMS}
    assert {name for name, kind in kinds.items() if kind == "synthetic"} == {
        "real+gan",
        "real+gan+classical",
        "gan-only",
        "gan-pretrain",
    }
    assert {name for name, kind in kinds.items() if kind == "control"} == {
        "real+duplicates",
        "real+shuffled",
        "real+oracle",
    }


@pytest.mark.parametrize("draw", [comparison, sensitivity_specificity, learning_curve, ratio_curve])
@pytest.mark.parametrize("arms", [tuple(ARMS), ("real", "real+gan")], ids=len)
def test_figures_of_many_and_of_few_arms(draw, arms: tuple[str, ...], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    summary = make_summary((HOSTILE, "normal"), arms=arms)
    draw(summary, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == round(figures.WIDTH * figures.DPI)
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    for kind, colour in (("real", figures.REAL), ("synthetic", figures.REAL_GAN)):
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (np.abs(colours - wanted).sum(axis=1) < 12).sum() > 50, kind


def test_every_replicate_is_a_dot(tmp_path: Path) -> None:
    """A replicate far from the others is seen where it lies."""
    summary = make_summary(arms=("real", "real+gan"), fractions=(1.0,), ratios=(2.0,))
    before, after = tmp_path / "before.png", tmp_path / "after.png"
    comparison(summary, before)
    summary["results"][1]["accuracy"]["per_replicate"][3] += 0.004
    comparison(summary, after)
    changed = np.asarray(Image.open(before).convert("L")).astype(int) != np.asarray(
        Image.open(after).convert("L")
    ).astype(int)
    rows, columns = np.nonzero(changed)
    assert 20 < changed.sum() < 2000
    assert np.ptp(rows) < 20
    assert np.ptp(columns) < 80
