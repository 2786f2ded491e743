"""The model card of a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from classifier.metrics import Metrics
from pipelines.metrics.names import PERCENT_MEASURES
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import EXTERNAL, Row
from pipelines.study.workspace import Workspace
from pipelines.training.model_card import (
    OUT_OF_SCOPE,
    describe_factors,
    describe_licences,
    describe_options,
    describe_shortcuts,
    describe_view,
    images_table,
    join_names,
    package_version,
    write_card,
)
from runtime.run import Run


def write_classifier_card(
    workspace: Workspace, run: Run, rows: Sequence[Row], metrics: Mapping[str, Metrics]
) -> None:
    """Write model_card.md of a classify-train run.

    rows: the study's images. metrics: on `test`, and perhaps on `external`.
    """
    config = run.config
    held_out = [row for row in rows if row.split in ("test", EXTERNAL)]
    sections = {
        "Model details": _describe_model(config),
        "Intended use": [
            INTENDED_USE,
            "It was made to measure how training data change a classifier.",
            *OUT_OF_SCOPE,
        ],
        "Factors": describe_factors(rows),
        "Metrics": [
            f"Sensitivity, precision and F1 are those of {config['positive']}. The weights kept "
            "are those of the lowest validation loss; the test split was read once, at the end."
        ],
        "Evaluation data": images_table(held_out),
        "Training data": _describe_training(workspace, config, rows),
        "Quantitative analyses": _describe_metrics(metrics, config["positive"]),
        "Ethical considerations": [
            "Age, sex and severity of the patients are hardly known from these sources, so nothing "
            "is said about groups of them, and differences between groups are to be expected."
        ],
        "Caveats and recommendations": _describe_caveats(run, rows, metrics),
    }
    write_card(run, f"Classifier {run.name}", sections)


def _describe_model(config: Mapping[str, Any]) -> list[str]:
    return [
        f"A `{config['arch']}` classifier of {config['image_size']} px gray chest X-rays into "
        f"{join_names(config['classes'])}, trained by cxr {package_version('cxr')} with torch "
        f"{package_version('torch')}. {describe_view(config)}",
        *describe_options(config),
    ]


def _describe_training(
    workspace: Workspace, config: Mapping[str, Any], rows: Sequence[Row]
) -> list[str]:
    training = [row for row in rows if row.split == "train"]
    validation = sum(row.split == "validation" for row in rows)
    synthetic = f" and the synthetic images of {config['synthetic']}" if config["synthetic"] else ""
    return [
        *images_table(training),
        "",
        f"{len(training)} real images{synthetic}; validation: {validation} images. Fingerprint of "
        f"the study: `{config['data']}`.",
        "",
        *describe_licences(workspace),
    ]


def _describe_metrics(metrics: Mapping[str, Metrics], positive: str) -> list[str]:
    lines = []
    for name, measured in metrics.items():
        image_set = "test split" if name == "test" else "external set"
        lines += [
            f"On the {image_set}: {measured.n} images of {measured.patients} patients; "
            "95 % intervals by bootstrap over patients.",
            "",
            *_measures_table(measured),
            "",
            f"Recall by label: {_list_recalls(measured)}.",
            "",
        ]
    return [
        *lines,
        f"From probability {metrics['test'].threshold:.2f} on, chosen on validation, an image is "
        f"called {positive}.",
    ]


def _measures_table(metrics: Metrics) -> list[str]:
    lines = ["| measure | value | 95 % interval |", "|---|---|---|"]
    for measure, estimate in metrics.measures.items():
        value, low, high = (
            f"{100 * number:.1f} %" if measure in PERCENT_MEASURES else f"{number:.3f}"
            for number in (estimate.value, estimate.low, estimate.high)
        )
        lines.append(f"| {measure.replace('_', ' ')} | {value} | {low} to {high} |")
    return lines


def _list_recalls(metrics: Metrics) -> str:
    return ", ".join(
        f"{label} {values.recall:.3f} (n = {values.support})"
        for label, values in metrics.classes.items()
    )


def _describe_caveats(run: Run, rows: Sequence[Row], metrics: Mapping[str, Metrics]) -> list[str]:
    caution = run.config.get("caution")
    lines = [
        *([f"- Beware: {caution}."] if caution else []),
        *describe_shortcuts(rows),
        "- What it is shown gets one of its labels, whatever it is; its probabilities are no "
        "diagnosis.",
        "- Whether it needs the lungs at all has not been asked yet when this is written: "
        f"`cxr audit {run.name}` does.",
    ]
    if EXTERNAL not in metrics:
        lines.append(
            "- It was tested on images of the sources that it was trained on, and on no others."
        )
    return lines
