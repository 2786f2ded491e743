"""What an audit warns of: skill that is left without lungs, and sources that tell the label."""

from __future__ import annotations

from collections.abc import Sequence

from classifier.alterations import ALTERATIONS
from pipelines.evaluation.source_audit import labels_of_one_source
from pipelines.results.audit_result import AlterationResult, Skill, SourceAudit

CLOSE_SHARE = 0.8  # of the AUC above chance: what retains that much is close to whole images
CLOSE_RULE = (
    f"close: a ROC AUC without lungs of at least 0.5 + {CLOSE_SHARE} · (that of the whole images "
    "− 0.5), both intervals above 0.5"
)


def warn_of_skill(intact: Skill, results: Sequence[AlterationResult]) -> list[str]:
    """Warn where skill is left without lungs, or where there is none to begin with."""
    warnings = []
    if intact.roc_auc.low <= 0.5:
        warnings.append(
            f"on whole images the ROC AUC is {intact.roc_auc.text()}, perhaps no better than "
            "chance: there is nothing to audit"
        )
    lungless = {alteration.name for alteration in ALTERATIONS if alteration.lungless}
    for result in results:
        retrained, retained = result.retrained, result.retained_auc
        if result.name not in lungless or retrained is None or retained is None:
            continue
        if retained >= CLOSE_SHARE and retrained.roc_auc.low > 0.5:
            warnings.append(
                f"{result.title}: trained and tested so, a classifier reaches a ROC AUC of "
                f"{retrained.roc_auc.text()}, {100 * retained:.0f} % of what the whole images' "
                f"{intact.roc_auc.value:.3f} has above one half; much of what tells these classes "
                "apart lies outside of the lungs, so high figures on this study prove little"
            )
    return warnings


def warn_of_sources(sources: SourceAudit) -> list[str]:
    """Warn where the source of an image may tell its label."""
    warnings = []
    told = [test.label for test in sources.predicted if test.balanced_accuracy.low > test.chance]
    if told:
        warnings.append(
            f"the sources of {', '.join(told)} can be told apart; where labels are mixed "
            "differently in them, that is a shortcut"
        )
    if len(set(labels_of_one_source(sources.images).values())) > 1:
        warnings.append("source and label are the same thing in this study, see above")
    return warnings
