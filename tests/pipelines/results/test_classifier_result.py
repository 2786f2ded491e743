"""A classifier's metrics.json is read as the types it was written of, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from classifier.metrics import Metrics, evaluate
from pipelines.results.classifier_result import ClassifierResult
from runtime.run import Run


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    scores = np.array([0.9, 0.2, 0.7, 0.1])
    probabilities = np.stack([1 - scores, scores], axis=1)
    return evaluate(np.array([1, 0, 1, 0]), probabilities, ["a", "b"], "b", list("1234"))


@pytest.fixture
def result(metrics: Metrics) -> ClassifierResult:
    return ClassifierResult(
        test=metrics,
        external=None,
        validation={"accuracy": 0.75},
        train_images=20,
        synthetic_images=6,
        steps=8,
        best_step=4,
    )


@pytest.mark.parametrize(
    "has_external", [pytest.param(False, id="test-only"), pytest.param(True, id="external-too")]
)
def test_what_is_loaded_is_what_was_saved(
    has_external: bool, metrics: Metrics, result: ClassifierResult, tmp_path: Path
) -> None:
    saved = ClassifierResult(**vars(result) | {"external": metrics if has_external else None})
    saved.save(Run(tmp_path))
    assert ClassifierResult.load(Run(tmp_path)) == saved


def test_the_file_says_its_format(result: ClassifierResult, tmp_path: Path) -> None:
    result.save(Run(tmp_path))
    assert json.loads((tmp_path / "metrics.json").read_text())["format"] == 3


def test_metrics_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    accuracy = {"value": 0.5, "interval": [0.4, 0.6]}
    (tmp_path / "metrics.json").write_text(json.dumps({"n": 4, "measures": {"accuracy": accuracy}}))
    with pytest.raises(ValueError, match=r"has format 1, .*: cxr classify-train"):
        ClassifierResult.load(Run(tmp_path))
