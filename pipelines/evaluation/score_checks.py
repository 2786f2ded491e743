"""What no distance tells of a synthetic set: memorisation, labels and fingerprints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.evaluation.score_material import ScoredMaterial
from pipelines.figures.score_figures import draw_feature_map, draw_nearest_pairs
from pipelines.metrics.fingerprints import Fingerprints, measure_fingerprints
from pipelines.metrics.label_audit import LabelAudit, audit_labels
from pipelines.metrics.memorisation import Memorisation, measure_memorisation
from pipelines.metrics.nearness import write_neighbours
from pipelines.metrics.scores import LeftOut
from pipelines.study.synthetic import SyntheticSet
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
    added: SyntheticSet,
    material: ScoredMaterial,
    extractor: str,
    compute: Compute,
    folder: Path,
) -> SyntheticChecks:
    """Run every check; the pictures and the table of neighbours go into `folder`.

    Args:
        workspace: The study.
        added: The synthetic set.
        material: The images and their features.
        extractor: Whose features memorisation and the map are of. Memory is asked about the images
            that the generator was trained on (`ScoredMaterial.by_memory`).
        compute: Where the networks run.
        folder: Of the score's run.
    """
    sets = material.sets
    made_by = None
    if added.statement is None:  # not of another program
        made_by = Run(workspace.folder_of(added.rows[0].generator))
    memorisation = _check_memorisation(material, extractor, made_by, compute, folder)
    label_audit: LeftOut | LabelAudit
    try:
        label_audit = audit_labels(
            workspace, sets["synthetic"], sets["held_out"], material.classes, compute
        )
    except (FileNotFoundError, ValueError) as error:
        label_audit = LeftOut(str(error))
    fingerprints = measure_fingerprints(sets["train"], sets["synthetic"], material.classes)
    draw_feature_map(
        sets, material.features[extractor], material.classes, extractor, folder / "feature_map.png"
    )
    return SyntheticChecks(memorisation, label_audit, fingerprints)


def _check_memorisation(
    material: ScoredMaterial, extractor: str, generator: Run | None, compute: Compute, folder: Path
) -> LeftOut | Memorisation:
    remembered = material.by_memory()
    sets, classes = remembered.sets, material.classes
    try:
        memorisation, neighbours = measure_memorisation(
            sets, remembered.features[extractor], extractor, classes, generator, compute
        )
        thresholds = {
            "pixels": memorisation.pixels.copies.threshold,
            "features": memorisation.features.copies.threshold,
        }
        draw_nearest_pairs(sets, neighbours, thresholds, folder / "nearest_pairs.png")
        write_neighbours(folder / "nearest.csv", sets, neighbours)
    except ValueError as error:
        return LeftOut(str(error))
    n_unseen = len(sets["held_out"].labels) - len(material.sets["held_out"].labels)
    return replace(memorisation, n_unseen=n_unseen)
