"""Recipes as arms of a comparison, beside the arms that they are made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.results.comparison_rows import ClassifierRow, read_rows
from pipelines.results.comparison_summary import ComparisonSummary
from runtime.run import Run
from tests.conftest import TINY_CLASSIFIER, cxr, ok

RECIPES = [
    "real+gan",
    "real+gan@share=0.5@statistics=separate",
    "real+gan@keep=0.25",
    "gan-pretrain@rate=0.5",
]


@pytest.fixture(scope="module")
def compared(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A comparison of recipes on the tiny study, whose set has 24 images."""
    study = shutil.copytree(tiny_study, tmp_path_factory.mktemp("recipes") / "study")
    options = ("--arms", ",".join(RECIPES), "--seeds", 2, *TINY_CLASSIFIER)
    ok(cxr("compare", *options, folder=study))
    return Run(Path(study) / "runs" / "0004-compare")


def rows_of(run: Run, arm: str) -> list[ClassifierRow]:
    return [row for row in read_rows(run) if row.arm == arm]


def test_every_recipe_is_an_arm_with_the_same_budget(compared: Run) -> None:
    rows = read_rows(compared)
    assert {(row.arm, row.steps) for row in rows} == {(arm, 6) for arm in ["real", *RECIPES]}


@pytest.mark.parametrize(
    ("arm", "count"), [("real+gan", 24), ("real+gan@keep=0.25", 6), ("gan-pretrain@rate=0.5", 24)]
)
def test_a_recipe_keeps_the_images_that_it_says(compared: Run, arm: str, count: int) -> None:
    assert {row.synthetic_images for row in rows_of(compared, arm)} == {count}


def test_the_same_seed_learns_otherwise_by_another_recipe(compared: Run) -> None:
    """So that a recipe is more than a name."""
    folders = [compared.folder / "classifiers" / f"{arm}-f1-g0-d0-s0" for arm in RECIPES]
    assert len({(folder / "predictions.csv").read_text() for folder in folders}) == len(RECIPES)


def test_a_recipe_is_held_against_its_like(compared: Run) -> None:
    differences = ComparisonSummary.load(compared).differences
    assert {own.reference.arm for own in differences if own.condition.arm == RECIPES[1]} == {"real"}


def test_the_page_names_every_recipe(compared: Run) -> None:
    page = (compared.folder / "report.html").read_text(encoding="utf-8")
    assert all(arm in page for arm in RECIPES)


def test_a_share_that_cannot_be_is_refused_before_anything_is_trained(tiny_study: Path) -> None:
    refused = cxr("compare", "--arms", "real+gan@share=2", folder=tiny_study)
    assert refused.exit_code == 2
    assert "--synthetic-share 2.0: expected a share from 0 to 1" in refused.output
