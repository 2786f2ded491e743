"""score.json is read as it was written, and refused in one line when it is another version's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.metrics.scores import LeftOut
from pipelines.results.score_summary import ScoreSummary
from runtime.run import Run, create_run
from tests.pipelines.report.made_scores import make_fingerprints, make_memorisation, make_score


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path, "score", {})


def test_a_summary_is_read_as_it_was_written(run: Run) -> None:
    summary = replace(
        make_score(),
        memorisation=make_memorisation(0.25, ["copies"]),
        fingerprints=make_fingerprints(0.31, []),
    )
    summary.save(run)
    assert ScoreSummary.load(run) == summary


def test_a_reason_is_read_in_the_place_of_what_was_left_out(run: Run) -> None:
    make_score().save(run)
    assert ScoreSummary.load(run).label_audit == LeftOut("the classifier is gone")


def test_the_overall_distances_are_those_of_all_classes(run: Run) -> None:
    (distance,) = make_score().overall_distances
    assert (distance.group, distance.name) == ("overall", "frechet")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 3,', "", "format 1.* make it anew with: cxr score"),
        ('"format": 3', '"format": 4', "format 4.* make it anew with: cxr score"),
        ('"synthetic_p"', '"p"', r"scores\[0\].synthetic_p is missing"),
        ('"n_train": 8', '"n_train": "many"', r"scores\[0\].n_train is 'many', expected int"),
    ],
    ids=["no format", "newer format", "missing field", "wrong type"],
)
def test_another_file_is_refused_in_one_line(run: Run, old: str, new: str, message: str) -> None:
    make_score().save(run)
    path = run.folder / "score.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"score\.json.*{message}") as refused:
        ScoreSummary.load(run)
    assert "\n" not in str(refused.value)
