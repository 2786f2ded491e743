"""What a study answers to the pitfalls around the lungs: was it made to look there, did it?"""

from __future__ import annotations

from pipelines.report.answers import Answer
from pipelines.report.contents import Study
from pipelines.report.formats import plural
from pipelines.results.audit_result import SameSourceTest
from pipelines.study.view_names import LUNGS, VIEW_TITLES, WHOLE

GUESSING = 0.5  # ROC AUC
OTHER_FINDINGS = 'cxr data import PATH... --hold-out "finding!=COVID*" --label "*=normal"'


def seen_view(study: Study) -> Answer:
    """Say what of the images the classifiers saw, and what a view of lungs left out."""
    view, counts = study.summary.view, study.lungs
    if view == WHOLE or counts is None:
        follow_up = f"cxr {'gan-train' if study.sets else 'compare'} --view lung-box"
        return Answer(
            "open",
            "Classifiers saw whole images, with borders, letters and shoulders, which may tell the "
            "source.",
            follow_up if study.workspace.has_lungs else "cxr data lungs",
        )
    around = ", with one gray around them" if view == LUNGS else ""
    text = (
        f"Classifiers saw {VIEW_TITLES[view]}{around}, in one frame and one scale of grays. "
        f"{plural(counts.left_out, 'image')} left out ({counts.losses})"
    )
    if counts.warnings:
        return Answer("open", f"{text}; {'; '.join(counts.warnings)}.")
    return Answer("good", f"{text}.")


def source_or_finding(study: Study) -> Answer:
    """Ask the newest audit whether the classifier's answer follows the finding or the source."""
    if not study.audit:
        return Answer(
            "open",
            "Whether the classifier's answer follows the finding or the source has not been tried.",
            "cxr audit",
        )
    audit = study.audit.result
    if not audit.sources.within:
        return Answer(
            "open",
            f"No image of another label comes from the source of the {audit.positive} images, so "
            "that the finding cannot be told from the source.",
            OTHER_FINDINGS,
        )
    marks = {_judge(test) for test in audit.sources.within}
    mark = next(mark for mark in ("bad", "open", "good") if mark in marks)
    tests = "; ".join(_describe(test, audit.positive) for test in audit.sources.within)
    return Answer(mark, f"{audit.classifier} {tests}.")


def _judge(test: SameSourceTest) -> str:
    elsewhere = test.elsewhere
    if elsewhere and test.called_positive.low > elsewhere.high:
        return "bad"
    return "good" if test.roc_auc.low > GUESSING else "open"


def _describe(test: SameSourceTest, positive: str) -> str:
    text = (
        f"among images of {test.source} alone ({test.positives.images} {positive}, "
        f"{test.negatives.images} not) has a ROC AUC of {test.roc_auc.text()} and calls "
        f"{test.called_positive.percent()}\u00a0% of the latter {positive}"
    )
    if test.elsewhere is None:
        return text
    return f"{text}, of those of other sources {test.elsewhere.percent()}\u00a0%"
