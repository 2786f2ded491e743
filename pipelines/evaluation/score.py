"""What the synthetic images of a study are worth: every score, beside that of held-out reals.

Scores are there to choose by: of generators, of synthetic sets, of settings. So the held-out reals
are the validation images, and the test images are read by a final score alone, which says so in
its run.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.evaluation.score_checks import check_synthetic
from pipelines.evaluation.score_material import read_material
from pipelines.metrics.extractors import choose_extractors
from pipelines.metrics.frechet import warn_of_few_images
from pipelines.metrics.per_class import score_groups
from pipelines.results.held_out_nearness import HeldOutNearness
from pipelines.results.score_summary import ScoreSummary
from pipelines.study.leak_lock import check_leak
from pipelines.study.synthetic import read_synthetic
from pipelines.study.views import in_view_of, view_facts
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.run import Run


def score_synthetic(
    workspace: Workspace,
    compute: Compute,
    *,
    synthetic: str | None,
    features: Sequence[str],
    weights: Sequence[str] = (),
    final: bool = False,
) -> tuple[Run, ScoreSummary]:
    """Score a synthetic set per class and overall, in the features of every extractor asked for.

    Returns the finished run and what its score.json holds.

    Args:
        workspace: The study.
        compute: Where the networks run.
        synthetic: The name of the set's run; None for the newest.
        features, weights: As `choose_extractors` takes them.
        final: Whether the test images are the held-out reals, in the place of the validation
            images. What is chosen by such a score is chosen on the test split.
    """
    synthesis = workspace.find_run("synthesize", synthetic)
    workspace, added = in_view_of(workspace, synthesis), read_synthetic(synthesis.folder)
    check_leak(added.trained_on, workspace.rows(), added.folder.name)
    extractors = choose_extractors(features, weights, compute, workspace)
    names = [extractor.name for extractor in extractors]
    held_out_split = "test" if final else "validation"
    material = read_material(workspace, added, extractors, compute, held_out_split)
    scores, unscored = score_groups(material.classes, material.sets, material.features)
    run = workspace.create_run(
        "score",
        {
            "synthetic": added.folder.name,
            "held_out_split": held_out_split,
            "features": names,
            "compute": str(compute),
            **view_facts(workspace),
        },
        instead=True,
    )
    checks = check_synthetic(workspace, added, material, names[0], compute, run.folder)
    summary = ScoreSummary(
        synthetic=added.folder.name,
        held_out_split=held_out_split,
        classes=material.classes,
        extractors=[extractor.record for extractor in extractors],
        warnings=[
            *filter(None, [added.caution]),
            *warn_of_few_images(material.features, material.count_patients()),
        ],
        scores=scores,
        unscored=unscored,
        memorisation=checks.memorisation,
        label_audit=checks.label_audit,
        fingerprints=checks.fingerprints,
        held_out=HeldOutNearness.load(added.folder),
    )
    summary.save(run)
    run.finish({"extractors": names})
    return run, summary
