"""Whether the source of an image gives its label away.

Where all images of a label are of one source, nobody can tell the two apart. Where a label has
several sources, a classifier is trained to tell them apart among its images alone: the label being
the same, nothing of it can help. And where a source has images of the positive class and of others,
perhaps in the external set, the audited classifier is asked to tell those apart: the source being
the same, nothing of it can help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.evaluation.retraining import Retraining
from pipelines.metrics.confidence_intervals import estimate_accuracy, estimate_auc
from pipelines.results.audit_result import SameSourceTest, SourceAudit, SourceTest
from pipelines.results.image_count import ImageCount
from pipelines.study.manifest import SPLITS, Row
from pipelines.study.split import Split

MIN_SAME_SOURCE = 2  # images of the positive class, and of others, of one source
MIN_SOURCE_IMAGES = {"train": 5, "validation": 2, "test": 2}  # below which a source is left out


@dataclass(frozen=True)
class AuditedAnswers:
    """What the audited classifier says of the test images and of the external ones.

    Attributes:
        images: Of both.
        probabilities: (N, K).
        positive: Index of the positive class.
    """

    images: Split
    probabilities: np.ndarray
    positive: int


def audit_sources(
    rows: Sequence[Row],
    splits: Mapping[str, Split],
    retraining: Retraining,
    answers: AuditedAnswers,
) -> SourceAudit:
    """Test for each label whether its sources can be told apart, and its images within a source.

    rows: of the study. splits: its training, validation and test images.
    """
    images = count_images_by_source(rows)
    tests = [_test_sources(label, rows, splits, retraining) for label in images]
    done = tuple(test for test in tests if test)
    within = test_within_sources(rows, answers)
    return SourceAudit(images, done, within, describe_sources(images, done, within))


def test_within_sources(rows: Sequence[Row], answers: AuditedAnswers) -> tuple[SameSourceTest, ...]:
    """Ask the audited classifier to tell the classes apart within each source that has both."""
    source_of = {row.file_name: row.source for row in rows}
    sources = np.array([source_of[name] for name in answers.images.file_names])
    is_positive = answers.images.labels == answers.positive
    tests = []
    for source in sorted(set(sources)):
        positives = np.flatnonzero((sources == source) & is_positive)
        negatives = np.flatnonzero((sources == source) & ~is_positive)
        if min(len(positives), len(negatives)) >= MIN_SAME_SOURCE:
            elsewhere = np.flatnonzero((sources != source) & ~is_positive)
            tests.append(_test_within(source, answers, positives, negatives, elsewhere))
    return tuple(tests)


def _test_within(
    source: str,
    answers: AuditedAnswers,
    positives: np.ndarray,
    negatives: np.ndarray,
    elsewhere: np.ndarray,
) -> SameSourceTest:
    """Measure the classifier on the images at these places, all positive or negative."""
    chosen = np.concatenate([positives, negatives])
    chance = answers.probabilities[:, answers.positive]
    called = answers.probabilities.argmax(axis=1) == answers.positive
    patients = np.array(answers.images.patients)

    is_positive = answers.images.labels[chosen] == answers.positive
    return SameSourceTest(
        source=source,
        positives=ImageCount(len(positives), len(set(patients[positives]))),
        negatives=ImageCount(len(negatives), len(set(patients[negatives]))),
        roc_auc=estimate_auc(is_positive, chance[chosen], list(patients[chosen])),
        called_positive=estimate_accuracy(called[negatives], patients[negatives]),
        elsewhere=estimate_accuracy(called[elsewhere], patients[elsewhere])
        if len(elsewhere)
        else None,
    )


def count_images_by_source(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Count the images of each label and source, without an external test set's."""
    return {
        label: dict(
            Counter(row.source for row in rows if row.label == label and row.split in SPLITS)
        )
        for label in sorted({row.label for row in rows})
    }


def _test_sources(
    label: str, rows: Sequence[Row], splits: Mapping[str, Split], retraining: Retraining
) -> SourceTest | None:
    """Train a classifier to tell the sources of a label; None where fewer than two have enough."""
    source_of = {row.file_name: row.source for row in rows if row.label == label}
    sources = _sources_with_enough_images(source_of, splits)
    if len(sources) < 2:
        return None
    parts = {name: _label_by_source(split, source_of, sources) for name, split in splits.items()}
    measures = retraining.test_measures(
        f"source-of-{label}",
        parts,
        classes=sources,
        positive=sources[0],
        what=f"source of {label}",
    )
    return SourceTest(
        label=label,
        sources=tuple(sources),
        test_images=len(parts["test"].labels),
        chance=1 / len(sources),
        balanced_accuracy=measures["balanced_accuracy"],
        roc_auc=measures["roc_auc"],
    )


def _sources_with_enough_images(
    source_of: Mapping[str, str], splits: Mapping[str, Split]
) -> list[str]:
    """The sources, in order, that have MIN_SOURCE_IMAGES of these file names in every split."""
    counts = {
        name: Counter(source_of[file] for file in split.file_names if file in source_of)
        for name, split in splits.items()
    }
    return [
        source
        for source in sorted(set(source_of.values()))
        if all(counts[name][source] >= least for name, least in MIN_SOURCE_IMAGES.items())
    ]


def _label_by_source(split: Split, source_of: Mapping[str, str], sources: Sequence[str]) -> Split:
    """The images of a split that are of these sources, each with its source as its label."""
    part = split.take(
        [place for place, file in enumerate(split.file_names) if source_of.get(file) in sources]
    )
    labels = [sources.index(source_of[file]) for file in part.file_names]
    return replace(part, labels=np.array(labels, np.int64))


def labels_of_one_source(images: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """The source of each label that has a single one."""
    return {label: next(iter(counts)) for label, counts in images.items() if len(counts) == 1}


def describe_sources(
    images: Mapping[str, Mapping[str, int]],
    tests: Sequence[SourceTest],
    within: Sequence[SameSourceTest] = (),
) -> str:
    """Say in words whether the sources of these images give their labels away."""
    sources = {source for counts in images.values() for source in counts}
    if len(sources) == 1:
        return (
            f"all images come from one source, {sources.pop()}: "
            "within this study it gives no label away"
        )
    sentences = []
    single = labels_of_one_source(images)
    if len(set(single.values())) > 1:
        pairs = ", ".join(f"{label} from {source}" for label, source in single.items())
        sentences.append(
            f"source and label are the same thing ({pairs}, and from nowhere else): no audit can "
            "tell them apart, and what tells the sources tells these labels; bring images of every "
            "label from every source, or an --external test set"
        )
    sentences += [_describe_test(test) for test in tests]
    sentences += [_describe_within(test) for test in within]
    tested = {test.label for test in tests}
    untested = [
        label for label, counts in images.items() if len(counts) > 1 and label not in tested
    ]
    if untested:
        sentences.append(
            f"{', '.join(untested)}: too few images of a second source in some split to tell "
            "whether the sources differ"
        )
    return "; ".join(sentences)


def _describe_within(test: SameSourceTest) -> str:
    text = (
        f"among images of {test.source} alone, {test.positives.images} positive and "
        f"{test.negatives.images} not, the audited classifier has a ROC AUC of "
        f"{test.roc_auc.text()} and calls {test.called_positive.percent()} % of the latter positive"
    )
    if test.elsewhere is None:
        return text
    return f"{text}; of those of other sources it calls {test.elsewhere.percent()} % so"


def _describe_test(test: SourceTest) -> str:
    accuracy = test.balanced_accuracy
    interval = f"[{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
    return (
        f"among {test.label} images alone, the sources {', '.join(test.sources)} are told apart "
        f"with a balanced accuracy of {100 * accuracy.value:.1f} % {interval} "
        f"(chance {100 * test.chance:.0f} %)"
    )
