"""What a study answers to the pitfalls of its data: splits, sources and shortcuts."""

from __future__ import annotations

from collections import Counter

from pipelines.metrics.names import MEASURE_TITLES
from pipelines.report.answers import Answer
from pipelines.report.contents import Study
from pipelines.report.formats import percent, plural, points, points_range
from pipelines.study.manifest import EXTERNAL, SPLITS

GUESSING = 0.5  # ROC AUC
TELLING_GAIN = 0.1  # labels told by simple facts rather than by guessing, from which on it is bad


def patients_in_several_splits(study: Study) -> Answer:
    """Look for patients whose images are in more than one split."""
    splits: dict[str, set[str]] = {}
    for row in study.rows:
        splits.setdefault(row.patient, set()).add(row.split)
    astray = sum(len(of_patient) > 1 for of_patient in splits.values())
    if astray:
        return Answer(
            "bad",
            f"{plural(astray, 'patient')} of {len(splits)} in more than one split.",
            "cxr data import PATH...",
        )
    counts = Counter(next(iter(of_patient)) for of_patient in splits.values())
    where = ", ".join(f"{counts[split]} {split}" for split in (*SPLITS, EXTERNAL) if counts[split])
    if len(splits) == len(study.rows):
        return Answer(
            "open",
            f"Every one of the {len(splits)} images counts as a patient of its own ({where}): "
            "where a patient has several, nothing here can tell.",
        )
    return Answer("good", f"Each of the {len(splits)} patients is in one split alone: {where}.")


def duplicates_across_splits(study: Study) -> Answer:
    """Look for equal pixels, and films that look alike, in different splits."""
    splits: dict[str, set[str]] = {}
    for row in study.rows:
        splits.setdefault(row.sha256, set()).add(row.split)
    same = sum(len(of_image) > 1 for of_image in splits.values())
    split_of = {row.file_name: row.split for row in study.rows}
    pairs = [
        [split_of.get(name) for name in pair.images]
        for imported in study.imports
        for pair in imported.near_duplicates
    ]
    apart = sum(None not in pair and len(set(pair)) > 1 for pair in pairs)
    if same or apart:
        return Answer(
            "bad",
            f"{plural(same, 'image')} with the same pixels in several splits, "
            f"{plural(apart, 'pair')} that look like one film in different ones.",
            "cxr data import PATH...",
        )
    text = f"No two splits of these {len(study.rows)} images share one with the same pixels"
    if not study.imports:
        return Answer(
            "open", f"{text}; whether some look alike is not on record (no data/import.json)."
        )
    left_out = sum(imported.left_out_counts.get("exact duplicate", 0) for imported in study.imports)
    return Answer(
        "good",
        f"{text}: {plural(left_out, 'exact duplicate')} left out at import, "
        f"{plural(len(pairs), 'pair')} that look like one film kept, none of them in two splits.",
    )


def label_and_source(study: Study) -> Answer:
    """Compare how often the source alone tells the label with guessing."""
    sources: dict[str, Counter[str]] = {}
    for row in study.own:
        sources.setdefault(row.source, Counter())[row.label] += 1
    if len(sources) == 1:
        return Answer(
            "good", f"All {len(study.own)} images come from one source, {next(iter(sources))}."
        )
    by_source = sum(counts.most_common(1)[0][1] for counts in sources.values()) / len(study.own)
    labels = Counter(row.label for row in study.own)
    by_guessing = labels.most_common(1)[0][1] / len(study.own)
    text = (
        f"The source alone tells the label of {percent(by_source)} of the images; "
        f"the commonest label is {percent(by_guessing)}"
    )
    if by_source - by_guessing > TELLING_GAIN:
        return Answer(
            "bad",
            f"{text}. Part of the accuracy may be the hospital or the scanner; "
            "images of every label from every source would tell.",
        )
    return Answer("good", f"{text}.")


def simple_facts(study: Study) -> Answer:
    """Compare how often size, brightness and borders tell the label with guessing."""
    predictable = study.check.predictable if study.check else None
    if not predictable:
        return Answer(
            "open",
            "Whether size, brightness or borders give the label away has not been looked at.",
            "cxr data check",
        )
    gain = predictable.by_facts - predictable.commonest
    return Answer(
        "bad" if gain > TELLING_GAIN else "good",
        "Size, shape, brightness, contrast and borders alone tell "
        f"{percent(predictable.by_facts)} of the labels; "
        f"the commonest is {percent(predictable.commonest)}.",
    )


def shortcuts(study: Study) -> Answer:
    """Ask the newest shortcut audit."""
    if not study.audit:
        return Answer(
            "open",
            "Whether the classes can be told apart without the lungs has not been tried.",
            "cxr audit",
        )
    audit = study.audit.result
    altered = ", ".join(
        f"{result.title} {result.retrained.roc_auc.value:.3f}"
        for result in audit.alterations[1:]
        if result.retrained
    )
    return Answer(
        "bad" if audit.warnings else "good",
        f"ROC AUC {audit.intact.roc_auc.value:.3f} on whole images; trained and tested on altered "
        f"ones: {altered}; {plural(len(audit.warnings), 'warning')}.",
    )


def external_test(study: Study) -> Answer:
    """Look for a test on patients of another hospital, and how far the question's arm falls."""
    external, measure = study.summary.external, study.summary.measure
    if external:
        main = study.summary.primary_result()
        where = (
            f"Tested on {plural(external.all.patients, 'patient')} of another hospital or source "
            f"too ({plural(external.all.images, 'image')})"
        )
        if measure not in main.outside:
            return Answer("open", f"{where}, but {external.undefined}.")
        outside = main.outside[measure]
        text = (
            f"{where}: {MEASURE_TITLES[measure]} of {main.arm} is "
            f"{percent(main.measures.of(measure).value)} inside and "
            f"{percent(outside.estimate.value)} outside, a fall of {points(outside.fall.value)} "
            f"points ({points_range(outside.fall)})."
        )
        if "roc_auc" in main.outside and main.outside["roc_auc"].estimate.low <= GUESSING:
            return Answer("open", f"{text} Outside it cannot be told from guessing.")
        return Answer("good", text)
    if any(row.split == EXTERNAL for row in study.rows):
        return Answer(
            "open",
            "The study has images of another hospital or source, and this comparison was not "
            "tested on them.",
            "cxr compare",
        )
    return Answer(
        "bad",
        f"All {study.summary.test.images} test images come from the sources of the training "
        "images.",
        "cxr data import PATH... --external PATH",
    )
