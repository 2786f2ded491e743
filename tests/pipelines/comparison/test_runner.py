"""A comparison of every arm, cut short and resumed, in two processes, by fractions, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan.config import PRESETS
from pipelines.comparison.arms import ARMS
from pipelines.comparison.reproduction import PAPERS
from pipelines.study.manifest import read_manifest
from pipelines.study.splitting import training_part
from runtime.run import Run, list_runs
from tests.conftest import TINY_CLASSIFIER, cxr, ok
from tests.ranks import Ranks

TWO = ["--seeds", 2, *TINY_CLASSIFIER]


def results(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv but for the time they took."""
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]


def test_every_arm_over_generators_and_seeds(study: Path) -> None:
    output = ok(
        cxr(
            "compare", "--arms", ",".join(ARMS), "--generators", 2, "--draws", 2, *TWO, folder=study
        )
    )
    folder = study / "runs" / "0004-compare"
    rows, summary = results(folder), json.loads((folder / "summary.json").read_text())
    assert Counter(row["arm"] for row in rows) == {
        name: 8 if arm.synthetic else 4 if arm.beside == "oracle" else 2
        for name, arm in ARMS.items()
    }
    assert {row["steps"] for row in rows} == {"6"}, "the budget is equal"
    reals = next(int(row["train_images"]) for row in rows if row["arm"] == "real")
    images = {
        row["arm"]: (int(row["train_images"]) - reals, int(row["synthetic_images"])) for row in rows
    }
    assert images == {
        "real": (0, 0),
        "real+classical": (0, 0),
        "real+duplicates": (24, 0),
        "real+gan": (24, 24),
        "real+gan+classical": (24, 24),
        "gan-only": (24 - reals, 24),
        "gan-pretrain": (24, 24),
        "real+shuffled": (24, 24),
        "real+oracle": (24, 0),
    }
    assert [run.name for run in list_runs(study / "replicates")] == [
        "0001-gan-train",
        *(f"{number:04d}-synthesize" for number in (2, 3, 4)),
    ], "further generators and draws stand apart"
    assert [one["run"] for one in summary["generators"]] == [
        "0001-gan-train",
        "replicates/0001-gan-train",
    ]
    assert Run(study / "replicates" / "0001-gan-train").config["seed"] == 1
    for one in summary["results"]:
        mine = [row for row in rows if row["arm"] == one["arm"]]
        assert one["accuracy"]["per_replicate"] == pytest.approx(
            [float(row["accuracy"]) for row in mine]
        )
        assert one["accuracy"]["mean"] == pytest.approx(
            np.mean([float(row["accuracy"]) for row in mine])
        )
        of_real = {row["seed"]: float(row["accuracy"]) for row in rows if row["arm"] == "real"}
        if one["against_real"]:
            paired = np.mean([float(row["accuracy"]) - of_real[row["seed"]] for row in mine])
            assert one["against_real"]["difference"]["accuracy"]["mean"] == pytest.approx(
                paired, abs=1e-9
            )
            assert (
                one["against_real"]["p_holm"] >= one["against_real"]["difference"]["accuracy"]["p"]
            )
            assert one["arm"] in output
            assert one["against_real"]["verdict"] in output
    assert "too few for an interval to be trusted" in summary["sentence"], "a dozen test patients"
    assert not list(folder.rglob("classifier.pt"))
    assert not list(folder.rglob("checkpoints"))
    assert not list(study.rglob("*.partial"))
    for name in ("report.html", "comparison.png"):
        assert (folder / name).stat().st_size > 10_000


def test_two_processes_and_a_resumed_one_find_what_one_finds(study: Path, ranks: Ranks) -> None:
    options = [
        "compare",
        "--arms",
        "real+gan,gan-pretrain",
        "--device",
        "cpu",
        "--precision",
        "fp32",
        *TWO,
    ]
    ok(cxr(*options, folder=study))
    whole = results(study / "runs" / "0004-compare")
    done = ranks.cxr(*options, folder=study)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("made: the comparison") == 1, "one process speaks"
    assert results(study / "runs" / "0005-compare") == whole

    folder = study / "runs" / "0004-compare"
    for name in ("result.json", "summary.json", "report.html"):
        (folder / name).unlink()
    shutil.rmtree(folder / "classifiers" / "real-f1-s1")
    kept = (folder / "classifiers" / "real-f1-s0" / "metrics.json").stat().st_mtime_ns
    for other, told in (
        (["--seeds", 3], "--seeds 2 → 3"),
        (["--arms", "real+gan"], "--arms real,real+gan,gan-pretrain → real,real+gan"),
        (["--positive", "normal"], "positive covid → normal"),
        (["--steps", 9], "→ 9"),
    ):
        refused = cxr("compare", "--resume", *other, folder=study)
        assert refused.exit_code == 2
        assert told in refused.output
    ok(cxr("compare", "--resume", folder=study))
    assert results(folder) == whole
    assert (folder / "classifiers" / "real-f1-s0" / "metrics.json").stat().st_mtime_ns == kept


def test_fractions_get_generators_of_their_own_and_a_curve(study: Path) -> None:
    output = ok(
        cxr(
            "compare",
            "--arms",
            "real+gan",
            "--real-fractions",
            "0.5,1",
            "--synthetic-ratio",
            "0.25,0.5",
            *TWO,
            folder=study,
        )
    )
    assert "real ones would have done" in output
    folder, rows = study / "runs" / "0004-compare", read_manifest(study / "data" / "manifest.csv")
    half = training_part(rows, 0.5)
    generator = next(run for run in list_runs(study / "replicates") if run.command == "gan-train")
    assert generator.config["real_fraction"] == 0.5
    assert generator.result["images"] == len(half)
    (drawn,) = [run for run in list_runs(study / "replicates") if run.command == "synthesize"]
    assert set(drawn.config["trained_on"]) == {row.sha256 for row in half}, (
        "it saw its fraction alone"
    )
    reals = {0.5: len(half), 1.0: len(training_part(rows, 1.0))}
    for row in results(folder):
        fraction = float(row["fraction"])
        added = round(float(row["ratio"]) * reals[fraction]) if row["ratio"] else 0
        assert int(row["train_images"]) == reals[fraction] + added
        assert int(row["synthetic_images"]) == added
    summary = json.loads((folder / "summary.json").read_text())
    assert [(one["fraction"], one["ratio"]) for one in summary["worth"]] == [
        (0.5, 0.25),
        (0.5, 0.5),
        (1.0, 0.25),
        (1.0, 0.5),
    ]
    for one in summary["worth"]:
        assert one["interval"][0] <= one["extra"] <= one["interval"][1]
        assert reals[0.5] <= one["real_images"] + one["extra"] <= reals[1.0]
    assert (folder / "learning_curve.png").exists()


def test_a_plan_says_what_would_be_and_does_nothing(study: Path) -> None:
    before = sorted(study.rglob("*"))
    output = ok(
        cxr("compare", "--plan", "--generators", 3, "--real-fractions", "0.5,1", folder=study)
    )
    assert "classifiers to train, and 5 generators before them" in output
    assert "% of such studies" in output
    assert sorted(study.rglob("*")) == before


def test_what_an_arm_lacks_is_said(study: Path, phantom_study: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(phantom_study, tmp_path / "bare"))
    refused = cxr("compare", *TWO, folder=bare)
    assert refused.exit_code == 2
    assert "cxr synthesize" in refused.output
    ok(cxr("compare", "--arms", "real+classical,real+duplicates", *TWO, folder=bare))

    manifest = study / "data" / "manifest.csv"
    manifest.write_text(
        manifest.read_text().replace("images/covid/PHANTOM", "images/covid/patient")
    )
    for path in (study / "data" / "images" / "covid").iterdir():
        path.rename(path.with_name(path.name.replace("PHANTOM", "patient")))
    refused = cxr("compare", "--arms", "real+oracle", *TWO, folder=study)
    assert refused.exit_code == 2
    assert "only phantoms have an oracle" in refused.output
    refused = cxr("compare", "--arms", "real+classical", "--arch", "svm", folder=study)
    assert refused.exit_code == 2
    assert "svm" in refused.output


def test_results_of_other_images_are_not_gone_on_with(study: Path) -> None:
    ok(cxr("compare", "--arms", "real+gan", *TWO, folder=study))
    (study / "runs" / "0004-compare" / "result.json").unlink()
    manifest = study / "data" / "manifest.csv"
    lines = manifest.read_text().splitlines()
    manifest.write_text(
        "\n".join(line for line in lines if line != next(one for one in lines if ",test," in one))
        + "\n"
    )
    refused = cxr("compare", "--resume", folder=study)
    assert refused.exit_code == 2
    assert "data" in refused.output
    assert "→" in refused.output


def test_a_generator_of_a_fraction_is_not_taken_for_one_of_all(study: Path) -> None:
    ok(
        cxr(
            "gan-train",
            "--real-fraction",
            0.5,
            "--steps",
            2,
            "--image-size",
            32,
            "--width",
            4,
            "--batch-size",
            8,
            folder=study,
        )
    )
    ok(cxr("synthesize", "--n", 8, folder=study))
    refused = cxr("compare", *TWO, folder=study)
    assert refused.exit_code == 2
    assert "0.5 of the real images" in refused.output
    ok(cxr("compare", "--synthetic", "2", "--arms", "real+gan", *TWO, folder=study))
    refused = cxr("gan-train", "--real-fraction", 0, folder=study)
    assert refused.exit_code == 2
    assert "at most 1" in refused.output


def test_a_paper_is_reproduced_and_gone_on_with(
    phantom_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a narrow generator and the cnn in the place of VGG16, for speed; the second call finds all that the first one left."""
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
    found = json.loads((study / "runs" / "0001-reproduce" / "reproduce.json").read_text())
    paper, own, fair = found["rows"]
    assert paper["real"]["accuracy"]["value"] == 0.85
    assert paper["real+gan"]["specificity"]["value"] == 0.97
    assert own["budget"].startswith("1 epochs")
    summary = json.loads((study / "runs" / "0004-compare" / "summary.json").read_text())
    assert (
        fair["real+gan"]["accuracy"]["value"]
        == next(one for one in summary["results"] if one["arm"] == "real+gan")["accuracy"]["mean"]
    )
    (study / "runs" / "0001-reproduce" / "result.json").unlink()
    ok(cxr(*command, folder=study))
    assert [run.name for run in list_runs(study / "runs")] == made, "nothing is made twice"
    refused = cxr("reproduce", "covidgan", "--scale", 2, folder=study)
    assert refused.exit_code == 2
    assert "--scale 2" in refused.output
