"""The checklist of pitfalls: each answer follows the files of the study."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.report.checklist import PITFALLS, checklist
from pipelines.report.contents import read_study
from pipelines.report.references import REFERENCES
from pipelines.study.workspace import Workspace
from runtime.files import read_json, write_json
from runtime.run import Run
from tests.pipelines.report.studies import change, make_summary, poor_study


def marks(workspace: Workspace, run: Run) -> dict[str, str]:
    """The mark of every pitfall."""
    return {item.pitfall: item.answer.mark for item in checklist(read_study(workspace, run))}


def test_the_checklist_of_a_full_and_of_a_poor_study(
    full: tuple[Workspace, Run], tmp_path: Path
) -> None:
    found = marks(*full)
    assert list(found) == [pitfall for pitfall, _, _ in PITFALLS]
    assert {source for _, source, _ in PITFALLS} == set(REFERENCES)
    assert {pitfall for pitfall, mark in found.items() if mark == "bad"} == {
        "Too few test patients",
        "Shortcuts outside of the lungs",
        "No external test",
    }
    assert {pitfall for pitfall, mark in found.items() if mark == "open"} == {
        "Many comparisons, one of them lucky",
        "Memorised training images",
        "Synthetic images betray themselves",
    }
    poor = marks(*poor_study(tmp_path))
    assert len(poor) == len(PITFALLS) - 3
    assert poor["Unequal training budgets"] == "good"
    assert poor["Duplicate images across splits"] == "open"
    assert poor["No control arm"] == "open"


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
    imported = read_json(path)["imports"][0]
    write_json(
        path,
        {
            "imports": [
                imported
                | {
                    "near_duplicates": [
                        {"images": [rows[0].file_name, rows[-2].file_name], "bits": 1}
                    ]
                }
            ]
        },
    )


def _sources_apart(workspace: Workspace, run: Run) -> None:
    workspace.write_rows(
        [replace(row, source=f"clinic of {row.label}") for row in workspace.rows()]
    )


def _external(workspace: Workspace, run: Run) -> None:
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


def _leak(workspace: Workspace, run: Run) -> None:
    change(
        workspace.runs / "0002-synthesize" / "config.json",
        trained_on=[row.sha256 for row in workspace.rows()],
    )


def _leak_unknown(workspace: Workspace, run: Run) -> None:
    shutil.rmtree(workspace.root / "replicates")


def _unequal(workspace: Workspace, run: Run) -> None:
    path = run.folder / "results.csv"
    path.write_text(path.read_text().replace(",12800,", ",9999,", 1))


def _second_comparison(workspace: Workspace, run: Run) -> None:
    shutil.copytree(run.folder, workspace.runs / "0099-compare")


def _one_generator(workspace: Workspace, run: Run) -> None:
    summary = read_json(run.folder / "summary.json")
    change(run.folder / "summary.json", budget=summary["budget"] | {"generators": 1})


def _one_run(workspace: Workspace, run: Run) -> None:
    summary = read_json(run.folder / "summary.json")
    for one in summary["results"]:
        one["replicates"] = one["replicates"][:1]
    write_json(run.folder / "summary.json", summary)


def _without(*arms: str):  # type: ignore[no-untyped-def]
    def leave_out(workspace: Workspace, run: Run) -> None:
        summary = read_json(run.folder / "summary.json")
        change(
            run.folder / "summary.json",
            results=[one for one in summary["results"] if one["arm"] not in arms],
        )

    return leave_out


def _shuffled_helps(workspace: Workspace, run: Run) -> None:
    summary = read_json(run.folder / "summary.json")
    for one in summary["results"]:
        if one["arm"] == "real+shuffled":
            one["against_real"]["verdict"] = "helps"
    write_json(run.folder / "summary.json", summary)


def _one_fraction(workspace: Workspace, run: Run) -> None:
    change(
        run.folder / "summary.json",
        **{
            name: value
            for name, value in make_summary(fractions=(1.0,), ratios=(2.0,)).items()
            if name in ("results", "fractions", "ratios", "worth")
        },
    )


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
    change(workspace.find_run("audit").folder / "audit.json", warnings=[])


@pytest.mark.parametrize(
    "spoil, pitfall, mark",
    [
        (_split_patient, "One patient in several splits", "bad"),
        (_lone_patients, "One patient in several splits", "open"),
        (_same_pixels, "Duplicate images across splits", "bad"),
        (_near_pair_apart, "Duplicate images across splits", "bad"),
        (_leak, "The generator saw held-out images", "bad"),
        (_leak_unknown, "The generator saw held-out images", "open"),
        (_second_comparison, "Tuning on the test split", "open"),
        (_unequal, "Unequal training budgets", "bad"),
        (_one_generator, "A single run", "open"),
        (_one_run, "A single run", "bad"),
        (_one_fraction, "Many comparisons, one of them lucky", "good"),
        (_without("real+classical"), "A baseline without classical augmentation", "bad"),
        (_without("real+shuffled", "real+duplicates"), "No control arm", "open"),
        (_shuffled_helps, "No control arm", "bad"),
        (_sources_apart, "Label and source are one", "bad"),
        (_facts_tell, "Size, brightness or borders tell the label", "bad"),
        (_unchecked, "Size, brightness or borders tell the label", "open"),
        (_unaudited, "Shortcuts outside of the lungs", "open"),
        (_clean_audit, "Shortcuts outside of the lungs", "good"),
        (_external, "No external test", "open"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_each_pitfall_is_told_from_the_files(
    own_study: tuple[Workspace, Run], spoil, pitfall: str, mark: str
) -> None:  # type: ignore[no-untyped-def]
    before = marks(*own_study)
    spoil(*own_study)
    after = marks(*own_study)
    assert before[pitfall] != mark
    assert after[pitfall] == mark


def test_copies_and_fingerprints_are_marked(own_study: tuple[Workspace, Run]) -> None:
    path = own_study[0].find_run("score").folder / "score.json"
    share = {"copied_share": {"value": 0.0123}}
    prints = {
        "by_name": {"sharpness": {"synthetic_from_real": {"covid": {"value": 0.31}}}},
        "warnings": [],
    }
    change(
        path,
        memorisation={"pixels": share, "features": share, "n_synthetic": 6, "warnings": []},
        fingerprints=prints,
    )
    answers = {item.pitfall: item.answer for item in checklist(read_study(*own_study))}
    copied, betrayed = (
        answers["Memorised training images"],
        answers["Synthetic images betray themselves"],
    )
    assert copied.mark == betrayed.mark == "good"
    assert "1.2\u00a0%" in copied.text
    assert "sharpness, with a ROC AUC of 69.0" in betrayed.text
    change(
        path,
        memorisation={"pixels": share, "features": share, "n_synthetic": 6, "warnings": ["copies"]},
        fingerprints=prints | {"warnings": ["dark"]},
    )
    assert (
        marks(*own_study)["Memorised training images"]
        == marks(*own_study)["Synthetic images betray themselves"]
        == "bad"
    )
