"""How long a comparison is said to take."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.comparison.forecast import Forecast
from pipelines.comparison.replicates import expected_seconds
from runtime.files import write_json
from runtime.run import Run
from tests.conftest import TINY_CLASSIFIER, cxr, ok

ON_CPU = ["--device", "cpu", "--precision", "fp32"]


@pytest.mark.parametrize(
    ("processes", "seconds"),
    [(1, 10 * 60 + 100 * 36), (4, 3 * 60 + 25 * 36), (20, 60 + 5 * 36)],
)
def test_processes_share_what_is_to_be_trained(processes: int, seconds: float) -> None:
    assert Forecast(10, 60.0, 100, 36.0, "", processes).hours == pytest.approx(seconds / 3600)


def plan(study: Path, *options: object) -> str:
    """What a plan says, which leaves the study as it is."""
    before = sorted(study.rglob("*"))
    output = ok(cxr("compare", "--plan", *options, *ON_CPU, folder=study))
    assert sorted(study.rglob("*")) == before
    return output


def test_generators_take_as_long_as_the_first(tiny_study: Path) -> None:
    seconds = Run(tiny_study / "runs" / "0001-gan-train").result["seconds"]
    output = plan(tiny_study, "--folds", 3, *TINY_CLASSIFIER)
    assert f"3 generators of {seconds:.1f} seconds, as the first one took" in output


@pytest.mark.parametrize(
    ("changes", "images", "share"),
    [
        ({}, 1000, 1),
        ({"steps": 1000}, 1000, 1),  # the first one's time was limited
        ({"max_epochs": 1, "batch_size": 8}, 1000, 1),
        ({"max_epochs": 1, "batch_size": 8}, 16, 2 / 8),
    ],
)
def test_generators_of_few_images_take_less(
    study: Path, changes: dict[str, int], images: int, share: float
) -> None:
    """The first one took 8 steps."""
    first = Run(study / "runs" / "0001-gan-train")
    write_json(first.folder / "config.json", first.config | changes)
    seconds = first.result["seconds"]
    assert expected_seconds(first, images) == pytest.approx(share * seconds)


def test_classifiers_take_as_long_as_finished_ones(tiny_study: Path) -> None:
    seconds = Run(tiny_study / "runs" / "0003-classify-train").result["seconds"]
    output = plan(tiny_study, "--arms", "real+classical", *TINY_CLASSIFIER)
    expected = f"10 classifiers of {seconds:.1f} seconds, as 1 finished of cnn and 6 steps took"
    assert expected in output


@pytest.mark.parametrize(
    "options",
    [["--steps", 40], ["--arch", "svm"], ["--budget", "epochs", "--steps", 40]],
    ids=str,
)
def test_where_there_are_none_some_steps_are_tried(tiny_study: Path, options: list[object]) -> None:
    output = plan(tiny_study, "--arms", "real+duplicates", *options)
    assert "10 classifiers of" in output
    assert "by 10 steps that were tried" in output
