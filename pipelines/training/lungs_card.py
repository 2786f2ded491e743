"""The model card of a lung network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.results.lung_result import LUNG_MEASURES, LungResult, LungScores
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.workspace import Workspace
from pipelines.training.model_card import (
    OUT_OF_SCOPE,
    describe_factors,
    describe_licences,
    describe_options,
    images_table,
    package_version,
    write_card,
)
from runtime.run import Run


def write_lungs_card(
    run: Run, workspace: Workspace, training: Sequence[Row], result: LungResult, file_hash: str
) -> None:
    """Write model_card.md of a lungs-train run.

    training: the images that it was trained on. file_hash: SHA-256 of lungs.pt.
    """
    sections = {
        "Model details": _describe_model(run.config, result, file_hash),
        "Intended use": [
            INTENDED_USE,
            "It was made to find the lungs in frontal chest X-rays, so that what a classifier or a "
            "generator learns can be held to them.",
            *OUT_OF_SCOPE,
            "- It always draws something: look at `data/lungs.png` before its masks are used.",
        ],
        "Factors": describe_factors(training),
        "Metrics": [
            "Dice and intersection over union (IoU) with the masks that people drew, at the size "
            "of the study's images; means over images, 95 % intervals of a bootstrap over "
            "patients. As in `cxr data lungs`, a mask is the mean of two: of the film, and of the "
            "film mirrored, shifted a little and a quarter larger."
        ],
        "Evaluation data": [
            "The study's validation images, which chose the step, and its test images, which were "
            "looked at once, both as far as they have a mask. No patient is in two splits."
        ],
        "Training data": [
            *images_table(training),
            "",
            f"{result.train_images} images of {result.train_patients} patients with masks. "
            f"Fingerprint of their pixels: `{fingerprint(row.sha256 for row in training)}`; the "
            "hash of each is in `lungs.pt`. The masks have their own licence, which cxr does not "
            "know.",
            "",
            *describe_licences(workspace),
        ],
        "Quantitative analyses": scores_table(result),
        "Ethical considerations": [
            "Share it only as you could share the images and masks it was trained on."
        ],
        "Caveats and recommendations": [
            "- Lungs that are white all over are drawn by guess, as people draw them.",
            "- Masks of images that it was trained on are better than those of others.",
        ],
    }
    write_card(run, f"Lung network {run.name}", sections)


def scores_table(result: LungResult) -> list[str]:
    """Write Dice and IoU by split as a table in Markdown."""
    columns: Mapping[str, LungScores] = {"validation": result.validation, "test": result.test}
    lines = [
        "| mean [95 % interval] | "
        + " | ".join(f"{name}, {of.dice.n} images" for name, of in columns.items())
        + " |",
        "|---|---|---|",
    ]
    for name, text in LUNG_MEASURES.items():
        cells = " | ".join(getattr(scores, name).text() for scores in columns.values())
        lines.append(f"| {text} | {cells} |")
    under = " | ".join(str(scores.under_80) for scores in columns.values())
    doubtful = " | ".join(str(scores.doubtful) for scores in columns.values())
    return [*lines, f"| images under 0.80 | {under} |", f"| masks in doubt | {doubtful} |"]


def _describe_model(config: Mapping[str, Any], result: LungResult, file_hash: str) -> list[str]:
    against = (
        "against a critic (SegAN, Xue et al. 2018)"
        if config["loss"] == "segan"
        else "by cross-entropy and Dice loss"
    )
    return [
        f"A U-Net that draws the lungs in a chest X-ray, seen at {config['image_size']} px, "
        f"trained {against} by cxr {package_version('cxr')} with torch "
        f"{package_version('torch')}; of "
        f"{result.steps} steps the weights of step {result.best_step} are kept as `lungs.pt`, "
        f"SHA-256 `{file_hash}`.",
        *describe_options(config),
    ]
