"""The card that a trained model leaves beside itself says what the run's files say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import read_manifest
from runtime.estimate import significant
from runtime.run import Run
from tests.conftest import ROOT

SECTIONS = (
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
)


def read_sections(run: Path) -> dict[str, str]:
    card = (run / "model_card.md").read_text(encoding="utf-8")
    pattern = r"^## (.+?)\n\n(.*?)(?=\n\n## |\Z)"
    return dict(re.findall(pattern, card, re.MULTILINE | re.DOTALL))


@pytest.fixture
def classifier_run(tiny_study: Path) -> Path:
    return tiny_study / "runs" / "0003-classify-train"


@pytest.fixture
def generator_run(tiny_study: Path) -> Path:
    return tiny_study / "runs" / "0001-gan-train"


@pytest.fixture(params=["0003-classify-train", "0001-gan-train"], ids=["classifier", "generator"])
def card(request: pytest.FixtureRequest, tiny_study: Path) -> dict[str, str]:
    return read_sections(tiny_study / "runs" / request.param)


def test_a_card_has_the_sections_of_model_cards(card: dict[str, str]) -> None:
    assert tuple(card) == SECTIONS


def test_a_card_says_the_intended_use(card: dict[str, str]) -> None:
    assert INTENDED_USE in card["Intended use"]


def test_a_card_has_no_times(card: dict[str, str]) -> None:
    text = "\n".join(card.values())
    assert not re.search(r"\d (s|seconds|minutes)\b", text)


def test_a_card_counts_training_images_and_patients(tiny_study: Path, card: dict[str, str]) -> None:
    rows = [
        row
        for row in read_manifest(tiny_study / "data" / "manifest.csv")
        if row.split == "train" and row.label == "covid"
    ]
    patients = {row.patient for row in rows}
    assert f"| covid | phantom | {len(rows)} | {len(patients)} |" in card["Training data"]


def test_a_card_names_the_licences_of_its_sources(card: dict[str, str]) -> None:
    assert "- phantom: drawn by cxr, of nobody" in card["Training data"]


def test_a_card_names_options_and_device(classifier_run: Path) -> None:
    details = read_sections(classifier_run)["Model details"]
    config = json.loads((classifier_run / "config.json").read_text())
    assert "steps 6," in details
    assert f"Computed on {config['compute']}." in details


def test_a_classifier_s_card_has_its_measures(classifier_run: Path) -> None:
    metrics = ClassifierResult.load(Run(classifier_run)).test
    accuracy = metrics.measures["accuracy"]
    value, low, high = (
        f"{100 * number:.1f} %" for number in (accuracy.value, accuracy.low, accuracy.high)
    )
    analyses = read_sections(classifier_run)["Quantitative analyses"]
    assert f"| accuracy | {value} | {low} to {high} |" in analyses
    assert f"{metrics.n} images of {metrics.patients} patients" in analyses


def test_a_classifier_s_card_has_the_fingerprint_of_the_study(classifier_run: Path) -> None:
    config = json.loads((classifier_run / "config.json").read_text())
    assert config["data"] in read_sections(classifier_run)["Training data"]


def test_a_classifier_s_card_says_how_to_audit_it(classifier_run: Path) -> None:
    caveats = read_sections(classifier_run)["Caveats and recommendations"]
    assert "cxr audit 0003-classify-train" in caveats


def test_a_generator_s_card_has_the_measures_of_its_best_snapshot(generator_run: Path) -> None:
    result = json.loads((generator_run / "result.json").read_text())
    journal = (generator_run / "journal.jsonl").read_text().splitlines()
    best = next(
        event
        for event in map(json.loads, journal)
        if event["step"] == result["best_step"] and "distance" in event
    )
    row = f"| covid | {best['diversity'][0]:.2f} | {significant(best['distance'][0])} |"
    assert row in read_sections(generator_run)["Quantitative analyses"]


def test_a_generator_s_card_has_the_fingerprint_of_its_images(generator_run: Path) -> None:
    result = json.loads((generator_run / "result.json").read_text())
    training = read_sections(generator_run)["Training data"]
    assert f"{result['images']} real images" in training
    assert result["data"] in training


def test_a_generator_s_card_says_that_no_test_image_was_seen(generator_run: Path) -> None:
    assert "No test image" in read_sections(generator_run)["Evaluation data"]


def test_a_generator_s_card_claims_no_privacy(generator_run: Path) -> None:
    considerations = read_sections(generator_run)["Ethical considerations"]
    assert "Nothing is claimed about privacy" in considerations


def test_licence_and_citation_agree_with_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in project
    assert "license: Apache-2.0" in citation
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.+)"', project, re.MULTILINE).group(1) == re.search(
        r"^version: (.+)$", citation, re.MULTILINE
    ).group(1)


def test_constraints_are_exact_and_for_any_hardware() -> None:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*", line) for line in lines)
    names = {line.partition("==")[0].lower() for line in lines}
    assert {"torch", "torchvision", "numpy", "pillow", "pytest"} <= names
    assert not any(name.startswith(("nvidia", "cuda", "triton")) for name in names)


@pytest.mark.parametrize("run", ["0001-gan-train", "0003-classify-train"])
def test_a_card_names_what_of_the_images_was_seen(
    tiny_study: Path, lung_box_study: Path, run: str
) -> None:
    whole, box = (
        read_sections(study / "runs" / run)["Model details"]
        for study in (tiny_study, lung_box_study)
    )
    assert "the whole image (`--view whole`)." in whole
    assert "the box of the lungs (`--view lung-box`), stretched to a square" in box
