"""What the page shows of a score: its checks with their figures, and what was left out."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipelines.metrics.confidence_intervals import estimate_share
from pipelines.metrics.label_audit import Answers, LabelAudit, judge_labels
from pipelines.metrics.scores import LeftOut
from pipelines.results.comparison_summary import ComparisonSummary, SetUse
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.image_io import write_gray
from pipelines.study.synthetic import NOTHING
from pipelines.study.workspace import Workspace
from runtime.run import Run
from tests.pipelines.report.conftest import copy_study, shrink_comparison
from tests.pipelines.report.html_page import HOSTILE, Page, page_of
from tests.pipelines.report.made_scores import make_fingerprints, make_memorisation, make_score

FIGURES = ("nearest_pairs.png", "feature_map.png")


def audit_of_ignored_labels() -> LabelAudit:
    """The audit of a generator that makes covid whatever it is asked for."""
    asked = np.arange(40) % 2
    return judge_labels(
        "0003-classify-train",
        "cnn",
        ["covid", "normal"],
        Answers(asked, np.zeros(40, int)),
        Answers(asked, asked),
        [str(place) for place in range(40)],
    )


@pytest.fixture(scope="module")
def checked(full: tuple[Workspace, Run], tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a score with warnings of every kind, and a hostile note."""
    study = shrink_comparison(copy_study(full, tmp_path_factory.mktemp("checked") / "study"))
    run = study[0].find_run("score")
    memorisation = replace(
        make_memorisation(0.25, ["copies: a warning of copies"]),
        discriminator={"covid": estimate_share(6, 12)},
        discriminator_note=f"that of {HOSTILE} at step 250",
        n_unseen=579,
    )
    replace(
        ScoreSummary.load(run),
        memorisation=memorisation,
        label_audit=audit_of_ignored_labels(),
        fingerprints=make_fingerprints(0.31, ["a warning of fingerprints"]),
    ).save(run)
    for name in FIGURES:
        write_gray(run.folder / name, np.zeros((8, 8), np.uint8))
    return page_of(*study)


@pytest.mark.parametrize(
    "text",
    [
        "3 warnings",
        "Copies: a warning of copies.",
        "The generator does not listen to its label",
        "A warning of fingerprints.",
        "25.0\u00a0%",  # copies
        "579 further images of the training split count as held out",
        "50.0\u00a0% (21.1–78.9)",  # membership by the discriminator's logit
        "labels are ignored",
        "sharpness",
        "31.0\u00a0%",  # its ROC AUC
        HOSTILE,
    ],
)
def test_the_page_says_what_the_checks_found(checked: Page, text: str) -> None:
    assert text in checked.text


def test_the_page_shows_the_figures_of_a_score(small: tuple[Workspace, Run], checked: Page) -> None:
    for name in FIGURES:
        (small[0].find_run("score").folder / name).unlink(missing_ok=True)
    without = page_of(*small)
    assert len(checked.attributes("img")) == len(without.attributes("img")) + 2


def test_a_hostile_note_is_no_tag(checked: Page) -> None:
    assert not any("onerror" in attributes for _, attributes in checked.tags)


def test_the_page_says_what_was_left_out(small: tuple[Workspace, Run]) -> None:
    run = small[0].find_run("score")
    replace(
        ScoreSummary.load(run),
        memorisation=LeftOut("too few images"),
        label_audit=LeftOut("no classifier"),
    ).save(run)
    page = page_of(*small)
    assert "Memorisation: left out, too few images" in page.text
    assert "Label audit: left out, no classifier" in page.text


def test_the_page_of_a_study_without_a_score_says_what_was_not_looked_for(
    small: tuple[Workspace, Run],
) -> None:
    shutil.rmtree(small[0].find_run("score").folder)
    assert "tell-tale brightness have not been looked for" in page_of(*small).text


def test_the_page_says_that_a_score_is_of_another_version(small: tuple[Workspace, Run]) -> None:
    run = small[0].find_run("score")
    path = run.folder / "score.json"
    path.write_text(path.read_text().replace('"format": 3,', ""))
    page = page_of(*small)
    assert f"score.json of {run.name} was written by another version of cxr" in page.text
    assert "have not been scored" in page.text


def test_the_scores_of_several_sets_stand_side_by_side(small: tuple[Workspace, Run]) -> None:
    workspace, run = small
    sets = (
        SetUse("mine", "0002-synthesize", None, None, 8, ()),
        SetUse("theirs", "0098-synthesize", NOTHING, "theirs", 0, ()),
    )
    replace(ComparisonSummary.load(run), sets=sets).save(run)
    score = make_score()
    score.save(workspace.find_run("score"))
    unscored = page_of(workspace, run)
    assert "Not scored. Score it with: cxr score --synthetic 0098-synthesize" in unscored.text
    distance, *_ = score.scores
    better = replace(distance, synthetic=replace(distance.synthetic, value=8.76))
    scored = workspace.create_run("score", {"held_out_split": "validation"})
    replace(score, synthetic="0098-synthesize", scores=[better]).save(scored)
    page = page_of(workspace, run)
    assert "Not scored" not in page.text
    assert re.search(
        r"mine\s*0002-synthesize.*?13\.6.*?theirs\s*0098-synthesize.*?8\.76", page.text
    )
