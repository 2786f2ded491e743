"""What no distance tells of a synthetic set: memorisation, labels and fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.evaluation.score_material import ScoredMaterial
from pipelines.figures.score_figures import draw_feature_map, draw_nearest_pairs
from pipelines.metrics.fingerprints import Fingerprints, measure_fingerprints
from pipelines.metrics.label_audit import LabelAudit, audit_labels
from pipelines.metrics.memorisation import Memorisation, measure_memorisation
from pipelines.metrics.nearest import persons
from pipelines.metrics.nearness import write_neighbours
from pipelines.metrics.scores import LeftOut
from pipelines.study.manifest import SPLITS
from pipelines.study.split import Split
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import Run


@dataclass(frozen=True)
class SyntheticChecks:
    """What the checks of a synthetic set found, or why they were left out."""

    memorisation: LeftOut | Memorisation
    label_audit: LeftOut | LabelAudit
    fingerprints: Fingerprints


def check_synthetic(
    workspace: Workspace,
    generator: str,
    material: ScoredMaterial,
    extractor: str,
    compute: Compute,
    folder: Path,
) -> SyntheticChecks:
    """Run every check; the pictures and the table of neighbours go into `folder`.

    Args:
        workspace: The study.
        generator: The name of the run that made the images.
        material: The images and their features.
        extractor: Whose features memorisation and the map are of.
        compute: Where the networks run.
        folder: Of the score's run.
    """
    sets = _merge_patients(workspace, material.sets)
    by_person = replace(material, sets=sets)
    memorisation = _check_memorisation(
        by_person, extractor, Run(workspace.folder_of(generator)), compute, folder
    )
    label_audit: LeftOut | LabelAudit
    try:
        test = _test_split(workspace, sets["held_out"])
        label_audit = audit_labels(workspace, sets["synthetic"], test, material.classes, compute)
    except (FileNotFoundError, ValueError) as error:
        label_audit = LeftOut(str(error))
    fingerprints = measure_fingerprints(sets["train"], sets["synthetic"], material.classes)
    draw_feature_map(
        sets, material.features[extractor], material.classes, extractor, folder / "feature_map.png"
    )
    return SyntheticChecks(memorisation, label_audit, fingerprints)


def _merge_patients(workspace: Workspace, sets: Mapping[str, Split]) -> dict[str, Split]:
    """Give the reals whole persons as patients: those who share a film are one."""
    rows = [row for row in workspace.rows() if row.split in SPLITS]
    person = dict(zip((row.file_name for row in rows), persons(rows), strict=True))
    merged = {
        name: replace(
            sets[name], patients=[person[file_name] for file_name in sets[name].file_names]
        )
        for name in ("train", "held_out")
    }
    return {**sets, **merged}


def _check_memorisation(
    material: ScoredMaterial, extractor: str, generator: Run, compute: Compute, folder: Path
) -> LeftOut | Memorisation:
    sets = material.sets
    try:
        memorisation, neighbours = measure_memorisation(
            sets, material.features[extractor], extractor, material.classes, generator, compute
        )
        thresholds = {
            "pixels": memorisation.pixels.copies.threshold,
            "features": memorisation.features.copies.threshold,
        }
        draw_nearest_pairs(sets, neighbours, thresholds, folder / "nearest_pairs.png")
        write_neighbours(folder / "nearest.csv", sets, neighbours)
    except ValueError as error:
        return LeftOut(str(error))
    return memorisation


def _test_split(workspace: Workspace, held_out: Split) -> Split:
    """Take the held-out images of the test split: the others chose the classifier's weights."""
    names = {row.file_name for row in workspace.rows() if row.split == "test"}
    return held_out.take([place for place, name in enumerate(held_out.file_names) if name in names])
