"""What `cxr audit` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.audit_result import AuditResult


def audit_table(audit: AuditResult) -> str:
    """Write accuracy and ROC AUC for each alteration.

    First of a classifier trained on images altered alike, then of the audited one shown them.
    """
    retrained_title = "trained anew on images altered alike"
    audited_title = f"{audit.classifier} as it is"
    lines = [
        f"{audit.config.arch}, view {audit.view}; test: {audit.test.images} images of "
        f"{audit.test.patients} patients; [95 % interval by bootstrap over patients]",
        f"{'':28}{retrained_title:^49}  {audited_title:^40}",
        f"{'':28}{'accuracy in %':>20}{'ROC AUC':>22}{'kept':>7}  "
        f"{'accuracy in %':>18}{'ROC AUC':>22}",
    ]
    for result in audit.alterations:
        retrained, as_it_is = result.retrained, result.as_it_is
        cells = (
            f"{retrained.accuracy.percent():>20}{retrained.roc_auc.text():>22}"
            if retrained
            else f"{'':42}"
        )
        retained = "" if result.retained_auc is None else f"{100 * result.retained_auc:.0f} %"
        lines.append(
            f"{result.title:28}{cells}{retained:>7}  "
            f"{as_it_is.accuracy.percent():>18}{as_it_is.roc_auc.text():>22}"
        )
    lines.append(
        "kept: what is left of the whole images' ROC AUC above one half; lungs are covered by one "
        "rounded box for all images, which may leave a rim of them, or by their own masks, whose "
        "outline is still seen"
    )
    if not any(result.name == "outline-only" for result in audit.alterations):
        lines.append("by masks: not tried, the study has no lungs yet (cxr data lungs)")
    if audit.lung_heat:
        lines.append(f"Grad-CAM: {audit.lung_heat.sentence}")
    lines.append(f"source: {audit.sources.sentence}")
    return "\n".join(lines)
