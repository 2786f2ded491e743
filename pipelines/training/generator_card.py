"""The model card of a generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gan.doctor import MAX_DIVERSITY, MIN_DIVERSITY, is_healthy
from gan.monitor import SNAPSHOT_SAMPLES
from gan.snapshots import Snapshot
from pipelines.study.intended_use import INTENDED_USE
from pipelines.study.manifest import Row
from pipelines.study.shares import RealShare
from pipelines.study.workspace import Workspace
from pipelines.training.model_card import (
    OUT_OF_SCOPE,
    describe_factors,
    describe_licences,
    describe_options,
    describe_shortcuts,
    describe_view,
    escape,
    images_table,
    join_names,
    package_version,
    write_card,
)
from runtime.estimate import significant
from runtime.run import Run


def write_generator_card(
    run: Run,
    workspace: Workspace,
    rows: Sequence[Row],
    training: Sequence[Row],
    result: Mapping[str, Any],
    best: Snapshot,
) -> None:
    """Write model_card.md of a gan-train run.

    rows: the study's images, with the splits that hold for this run. training: those it was trained
    on. result: what the run ends with. best: the best snapshot.
    """
    config = run.config
    share = RealShare.from_record(config)
    part = f" ({share} of a comparison)" if share.record() else ""
    sections = {
        "Model details": _describe_model(config, result, best),
        "Intended use": _describe_use(),
        "Factors": describe_factors(rows),
        "Metrics": [
            "Diversity: mean pairwise distance of samples, relative to the reals' own. Distance: "
            "Fréchet distance in simple features of gradients, of the samples from training and "
            "validation images; it ranks snapshots of one study and compares with nothing else. "
            "Both are single readings, without intervals.",
        ],
        "Evaluation data": ["Training and validation images. No test image was looked at."],
        "Training data": [
            *images_table(training),
            "",
            f"{len(training)} real images{part}. Fingerprint of their pixels: `{result['data']}`.",
            "",
            *describe_licences(workspace),
        ],
        "Quantitative analyses": _snapshot_table(config, rows, best),
        "Ethical considerations": [
            "Nothing is claimed about privacy. `cxr score` compares a synthetic set with the "
            "training images and reports copies that it finds; finding none proves nothing.",
            "Share it only as you could share the images it was trained on.",
        ],
        "Caveats and recommendations": [
            *describe_shortcuts(rows),
            *_warn_of_unhealthy(config["classes"], best.diversity),
            "- It can vary what it has seen; it adds no finding that its training images do not "
            "show.",
            "- Whether its images help a classifier is another question: `cxr compare`.",
        ],
    }
    write_card(run, f"Generator {run.name}", sections)


def _describe_model(
    config: Mapping[str, Any], result: Mapping[str, Any], best: Snapshot
) -> list[str]:
    parameters = result["parameters"]
    return [
        f"A class-conditional GAN (preset `{config['preset']}`) that draws "
        f"{config['image_size']} px gray chest X-rays of {join_names(config['classes'])}, "
        f"trained by cxr {package_version('cxr')} with torch {package_version('torch')} for "
        f"{result['step']} steps; the snapshot of step {best.step} is kept as `generator.pt`. "
        f"{parameters['generator']:,} parameters, its discriminator "
        f"{parameters['discriminator']:,}. {describe_view(config)}",
        *describe_options(config),
    ]


def _describe_use() -> list[str]:
    return [
        INTENDED_USE,
        "It was made to draw images that are added to the training split of this study, and for no "
        "other purpose.",
        *OUT_OF_SCOPE,
        "- Not to be shown as X-rays of patients: what it draws is nobody. Its files say so; keep "
        "it that way.",
        "- Not as a means of anonymisation: images and weights may hold traces of the patients it "
        "was trained on.",
    ]


def _snapshot_table(config: Mapping[str, Any], rows: Sequence[Row], best: Snapshot) -> list[str]:
    """Diversity and distance of the best snapshot by class, each with its numbers of images."""
    validation = Counter(row.label for row in rows if row.split == "validation")
    lines = [
        "| class | diversity (1) | distance (lower) | samples | reals |",
        "|---|---|---|---|---|",
    ]
    for label, diversity, distance in zip(
        config["classes"], best.diversity, best.distance, strict=True
    ):
        reals = config["class_counts"][label] + validation[label]
        lines.append(
            f"| {escape(label)} | {diversity:.2f} | {significant(distance)} | {SNAPSHOT_SAMPLES} "
            f"| {reals} |"
        )
    return lines


def _warn_of_unhealthy(classes: Sequence[str], diversities: Sequence[float]) -> list[str]:
    unhealthy = [
        label
        for label, diversity in zip(classes, diversities, strict=True)
        if not is_healthy([diversity])
    ]
    if not unhealthy:
        return []
    return [
        f"- {join_names(unhealthy)}: diversity outside of {MIN_DIVERSITY} to {MAX_DIVERSITY}, "
        "collapsed or noise; do not use these images."
    ]
