"""What a reviewer would ask about a study's images before reading on.

Nothing here looks at the lungs: sizes, brightness and borders that tell the labels apart are what a
classifier may learn in place of the disease (DeGrave et al. 2021, "AI for radiographic COVID-19
detection selects shortcuts over signal"; Roberts et al. 2021, on 62 studies).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.data.check_report import CheckReport, ImageGroup, Predictability
from pipelines.data.image_facts import FACTS, measure_facts
from pipelines.data.review import write_warnings
from pipelines.study.lung_counts import count_lungs
from pipelines.study.manifest import EXTERNAL, Row
from pipelines.study.workspace import Workspace

MAX_FOLDS = 5


def check_study(workspace: Workspace) -> CheckReport:
    """Look at all images of a study, and write what is found to data/check.json too."""
    rows = workspace.rows()
    facts = measure_facts(workspace, rows)
    is_own = np.array([row.split != EXTERNAL for row in rows])
    own = [row for row in rows if row.split != EXTERNAL]
    labels = np.array([row.label for row in own])
    classes = sorted({row.label for row in own})
    apart: dict[str, dict[str, float]] = {}
    predictable = None
    if len(classes) > 1:
        apart = {label: _separate(facts[is_own], labels == label) for label in classes}
        predictable = _predict_labels(own, facts[is_own], labels)
    report = CheckReport(
        images=len(rows),
        groups=_group_images(rows, facts),
        apart=apart,
        predictable=predictable,
        warnings=[
            *write_warnings(rows, apart, predictable, workspace.imports()),
            *_warn_of_lungs(workspace),
        ],
    )
    report.save(workspace.data / "check.json")
    return report


def _warn_of_lungs(workspace: Workspace) -> list[str]:
    """Warn of lungs that differ between the labels in more than the disease, where there are any.

    Whether they are of these images is not this check's matter: what reads them says so.
    """
    try:
        return count_lungs(workspace).warnings
    except (FileNotFoundError, ValueError):
        return []


def _group_images(rows: Sequence[Row], facts: np.ndarray) -> list[ImageGroup]:
    """Describe the images by label and source, in that order."""
    groups = []
    for label, source in sorted({(row.label, row.source) for row in rows}):
        chosen = [
            index for index, row in enumerate(rows) if (row.label, row.source) == (label, source)
        ]
        side, _, brightness, contrast, border = np.median(facts[chosen], axis=0).tolist()
        groups.append(
            ImageGroup(
                label=label,
                source=source,
                images=len(chosen),
                patients=len({rows[index].patient for index in chosen}),
                side=side,
                brightness=brightness,
                contrast=contrast,
                border=100 * border,
            )
        )
    return groups


def _separate(facts: np.ndarray, is_label: np.ndarray) -> dict[str, float]:
    """Return the AUC with which each fact alone tells a label from the others, 0.5 or more."""
    scores = [roc_auc_score(is_label, column) for column in facts.T]
    return {
        name: round(max(score, 1 - score), 4) for name, score in zip(FACTS, scores, strict=True)
    }


def _predict_labels(rows: Sequence[Row], facts: np.ndarray, labels: np.ndarray) -> Predictability:
    """Measure how well the label is told from the source, from the facts, and from nothing."""
    label_counts: dict[str, Counter[str]] = defaultdict(Counter)  # by source
    for row in rows:
        label_counts[row.source][row.label] += 1
    by_source = sum(_commonest_count(counts) for counts in label_counts.values()) / len(rows)
    commonest = _commonest_count(Counter(labels.tolist())) / len(labels)
    by_facts = _accuracy_by_facts(rows, facts, labels)
    return Predictability(by_source, max(by_facts, commonest), commonest)


def _commonest_count(counts: Counter[str]) -> int:
    return counts.most_common(1)[0][1]


def _accuracy_by_facts(rows: Sequence[Row], facts: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy of a linear classifier of the facts (N, 5), patients apart in 5 folds.

    It is 0 where there are too few patients for every label to be in every fold.
    """
    _, patients = np.unique([row.patient for row in rows], return_inverse=True)
    folds = min(MAX_FOLDS, patients.max() + 1)
    if folds < 2:
        return 0.0
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    try:
        predicted = cross_val_predict(model, facts, labels, groups=patients, cv=GroupKFold(folds))
    except ValueError:
        return 0.0
    return float((predicted == labels).mean())
