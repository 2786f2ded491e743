"""What a comparison leaves: kept whole on disk, and its results put side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.comparison.arms import ARMS as ALL_ARMS
from pipelines.results.arm_result import arm_kind
from pipelines.results.comparison_rows import read_rows, write_rows
from pipelines.results.comparison_summary import ComparisonSummary, Question
from runtime.run import Run
from tests.pipelines.report.summaries import ARMS, make_rows, make_summary

SETTINGS = [(fraction, ratio) for fraction in (0.1, 0.25, 1.0) for ratio in (0.5, 2.0)]


def test_a_summary_is_read_as_it_was_saved(tmp_path: Path) -> None:
    summary, run = make_summary(), Run(tmp_path)
    summary.save(run)
    assert ComparisonSummary.load(run) == summary


def test_a_thinned_class_is_read_as_it_was_saved(tmp_path: Path) -> None:
    summary, run = make_summary(fractions=(0.1, "covid=0.1", 1.0)), Run(tmp_path)
    summary.save(run)
    write_rows(run, make_rows(summary))
    assert ComparisonSummary.load(run) == summary
    assert read_rows(run) == make_rows(summary)
    assert summary.settings()[2:4] == [("covid=0.1", 0.5), ("covid=0.1", 2.0)]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows, run = make_rows(make_summary()), Run(tmp_path)
    write_rows(run, rows)
    assert read_rows(run) == rows


def test_a_summary_knows_its_settings() -> None:
    assert make_summary().settings() == SETTINGS


@pytest.mark.parametrize(("fraction", "ratio"), SETTINGS)
def test_results_of_a_setting_begin_with_real_and_have_every_arm_once(
    fraction: float, ratio: float
) -> None:
    results = make_summary().results_at(fraction, ratio)
    assert [result.arm for result in results] == list(ARMS)


@pytest.mark.parametrize(("fraction", "ratio"), SETTINGS)
def test_results_of_a_setting_are_of_its_ratio_or_of_none(fraction: float, ratio: float) -> None:
    results = make_summary().results_at(fraction, ratio)
    assert {result.ratio for result in results} == {None, ratio}


def test_data_efficiency_is_told_at_the_ratio_of_the_question() -> None:
    entries = make_summary().primary_data_efficiency()
    assert [entry.fraction for entry in entries] == [0.1, 0.25, 1.0]


def test_no_worth_is_told_of_an_arm_without_synthetic_images() -> None:
    summary = make_summary()
    question = Question("real+classical", "real", 1.0, None, "roc_auc")
    assert replace(summary, question=question).primary_data_efficiency() == []


def test_an_arm_of_the_whole_synthetic_set_has_no_ratio() -> None:
    question = Question("gan-only", "real", 1.0, None, "accuracy")
    summary = make_summary(ratios=(None,), fractions=(1.0,), question=question)
    assert summary.settings() == [(1.0, None)]
    assert len(summary.primary_results()) == len(ARMS)


def test_every_arm_but_real_is_compared_with_it() -> None:
    summary = make_summary()
    differences = summary.against_real(summary.primary_results())
    assert [own.condition.arm for own in differences] == [arm for arm in ARMS if arm != "real"]


def test_the_question_comes_first_and_is_the_only_one() -> None:
    first, *others = make_summary().primary_differences()
    assert first.is_primary
    assert first.title == "real+gan+classical − real+classical"
    assert not any(own.is_primary for own in others)


@pytest.mark.parametrize(
    ("kind", "arms"),
    [
        (
            "synthetic",
            {"real+gan", "real+gan+classical", "real+gan-balanced", "gan-only", "gan-pretrain"},
        ),
        ("control", {"real+duplicates", "real+shuffled", "real+oracle"}),
        ("classical", {"real+classical", "real+weights", "real+oversampled"}),
        ("real", {"real"}),
    ],
)
def test_every_arm_has_a_kind(kind: str, arms: set[str]) -> None:
    assert {name for name in ALL_ARMS if arm_kind(name) == kind} == arms


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("real@balance=weights", "real"),
        ("real+classical@balance=weights", "classical"),
        ("real+gan@share=0.5", "synthetic"),
        ("real+A@share=0.5", "synthetic"),
        ("real+shuffled@share=0.5", "control"),
        ("real+A-shuffled@share=0.5", "control"),
    ],
)
def test_a_recipe_is_of_the_kind_of_its_arm(recipe: str, kind: str) -> None:
    assert arm_kind(recipe) == kind
