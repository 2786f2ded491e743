"""What no distance tells of a synthetic set, in sections beside its scores: memorisation, label audit and fingerprints, with their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.figures.score_figures import feature_map, nearest_pairs
from pipelines.metrics.label_audit import audit_labels, fingerprints
from pipelines.metrics.memorisation import memorisation, write_neighbours
from pipelines.metrics.nearest import persons
from pipelines.study.manifest import SPLITS
from pipelines.study.synthetic import Split
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import Run


def check_set(
    workspace: Workspace,
    generator: str,
    sets: dict[str, Split],
    features: dict[str, np.ndarray],
    extractor: str,
    classes: Sequence[str],
    compute: Compute,
    folder: Path,
) -> dict[str, Any]:
    """The sections of score.json; the pictures and the table of neighbours go into `folder`.

    sets, and features (N, d) of one extractor: of "train", "held_out" and "synthetic". generator: the name of the run that made the images.
    A section that cannot be had is {"left_out": the reason}.
    """
    rows = [row for row in workspace.rows() if row.split in SPLITS]
    person = dict(zip((row.file_name for row in rows), persons(rows)))
    sets = sets | {
        name: replace(
            sets[name], patients=[person[file_name] for file_name in sets[name].file_names]
        )
        for name in ("train", "held_out")
    }
    sections = {}
    try:
        found, neighbours = memorisation(
            sets, features, extractor, classes, Run(workspace.folder_of(generator)), compute
        )
        sections["memorisation"] = asdict(found)
        nearest_pairs(sets, neighbours, found, folder / "nearest_pairs.png")
        write_neighbours(folder / "nearest.csv", sets, neighbours)
    except ValueError as error:
        sections["memorisation"] = {"left_out": str(error)}
    try:
        sections["label_audit"] = asdict(
            audit_labels(
                workspace, sets["synthetic"], _test(workspace, sets["held_out"]), classes, compute
            )
        )
    except (FileNotFoundError, ValueError) as error:
        sections["label_audit"] = {"left_out": str(error)}
    sections["fingerprints"] = asdict(fingerprints(sets["train"], sets["synthetic"], classes))
    feature_map(sets, features, classes, extractor, folder / "feature_map.png")
    return sections


def _test(workspace: Workspace, held_out: Split) -> Split:
    """The held-out images of the test split: the others chose the classifier's weights."""
    names = {row.file_name for row in workspace.rows() if row.split == "test"}
    return held_out.part([place for place, name in enumerate(held_out.file_names) if name in names])
