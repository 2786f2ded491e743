"""The checklist of pitfalls: each answer follows the files of the study."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipelines.report.checklist import PITFALLS, checklist
from pipelines.report.contents import read_study
from pipelines.report.references import REFERENCES
from pipelines.results.audit_result import AuditResult, SameSourceTest
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.image_count import ImageCount
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.import_log import NearDuplicate, write_imports
from pipelines.study.workspace import Workspace
from runtime.estimate import Estimate
from runtime.run import Run
from tests.pipelines.report.made_scores import make_fingerprints, make_memorisation, make_score
from tests.pipelines.report.studies import change, give_lungs, poor_study
from tests.pipelines.report.summaries import make_differences

Spoil = Callable[[Workspace, Run], None]


def marks(workspace: Workspace, run: Run) -> dict[str, str]:
    """Return the mark of every pitfall."""
    return {item.pitfall: item.answer.mark for item in checklist(read_study(workspace, run))}


@pytest.fixture(scope="module")
def full_marks(full: tuple[Workspace, Run]) -> dict[str, str]:
    return marks(*full)


@pytest.fixture(scope="module")
def poor_marks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return marks(*poor_study(tmp_path_factory.mktemp("poor")))


def test_a_full_study_answers_every_pitfall_in_order(full_marks: dict[str, str]) -> None:
    assert list(full_marks) == [pitfall.name for pitfall in PITFALLS]


def test_every_source_is_referred_to() -> None:
    assert {pitfall.source for pitfall in PITFALLS} == set(REFERENCES)


@pytest.mark.parametrize(
    ("mark", "pitfalls"),
    [
        (
            "bad",
            {"Too few test patients", "Shortcuts outside of the lungs"},
        ),
        (
            "open",
            {
                "Memorised training images",
                "Synthetic images betray themselves",
                "Nothing makes the classifier look at the lungs",
                "The answer follows the source",
            },
        ),
    ],
)
def test_a_full_study_avoids_most_pitfalls(
    full_marks: dict[str, str], mark: str, pitfalls: set[str]
) -> None:
    assert {pitfall for pitfall, own in full_marks.items() if own == mark} == pitfalls


def test_a_study_without_synthetic_images_is_not_asked_about_them(
    poor_marks: dict[str, str],
) -> None:
    assert len(poor_marks) == len(PITFALLS) - 5


@pytest.mark.parametrize(
    ("pitfall", "mark"),
    [
        ("Unequal training budgets", "good"),
        ("Duplicate images across splits", "open"),
        ("No control arm", "open"),
        ("No external test", "bad"),
    ],
)
def test_a_poor_study_answers_what_it_can(
    poor_marks: dict[str, str], pitfall: str, mark: str
) -> None:
    assert poor_marks[pitfall] == mark


def _split_patient(workspace: Workspace, run: Run) -> None:
    rows = workspace.rows()
    workspace.write_rows([*rows[:-1], replace(rows[-1], patient=rows[1].patient)])


def _lone_patients(workspace: Workspace, run: Run) -> None:
    workspace.write_rows(
        [replace(row, patient=str(number)) for number, row in enumerate(workspace.rows())]
    )


def _same_pixels(workspace: Workspace, run: Run) -> None:
    rows = workspace.rows()
    workspace.write_rows([*rows[:-1], replace(rows[-1], sha256=rows[0].sha256)])


def _near_pair_apart(workspace: Workspace, run: Run) -> None:
    rows, path = workspace.rows(), workspace.data / "import.json"
    pair = NearDuplicate((rows[0].file_name, rows[-2].file_name), bits=1)
    write_imports(path, [replace(workspace.imports()[0], near_duplicates=[pair])])


def _sources_apart(workspace: Workspace, run: Run) -> None:
    workspace.write_rows(
        [replace(row, source=f"clinic of {row.label}") for row in workspace.rows()]
    )


def _no_external_set(workspace: Workspace, run: Run) -> None:
    _change_summary(run, external=None)


def _external_set_that_was_not_tested(workspace: Workspace, run: Run) -> None:
    _no_external_set(workspace, run)
    rows = workspace.rows()
    workspace.write_rows(
        [
            *rows,
            replace(
                rows[0],
                file_name="images/0/else.png",
                sha256="9" * 64,
                split="external",
                source="theirs",
                patient="else",
            ),
        ]
    )


def _guessing_outside(workspace: Workspace, run: Run) -> None:
    changed = []
    for result in ComparisonSummary.load(run).results:
        outside = result.outside["roc_auc"]
        guessing = replace(outside, estimate=replace(outside.estimate, low=0.4))
        changed.append(replace(result, outside=result.outside | {"roc_auc": guessing}))
    _change_summary(run, results=tuple(changed))


def _one_label_outside(workspace: Workspace, run: Run) -> None:
    summary = ComparisonSummary.load(run)
    results = [
        replace(result, outside={"accuracy": result.outside["accuracy"]})
        for result in summary.results
    ]
    assert summary.external is not None
    external = replace(summary.external, undefined="no image of normal")
    _change_summary(run, results=tuple(results), external=external)


def _leak(workspace: Workspace, run: Run) -> None:
    change(
        workspace.runs / "0002-synthesize" / "config.json",
        trained_on=[row.sha256 for row in workspace.rows()],
    )


def _leak_unknown(workspace: Workspace, run: Run) -> None:
    shutil.rmtree(workspace.root / "replicates")


def _collapsed(workspace: Workspace, run: Run) -> None:
    change(workspace.root / "replicates/0002-synthesize/config.json", unhealthy=["covid"])


def _final_scores(workspace: Workspace, run: Run) -> None:
    for _ in range(2):
        scored = workspace.create_run("score", {"held_out_split": "test"})
        replace(make_score(), held_out_split="test").save(scored)


def _score_of_an_earlier_version(workspace: Workspace, run: Run) -> None:
    """It read test images whatever it was asked for, as one of two."""
    scored = workspace.create_run("score", {"held_out_split": "test"})
    replace(make_score(), held_out_split="test").save(scored)
    make_score().save(workspace.create_run("score", {}))


def _unequal(workspace: Workspace, run: Run) -> None:
    path = run.folder / "results.csv"
    path.write_text(path.read_text().replace(",12800,", ",9999,", 1))


def _second_comparison(workspace: Workspace, run: Run) -> None:
    shutil.copytree(run.folder, workspace.runs / "0099-compare")


def _second_comparison_of_an_earlier_format(workspace: Workspace, run: Run) -> None:
    _second_comparison(workspace, run)
    change(workspace.runs / "0099-compare" / "summary.json", format=1)


def _change_summary(run: Run, **changes: Any) -> None:
    replace(ComparisonSummary.load(run), **changes).save(run)


def _one_generator(workspace: Workspace, run: Run) -> None:
    results = ComparisonSummary.load(run).results
    kept = [
        replace(
            result, replicates=tuple(own for own in result.replicates if own.generator in (None, 0))
        )
        for result in results
    ]
    _change_summary(run, results=tuple(kept))


def _one_run(workspace: Workspace, run: Run) -> None:
    results = ComparisonSummary.load(run).results
    _change_summary(
        run,
        results=tuple(replace(result, replicates=result.replicates[:1]) for result in results),
    )


def _without(*arms: str) -> Spoil:
    def leave_out(workspace: Workspace, run: Run) -> None:
        summary = ComparisonSummary.load(run)
        question = replace(summary.question, arm="real+gan", reference="real")
        kept = [own for own in summary.results if own.arm not in arms]
        differences = make_differences(kept, question)
        _change_summary(run, results=tuple(kept), differences=differences, question=question)

    return leave_out


def _shuffled_helps(workspace: Workspace, run: Run) -> None:
    differences = [
        replace(own, verdict="helps") if own.condition.arm == "real+shuffled" else own
        for own in ComparisonSummary.load(run).differences
    ]
    _change_summary(run, differences=tuple(differences))


def _facts_tell(workspace: Workspace, run: Run) -> None:
    change(
        workspace.data / "check.json",
        predictable={"by_source": 0.5, "by_facts": 0.83, "commonest": 0.5},
    )


def _unchecked(workspace: Workspace, run: Run) -> None:
    (workspace.data / "check.json").unlink()


def _unaudited(workspace: Workspace, run: Run) -> None:
    shutil.rmtree(workspace.find_run("audit").folder)


def _clean_audit(workspace: Workspace, run: Run) -> None:
    audited = workspace.find_run("audit")
    replace(AuditResult.load(audited), warnings=()).save(audited)


@pytest.mark.parametrize(
    ("spoil", "pitfall", "mark"),
    [
        (_split_patient, "One patient in several splits", "bad"),
        (_lone_patients, "One patient in several splits", "open"),
        (_same_pixels, "Duplicate images across splits", "bad"),
        (_near_pair_apart, "Duplicate images across splits", "bad"),
        (_leak, "The generator saw held-out images", "bad"),
        (_leak_unknown, "The generator saw held-out images", "open"),
        (_collapsed, "A generator that collapsed", "bad"),
        (_leak_unknown, "A generator that collapsed", "open"),
        (_second_comparison, "Tuning on the test split", "open"),
        (_second_comparison_of_an_earlier_format, "Tuning on the test split", "open"),
        (_final_scores, "Synthetic images chosen on the test split", "bad"),
        (_score_of_an_earlier_version, "Synthetic images chosen on the test split", "bad"),
        (_unequal, "Unequal training budgets", "bad"),
        (_one_generator, "A single run", "open"),
        (_one_run, "A single run", "bad"),
        (_without("real+classical"), "A baseline without classical augmentation", "bad"),
        (_without("real+shuffled", "real+duplicates"), "No control arm", "open"),
        (_shuffled_helps, "No control arm", "bad"),
        (_sources_apart, "Label and source are one", "bad"),
        (_facts_tell, "Size, brightness or borders tell the label", "bad"),
        (_unchecked, "Size, brightness or borders tell the label", "open"),
        (_unaudited, "Shortcuts outside of the lungs", "open"),
        (_clean_audit, "Shortcuts outside of the lungs", "good"),
        (_no_external_set, "No external test", "bad"),
        (_external_set_that_was_not_tested, "No external test", "open"),
        (_guessing_outside, "No external test", "open"),
        (_one_label_outside, "No external test", "open"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_each_pitfall_is_told_from_the_files(
    own_study: tuple[Workspace, Run], spoil: Spoil, pitfall: str, mark: str
) -> None:
    before = marks(*own_study)
    spoil(*own_study)
    after = marks(*own_study)
    assert before[pitfall] != mark
    assert after[pitfall] == mark


@pytest.mark.parametrize(
    ("copy_warnings", "fingerprint_warnings", "mark"),
    [([], [], "good"), (["copies"], ["dark"], "bad")],
    ids=["no warning", "warnings"],
)
def test_copies_and_fingerprints_are_marked(
    own_study: tuple[Workspace, Run],
    copy_warnings: list[str],
    fingerprint_warnings: list[str],
    mark: str,
) -> None:
    scored = own_study[0].find_run("score")
    replace(
        ScoreSummary.load(scored),
        memorisation=make_memorisation(0.0123, copy_warnings),
        fingerprints=make_fingerprints(0.31, fingerprint_warnings),
    ).save(scored)
    answers = {item.pitfall: item.answer for item in checklist(read_study(*own_study))}
    copied = answers["Memorised training images"]
    betrayed = answers["Synthetic images betray themselves"]
    assert copied.mark == betrayed.mark == mark
    assert "1.2\u00a0%" in copied.text
    assert "sharpness, with a ROC AUC of 69.0" in betrayed.text


@pytest.mark.parametrize(
    ("lungs", "mark", "text"),
    [
        pytest.param({}, "good", "Classifiers saw the box of the lungs, in one", id="box"),
        pytest.param({"view": "lungs"}, "good", "with one gray around them", id="lungs"),
        pytest.param({"doubtful": (0, 1)}, "good", "2 images left out (12.5 %", id="same loss"),
        pytest.param({"doubtful": (0, 2)}, "open", "that is a selection", id="selection"),
        pytest.param({"brought": (1, 3, 5)}, "open", "style of the outline", id="mixed masks"),
        pytest.param({"brought": (0, 1)}, "good", "0 images left out", id="masks alike"),
        pytest.param({"trained_on": (0, 15)}, "open", "on 1 of the images that", id="leak"),
    ],
)
def test_a_view_of_lungs_is_judged_by_what_it_leaves_out(
    own_study: tuple[Workspace, Run], lungs: dict[str, Any], mark: str, text: str
) -> None:
    give_lungs(own_study, **lungs)
    study = read_study(Workspace(own_study[0].root), own_study[1])
    answer = next(item.answer for item in checklist(study) if "look at the lungs" in item.pitfall)
    assert answer.mark == mark
    assert text in answer.text.replace("\u00a0", " ")


def same_source(called: float, elsewhere: float | None, auc: float) -> SameSourceTest:
    """Make the test of one source, with intervals of 0.1 on either side."""

    def estimate(value: float) -> Estimate:
        return Estimate(value, value - 0.1, value + 0.1, 50)

    count = ImageCount(images=50, patients=40)
    others = None if elsewhere is None else estimate(elsewhere)
    return SameSourceTest("clinic", count, count, estimate(auc), estimate(called), others)


@pytest.mark.parametrize(
    ("tests", "mark", "text"),
    [
        ((), "open", "No image of another label comes from the source of the covid images"),
        ((same_source(0.9, 0.1, 0.8),), "bad", "of those of other sources 10.0 [0.0, 20.0]"),
        ((same_source(0.2, 0.15, 0.8),), "good", "clinic alone (50 covid, 50 not)"),
        ((same_source(0.2, None, 0.8),), "good", "a ROC AUC of 0.800"),
        ((same_source(0.4, None, 0.55),), "open", "a ROC AUC of 0.550"),
        ((same_source(0.2, None, 0.8), same_source(0.9, 0.1, 0.8)), "bad", "; among images of"),
    ],
    ids=["no such images", "source", "finding", "one source", "guessing", "two sources"],
)
def test_the_answer_follows_the_finding_or_the_source(
    own_study: tuple[Workspace, Run], tests: tuple[SameSourceTest, ...], mark: str, text: str
) -> None:
    audited = own_study[0].find_run("audit")
    audit = AuditResult.load(audited)
    replace(audit, sources=replace(audit.sources, within=tests)).save(audited)
    items = checklist(read_study(*own_study))
    answer = next(item.answer for item in items if item.pitfall == "The answer follows the source")
    assert answer.mark == mark
    assert text in answer.text.replace("\u00a0", " ")
