"""A paper's experiment, by its own protocol and by a fair one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gan.config import PRESETS
from pipelines.comparison.paper_protocol import PAPERS
from pipelines.results.comparison_summary import ComparisonSummary
from pipelines.results.reproduction_result import ReproductionResult
from runtime.estimate import Estimate
from runtime.run import Run, list_runs
from tests.conftest import cxr, ok


def test_a_paper_is_reproduced_and_gone_on_with(
    phantom_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call finds all that the first one left.

    With a narrow generator and the cnn in the place of VGG16, for speed.
    """
    monkeypatch.setitem(
        PAPERS,
        "covidgan",
        replace(PAPERS["covidgan"], classifier={"arch": "cnn", "batch_size": 16}),
    )
    monkeypatch.setitem(PRESETS, "covidgan", PRESETS["covidgan"] | {"width": 4, "batch_size": 4})
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    command = ["reproduce", "covidgan", "--scale", 0.00003, "--seeds", 2]
    output = ok(cxr(*command, folder=study))
    for word in ("Waheed", "85.0", "its protocol, here", "fair protocol, here", "1 epochs"):
        assert word in output
    made = [run.name for run in list_runs(study / "runs")]
    assert made == ["0001-reproduce", "0002-gan-train", "0003-synthesize", "0004-compare"]
    result = ReproductionResult.load(Run(study / "runs" / "0001-reproduce"))
    paper, own, fair = result.rows
    assert paper.arms["real"]["accuracy"] == 0.85
    assert paper.arms["real+gan"]["specificity"] == 0.97
    assert own.budget.startswith("1 epochs")
    summary = ComparisonSummary.load(Run(study / "runs" / "0004-compare"))
    with_gan = next(result for result in summary.results if result.arm == "real+gan")
    fair_accuracy = fair.arms["real+gan"]["accuracy"]
    assert isinstance(fair_accuracy, Estimate)
    assert fair_accuracy.value == with_gan.measures.accuracy.value
    (study / "runs" / "0001-reproduce" / "result.json").unlink()
    ok(cxr(*command, folder=study))
    assert [run.name for run in list_runs(study / "runs")] == made, "nothing is made twice"
    refused = cxr("reproduce", "covidgan", "--scale", 2, folder=study)
    assert refused.exit_code == 2
    assert "--scale 2" in refused.output
