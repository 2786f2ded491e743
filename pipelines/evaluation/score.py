"""What the synthetic images of a study are worth: every score per class and overall, beside that of held-out reals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.features import FeatureStore
from pipelines.evaluation.score_checks import check_set
from pipelines.evaluation.score_files import summary_of, warnings, write_scores
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.per_class import Score, score_groups
from pipelines.study.labels import study_classes
from pipelines.study.synthetic import Split, SyntheticSet, check_leak, read_synthetic, real_splits
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import Run


@dataclass(frozen=True)
class Material:
    """What is scored: the images of three sets, and their features (N, d), float32, by extractor and set.

    The sets are "train" (the reals that the generator was trained on), "held_out" (reals that it never saw) and "synthetic".
    """

    classes: list[str]
    sets: dict[str, Split]
    features: dict[str, dict[str, np.ndarray]]


def score_synthetic(
    workspace: Workspace,
    compute: Compute,
    *,
    synthetic: str | None,
    features: Sequence[str],
    weights: Sequence[str] = (),
) -> tuple[Run, list[Score], dict[str, Any]]:
    """Score a synthetic set (the newest, or the one named) per class and overall, in the features of every extractor asked for.

    features and weights: as `choose_extractors` takes them. Returns the finished run, the scores, and the summary that score.json holds.
    """
    added = read_synthetic(workspace.find_run("synthesize", synthetic).folder)
    check_leak(added.trained_on, workspace.rows(), added.folder.name)
    extractors = choose_extractors(features, weights, compute, workspace)
    sets = _sets(workspace, added)
    store = FeatureStore(workspace.features)
    images = {name: split.images for name, split in sets.items()}
    material = Material(
        study_classes(workspace),
        sets,
        {one.name: one.features(images, store, compute) for one in extractors},
    )

    scores, unscored = score_groups(material.classes, material.sets, material.features)
    run = workspace.create_run(
        "score",
        {
            "synthetic": added.folder.name,
            "features": [one.name for one in extractors],
            "compute": str(compute),
        },
        instead=True,
    )
    summary = {
        "synthetic": added.folder.name,
        "classes": material.classes,
        "extractors": [one.about() for one in extractors],
        "warnings": warnings(material.features),
        **summary_of(scores, unscored),
        **check_set(
            workspace,
            added.rows[0].generator,
            sets,
            material.features[extractors[0].name],
            extractors[0].name,
            material.classes,
            compute,
            run.folder,
        ),
    }
    write_scores(run.folder, scores, summary)
    run.finish({"extractors": [one.name for one in extractors]})
    return run, scores, summary


def _sets(workspace: Workspace, added: SyntheticSet) -> dict[str, Split]:
    """The three sets at the size of the synthetic images; validation and test are held out together."""
    classes = study_classes(workspace)
    unknown = {row.label for row in added.rows} - set(classes)
    if unknown:
        raise ValueError(
            f"{added.folder}: label(s) {', '.join(sorted(unknown))} unknown to this study; expected {', '.join(classes)}"
        )
    splits = real_splits(workspace, added.image_size, classes)
    validation, test = splits["validation"], splits["test"]
    held_out = Split(
        np.concatenate([validation.images, test.images]),
        np.concatenate([validation.labels, test.labels]),
        validation.file_names + test.file_names,
        validation.patients + test.patients,
    )
    labels = np.array([classes.index(row.label) for row in added.rows], np.int64)
    synthetic = Split(
        added.images(),
        labels,
        [row.file_name for row in added.rows],
        [f"synthetic {number}" for number in range(len(added.rows))],
    )
    return {"train": splits["train"], "held_out": held_out, "synthetic": synthetic}
