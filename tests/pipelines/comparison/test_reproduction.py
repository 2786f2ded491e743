"""A paper's experiment, by its own protocol and by a fair one, and the ladder between them."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan.config import PRESETS
from pipelines.comparison.paper_protocol import PAPERS
from pipelines.comparison.protocol_ladder import split_by_image
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.reproduction_result import ReproductionResult
from pipelines.study.labels import list_classes
from pipelines.study.split import load_splits
from pipelines.study.workspace import Workspace
from runtime.estimate import Estimate
from runtime.run import Run, list_runs
from tests.conftest import cxr, ok

COMMAND = ["reproduce", "covidgan", "--scale", 0.00003, "--seeds", 2]


@pytest.fixture(scope="module")
def reproduced(
    phantom_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """A study with a finished reproduction, and what the command printed.

    With a narrow generator and the cnn in the place of VGG16, for speed.
    """
    with pytest.MonkeyPatch.context() as patch:
        small = replace(PAPERS["covidgan"], classifier={"arch": "cnn", "batch_size": 16})
        patch.setitem(PAPERS, "covidgan", small)
        patch.setitem(PRESETS, "covidgan", PRESETS["covidgan"] | {"width": 4, "batch_size": 4})
        study = Path(shutil.copytree(phantom_study, tmp_path_factory.mktemp("paper") / "study"))
        yield study, ok(cxr(*COMMAND, folder=study))


def test_the_papers_table_stands_beside_both_protocols(reproduced: tuple[Path, str]) -> None:
    study, output = reproduced
    for word in ("Waheed", "85.0", "its protocol, here", "fair protocol, here", "1 epochs"):
        assert word in output
    paper, own, fair = result_of(study).rows
    assert paper.arms["real"]["accuracy"] == 0.85
    assert paper.arms["real+gan"]["specificity"] == 0.97
    assert own.budget.startswith("1 epochs")
    with_gan = next(own for own in summary_of(study).results if own.arm == "real+gan")
    fair_accuracy = fair.arms["real+gan"]["accuracy"]
    assert isinstance(fair_accuracy, Estimate)
    assert fair_accuracy.value == with_gan.measures.accuracy.value


def test_the_ladder_ends_at_the_fair_comparison(reproduced: tuple[Path, str]) -> None:
    study, _ = reproduced
    ladder = {rung.name: rung for rung in result_of(study).ladder}
    assert list(ladder) == [
        "leaky-split-by-image",
        "split-by-patient",
        "equal-steps",
        "chosen-by-validation",
        "all-runs",
        "lungs-covered",
        "border-only",
    ]
    compared = summary_of(study).primary_difference().differences.accuracy
    fair = ladder["all-runs"].reported.difference
    assert (fair.value, fair.low, fair.high) == (compared.value, compared.low, compared.high)


def test_a_rung_reports_its_first_run_or_the_mean_of_all(reproduced: tuple[Path, str]) -> None:
    for rung in result_of(reproduced[0]).ladder:
        real, synthetic = (np.array(rung.runs[arm]) for arm in ("real", "real+gan"))
        changes = synthetic - real
        wanted = changes.mean() if rung.averaged else changes[0]
        assert rung.reported.difference.value == pytest.approx(wanted)
        assert rung.mean.arms["real"]["accuracy"].value == pytest.approx(real.mean())


def test_only_the_leaky_rung_is_leaky_and_it_says_so(reproduced: tuple[Path, str]) -> None:
    study, output = reproduced
    result = result_of(study)
    assert [rung.name for rung in result.ladder if rung.leaky] == ["leaky-split-by-image"]
    assert result.leak.of_known_patients > 0 < result.leak.seen_by_generator
    page = (study / "runs" / "0001-reproduce" / "reproduce.html").read_text(encoding="utf-8")
    for text in (output, page, result.ladder[0].sentence):
        assert "leaky on purpose" in text.lower()


def test_page_and_report_lead_to_each_other(reproduced: tuple[Path, str]) -> None:
    study, output = reproduced
    runs = study / "runs"
    page = (runs / "0001-reproduce" / "reproduce.html").read_text(encoding="utf-8")
    report = (runs / "0004-compare" / "report.html").read_text(encoding="utf-8")
    assert str(runs / "0001-reproduce" / "reproduce.html") in output
    assert 'href="../0004-compare/report.html"' in page
    assert 'href="../0001-reproduce/reproduce.html"' in report


def test_no_network_of_the_ladder_is_kept(reproduced: tuple[Path, str]) -> None:
    ladder = reproduced[0] / "runs" / "0001-reproduce" / "ladder"
    assert len(list(ladder.rglob("predictions.csv"))) == 6 * 2 * 2
    assert not list(ladder.rglob("classifier.pt"))


def test_the_tables_have_a_row_for_each_protocol_and_rung(reproduced: tuple[Path, str]) -> None:
    folder = reproduced[0] / "runs" / "0001-reproduce"
    with open(folder / "ladder.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ladder = result_of(reproduced[0]).ladder
    assert [row["rung"] for row in rows] == [rung.name for rung in ladder]
    assert [row["leaky_on_purpose"] for row in rows] == ["yes", *["no"] * 6]
    assert float(rows[1]["first_difference_value"]) == ladder[1].first.difference.value
    with open(folder / "reproduce.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 3


def test_a_second_call_finds_all_that_the_first_one_left(reproduced: tuple[Path, str]) -> None:
    study, _ = reproduced
    made = [run.name for run in list_runs(study / "runs")]
    assert made[:4] == ["0001-reproduce", "0002-gan-train", "0003-synthesize", "0004-compare"]
    (study / "runs" / "0001-reproduce" / "result.json").unlink()
    before = result_of(study)
    ok(cxr(*COMMAND, folder=study))
    assert [run.name for run in list_runs(study / "runs")] == made, "nothing is made twice"
    assert result_of(study) == before


def test_another_generator_takes_the_papers_place(reproduced: tuple[Path, str]) -> None:
    study, _ = reproduced
    ok(cxr(*COMMAND, "--generator", 2, folder=study))
    made = [run.name for run in list_runs(study / "runs")][4:]
    assert [name.partition("-")[2] for name in made] == ["reproduce", "synthesize", "compare"]
    result = ReproductionResult.load(Run(study / "runs" / made[0]))
    assert result.generator == "0002-gan-train"
    assert any("In the place of the paper's GAN" in text for text in result.departures)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--scale", 2], "--scale 2"), (["--generator", 3], "expected a gan-train")],
    ids=["more than the paper", "no generator"],
)
def test_what_cannot_be_is_refused(
    reproduced: tuple[Path, str], arguments: list[object], message: str
) -> None:
    refused = cxr("reproduce", "covidgan", *arguments, folder=reproduced[0])
    assert refused.exit_code == 2
    assert message in refused.output


def test_a_split_by_image_keeps_the_images_and_parts_patients(phantom_study: Path) -> None:
    workspace = Workspace(phantom_study)
    own = load_splits(workspace, 32, list_classes(workspace.rows()))
    splits = {name: own[name] for name in ("train", "validation", "test")}
    dealt = split_by_image(splits, seed=0)
    for name, split in splits.items():
        assert Counter(dealt[name].labels.tolist()) == Counter(split.labels.tolist())
    files = [name for split in dealt.values() for name in split.file_names]
    assert sorted(files) == sorted(name for split in splits.values() for name in split.file_names)
    assert not set(splits["train"].patients) & set(splits["test"].patients)
    assert set(dealt["train"].patients) & set(dealt["test"].patients)
    assert dealt["test"].file_names == split_by_image(splits, seed=0)["test"].file_names
    assert dealt["test"].file_names != split_by_image(splits, seed=1)["test"].file_names


def result_of(study: Path) -> ReproductionResult:
    return ReproductionResult.load(Run(study / "runs" / "0001-reproduce"))


def summary_of(study: Path) -> ComparisonSummary:
    return ComparisonSummary.load(Run(study / "runs" / result_of(study).compare))
