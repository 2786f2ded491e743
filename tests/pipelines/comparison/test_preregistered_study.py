"""A preregistered study: one command for all of its comparisons, and one answer."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from pipelines.comparison.study_answer import judge_question, judge_study, write_sentence
from pipelines.results.study_result import StudyContrast, StudyQuestion, StudyResult
from pipelines.study.fractions import RealFraction
from runtime.estimate import Estimate
from runtime.run import Run, list_runs
from tests.conftest import cxr, made_once, ok
from tests.support.command_steps import IN_FP32

PLAN = """# Does it help?

Words for people.

```toml
[generator]
steps = 4
image_size = 32
width = 4
batch_size = 8
sample_every = 4

[synthetic]
n = 16

[classifier]
steps = 4
batch_size = 8
evaluate_every = 2

[classifier.cnn]
synthetic_share = 0.5

[study]
arms = ["real", "real+classical", "real+gan+classical"]
measure = "balanced-accuracy"
folds = 1
subsets = 1
generators = 1
seeds = 2
fractions = ["0.5", "covid=0.5"]
archs = ["cnn"]
views = ["whole"]

[question]
arm = "real+gan+classical"
reference = "best"
fractions = ["0.5", "covid=0.5"]
arch = "cnn"
view = "whole"
points = 2.0
```
"""
MADE = ["0001-study", "0002-gan-train", "0003-synthesize", "0004-compare", "0005-compare"]


def write_plan(folder: Path, old: str = "", new: str = "") -> Path:
    """Write the plan into a folder, with one text in the place of another."""
    assert old in PLAN
    path = folder / "preregistration.md"
    path.write_text(PLAN.replace(old, new) if old else PLAN)
    return path


@pytest.fixture(scope="session")
def finished_study(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of the plan. Not to be changed: copy it."""

    def make(folder: Path) -> None:
        shutil.copytree(phantom_study, folder)
        ok(cxr("study", write_plan(folder), *IN_FP32, folder=folder))

    return made_once(tmp_path_factory, "preregistered-study", make)


@pytest.fixture
def done(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, to do with as one likes."""
    return Path(shutil.copytree(finished_study, tmp_path / "done"))


def names(folder: Path) -> list[str]:
    return [run.name for run in list_runs(folder)]


def test_a_study_makes_all_comparisons_and_answers(finished_study: Path) -> None:
    assert names(finished_study / "runs") == MADE
    result = StudyResult.load(Run(finished_study / "runs" / "0001-study"))
    assert [own.fraction for own in result.comparisons] == [0.5, "covid=0.5"]
    assert result.departures == ()
    asked = result.asked()
    assert [own.fraction for own in asked] == [0.5, "covid=0.5"]
    assert all("best" in own.roles and own.p_holm is not None for own in asked)
    page = (finished_study / "runs" / "0001-study" / "study.html").read_text()
    assert result.sentence in page
    assert "../0004-compare/report.html" in page
    with open(finished_study / "runs" / "0001-study" / "study.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result.contrasts)
    assert float(rows[0]["difference"]) == 100 * result.contrasts[0].difference.value


def test_a_killed_study_goes_on_and_trains_nothing_twice(done: Path) -> None:
    runs = done / "runs"
    classifiers = sorted((runs / "0005-compare" / "classifiers").glob("*/result.json"))
    lost, kept = classifiers[0], classifiers[1:]
    for file in (lost, runs / "0005-compare" / "result.json", runs / "0001-study" / "result.json"):
        file.unlink()
    kept += (runs / "0004-compare" / "classifiers").glob("*/result.json")
    before = {file: file.stat().st_mtime_ns for file in kept}
    generators = names(done / "replicates")
    ok(cxr("study", done / "preregistration.md", *IN_FP32, folder=done))
    assert names(runs) == MADE
    assert names(done / "replicates") == generators
    assert {file: file.stat().st_mtime_ns for file in kept} == before
    assert lost.exists()


def test_what_is_not_as_preregistered_is_said(done: Path) -> None:
    """A smaller run, of a file whose plan was changed after a first run of it had begun."""
    path = write_plan(done, "points = 2.0", "points = 1.0")
    output = ok(cxr("study", path, "--fractions", 0.5, *IN_FP32, folder=done))
    assert names(done / "runs") == [*MADE, "0006-study"], "the comparison is there already"
    result = StudyResult.load(Run(done / "runs" / "0006-study"))
    departures = (
        "fractions 0.5 in place of 0.5, covid=0.5",
        "preregistration.md was changed after 0001-study had begun: "
        "question points 1 in place of 2",
    )
    assert result.departures == departures
    page = (done / "runs" / "0006-study" / "study.html").read_text()
    for departure in departures:
        assert f"not as preregistered: {departure}" in output
        assert departure in page
    assert "Not made: covid=0.5" in result.sentence


def test_a_plan_leaves_the_study_as_it_is(tiny_study: Path, tmp_path: Path) -> None:
    before = sorted(tiny_study.rglob("*"))
    output = ok(cxr("study", write_plan(tmp_path), "--plan", *IN_FP32, folder=tiny_study))
    assert sorted(tiny_study.rglob("*")) == before
    assert "To train: 3 generators of" in output
    assert "and 12 classifiers; about" in output
    assert "real+gan+classical against the best arm without synthetic images" in output


def test_a_plan_counts_what_is_still_to_be_trained(finished_study: Path) -> None:
    path = finished_study / "preregistration.md"
    output = ok(cxr("study", path, "--plan", "--seeds", 3, *IN_FP32, folder=finished_study))
    assert "To train: 0 generators, and 18 classifiers" in output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("folds = 1", "foldz = 1", "[study] foldz: expected one of arms, measure, folds"),
        ("folds = 1\n", "", "[study] folds: it is missing"),
        ("folds = 1", "folds = 0", "[study] folds 0: expected 2 or more"),
        ("steps = 4\nimage", "steps = 0\nimage", "[generator] steps 0: expected"),
        ("n = 16", "m = 16", "[synthetic] m: expected one of n, seed, snapshot"),
        ("share = 0.5", "share = 7.5", "[classifier] synthetic_share 7.5: expected a share"),
        ('"cnn"]', '"cnnn"]', "[study] archs cnnn: expected some of cnn"),
        ('reference = "best"', 'reference = "most"', "[question] reference most: expected best"),
        ('view = "whole"', 'view = "lungs"', "[question] view lungs: expected of [study]: whole"),
        ("seeds = 2", 'seeds = "2"', "[study] seeds is '2', expected int"),
        ("[synthetic]", "[synthetics]", "[synthetics]: expected the tables [generator]"),
        ("points = 2.0", "points = ", "Invalid value"),
        ("```toml", "```yaml", "expected one block between ```toml and ```, found 0"),
    ],
)
def test_a_preregistration_that_cannot_be_is_refused_in_one_line(
    phantom_study: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    refused = cxr("study", write_plan(tmp_path, old, new), folder=phantom_study)
    assert refused.exit_code == 2
    assert message in refused.output
    assert refused.output.count("\n") == 1
    assert not (phantom_study / "runs").exists()


def test_a_run_without_the_question_is_refused(phantom_study: Path, tmp_path: Path) -> None:
    refused = cxr("study", write_plan(tmp_path), "--archs", "vgg16", folder=phantom_study)
    assert refused.exit_code == 2
    assert "--archs vgg16: the question is about cnn" in refused.output


QUESTION = StudyQuestion(
    arm="real+gan",
    reference="best",
    fractions=(0.1, "covid=0.1"),
    arch="cnn",
    view="whole",
    points=2.0,
)


def contrast(fraction: RealFraction, value: float, reach: float, p: float) -> StudyContrast:
    """A contrast of the question, in points."""
    return StudyContrast(
        view="whole",
        arch="cnn",
        fraction=fraction,
        arm="real+gan",
        reference="real",
        roles=("real", "best"),
        difference=Estimate(value / 100, (value - reach) / 100, (value + reach) / 100, 500),
        detectable=0.03,
        p=p,
        replicates=9,
        asked=True,
    )


@pytest.mark.parametrize(
    ("first", "second", "verdicts", "answer"),
    [
        ((3.0, 2.0, 0.02), (0.0, 3.0, 0.9), ["yes", "cannot tell"], "yes"),
        ((3.0, 2.0, 0.03), (0.0, 3.0, 0.9), ["cannot tell", "cannot tell"], "cannot tell"),
        ((0.5, 1.0, 0.3), (-1.0, 2.0, 0.3), ["no", "no"], "no"),
        ((0.5, 1.0, 0.3), (1.5, 1.0, 0.001), ["no", "cannot tell"], "cannot tell"),
        ((0.5, 1.0, 0.3), None, ["no"], "cannot tell"),
        ((3.0, 2.0, 0.03), None, ["cannot tell"], "cannot tell"),
    ],
    ids=["yes", "not after Holm", "no", "too small, not excluded", "half", "half, Holm for all"],
)
def test_the_question_is_answered_by_the_rule(
    first: tuple[float, float, float],
    second: tuple[float, float, float] | None,
    verdicts: list[str],
    answer: str,
) -> None:
    contrasts = [contrast(0.1, *first)] + ([contrast("covid=0.1", *second)] if second else [])
    judged = judge_question(contrasts, QUESTION)
    assert [own.verdict for own in judged] == verdicts
    assert judge_study(judged, QUESTION) == answer
    sentence = write_sentence(answer, judged, QUESTION, "balanced_accuracy")
    assert sentence.lower().startswith(answer)
