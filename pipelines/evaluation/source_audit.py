"""Whether the source of an image gives its label away.

Where all images of a label are of one source, nobody can tell the two apart. Where a label has
several sources, a classifier is trained to tell them apart among its images alone: the label being
the same, nothing of it can help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipelines.evaluation.retraining import Retraining
from pipelines.results.audit_result import SourceAudit, SourceTest
from pipelines.study.manifest import SPLITS, Row
from pipelines.study.split import Split

MIN_SOURCE_IMAGES = {"train": 5, "validation": 2, "test": 2}  # below which a source is left out


def audit_sources(
    rows: Sequence[Row], splits: Mapping[str, Split], retraining: Retraining
) -> SourceAudit:
    """Test for each label whether its sources can be told apart.

    rows: of the study. splits: its training, validation and test images.
    """
    images = count_images_by_source(rows)
    tests = [_test_sources(label, rows, splits, retraining) for label in images]
    done = tuple(test for test in tests if test)
    return SourceAudit(images, done, describe_sources(images, done))


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


def describe_sources(images: Mapping[str, Mapping[str, int]], tests: Sequence[SourceTest]) -> str:
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


def _describe_test(test: SourceTest) -> str:
    accuracy = test.balanced_accuracy
    interval = f"[{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"
    return (
        f"among {test.label} images alone, the sources {', '.join(test.sources)} are told apart "
        f"with a balanced accuracy of {100 * accuracy.value:.1f} % {interval} "
        f"(chance {100 * test.chance:.0f} %)"
    )
