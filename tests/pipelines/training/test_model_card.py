"""The card that a trained model leaves beside itself says what the run's files say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pipelines.results.classifier_result import ClassifierResult
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import read_manifest
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


def sections(card: str) -> dict[str, str]:
    return dict(re.findall(r"^## (.+?)\n\n(.*?)(?=\n\n## |\Z)", card, re.MULTILINE | re.DOTALL))


def test_of_a_classifier(tiny_study: Path) -> None:
    run = tiny_study / "runs" / "0003-classify-train"
    found, metrics = (
        sections((run / "model_card.md").read_text(encoding="utf-8")),
        ClassifierResult.load(Run(run)).test,
    )
    config = json.loads((run / "config.json").read_text())
    assert tuple(found) == SECTIONS
    assert INTENDED_USE in found["Intended use"]
    accuracy = metrics.measures["accuracy"]
    low, high = (f"{100 * bound:.1f} %" for bound in (accuracy.low, accuracy.high))
    assert (
        f"| accuracy | {100 * accuracy.value:.1f} % | {low} to {high} |"
        in found["Quantitative analyses"]
    )
    assert (
        f"{metrics.n} images of {metrics.patients} patients" in found["Quantitative analyses"]
    )
    rows = [
        row
        for row in read_manifest(tiny_study / "data" / "manifest.csv")
        if row.split == "train" and row.label == "covid"
    ]
    assert (
        f"| covid | phantom | {len(rows)} | {len({row.patient for row in rows})} |"
        in found["Training data"]
    )
    assert config["data"] in found["Training data"]
    assert "steps 6," in found["Model details"]
    assert config["compute"] in found["Model details"]
    assert "drawn by cxr, of nobody" in found["Training data"]
    assert "cxr audit 0003-classify-train" in found["Caveats and recommendations"]


def test_of_a_generator(tiny_study: Path) -> None:
    run = tiny_study / "runs" / "0001-gan-train"
    card, result = (
        (run / "model_card.md").read_text(encoding="utf-8"),
        json.loads((run / "result.json").read_text()),
    )
    found = sections(card)
    best = next(
        event
        for event in map(json.loads, (run / "journal.jsonl").read_text().splitlines())
        if event["step"] == result["best_step"] and "distance" in event
    )
    assert tuple(found) == SECTIONS
    assert "Not a medical device" in card
    assert "Nothing is claimed about privacy" in card
    assert (
        f"| covid | {best['diversity'][0]:.2f} | {best['distance'][0]:.3g} |"
        in found["Quantitative analyses"]
    )
    assert f"{result['images']} real images" in found["Training data"]
    assert result["data"] in found["Training data"]
    assert "test image" in found["Evaluation data"] and not re.search(
        r"\d (s|seconds|minutes)\b", card
    ), "no time stands in it"


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
