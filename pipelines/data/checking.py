"""What a reviewer would ask about a study's images before reading on.

Nothing here looks at the lungs: sizes, brightness and borders that tell the labels apart are what a classifier may learn in place of the disease
(DeGrave et al. 2021, "AI for radiographic COVID-19 detection selects shortcuts over signal"; Roberts et al. 2021, on 62 studies).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipelines.study.image_cache import mapped_images
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.workspace import Workspace
from runtime.files import write_json

SIZE = 64  # pixels at which brightness and borders are measured
DARK = 16  # gray levels; a border pixel below it is film that no body covers
APART = 0.75  # AUC from which a simple fact is worth a warning
FEW = 10  # patients of a label in a split
FACTS = ("longest side", "width to height", "brightness", "contrast", "dark border")


def facts_of(workspace: Workspace, rows: Sequence[Row]) -> np.ndarray:
    """FACTS of each image, float (N, 5): pixels, ratio, gray levels, gray levels, share of the frame."""
    facts = np.empty((len(rows), len(FACTS)))
    arrays, positions = mapped_images(workspace, SIZE)
    for start in range(0, len(rows), 4096):  # so many at a time, whatever the size of the study
        images = arrays[[positions[row.file_name] for row in rows[start : start + 4096]]]
        edges = (images[:, :2], images[:, -2:], images[:, :, :2], images[:, :, -2:])
        frame = np.concatenate([edge.reshape(len(images), -1) for edge in edges], axis=1)
        part = facts[start : start + 4096]
        part[:, 2], part[:, 3], part[:, 4] = (
            images.mean(axis=(1, 2)),
            images.std(axis=(1, 2)),
            (frame < DARK).mean(axis=1),
        )
    sides = np.array([[row.width, row.height] for row in rows], float)
    facts[:, 0], facts[:, 1] = sides.max(axis=1), sides[:, 0] / sides[:, 1]
    return facts


def check_study(workspace: Workspace) -> dict[str, Any]:
    """Groups of images by label and source, how well simple facts predict the label, and warnings; also written to data/check.json."""
    rows = workspace.rows()
    own = [row for row in rows if row.split != EXTERNAL]
    facts, classes = facts_of(workspace, rows), sorted({row.label for row in own})
    groups = []
    for label, source in sorted({(row.label, row.source) for row in rows}):
        mine = [
            index for index, row in enumerate(rows) if (row.label, row.source) == (label, source)
        ]
        side, _, brightness, contrast, border = np.median(facts[mine], axis=0)
        groups.append(
            {
                "label": label,
                "source": source,
                "images": len(mine),
                "patients": len({rows[index].patient for index in mine}),
                "side": side,
                "brightness": brightness,
                "contrast": contrast,
                "border": 100 * border,
            }
        )
    facts_own, labels = (
        facts[[row.split != EXTERNAL for row in rows]],
        np.array([row.label for row in own]),
    )
    apart, predictable = {}, None
    if len(classes) > 1:
        for label in classes:
            scores = [roc_auc_score(labels == label, column) for column in facts_own.T]
            apart[label] = {
                name: round(max(score, 1 - score), 4) for name, score in zip(FACTS, scores)
            }
        predictable = _predictable(own, facts_own, labels)
    report = {"images": len(rows), "groups": groups, "apart": apart, "predictable": predictable}
    report["warnings"] = _warnings(rows, own, classes, apart, predictable, workspace.imports())
    write_json(workspace.data / "check.json", report)
    return report


def _predictable(rows: Sequence[Row], facts: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracies at telling the label from the source alone, from FACTS (patients apart in 5 folds), and from nothing."""
    sources: dict[str, Counter[str]] = {}
    for row in rows:
        sources.setdefault(row.source, Counter())[row.label] += 1
    _, patients = np.unique([row.patient for row in rows], return_inverse=True)
    folds = min(5, patients.max() + 1)
    by_facts = 0.0
    if folds > 1:
        model = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
        )
        try:
            by_facts = float(
                (
                    cross_val_predict(model, facts, labels, groups=patients, cv=GroupKFold(folds))
                    == labels
                ).mean()
            )
        except ValueError:  # too few patients for every label to be in every fold
            by_facts = 0.0
    commonest = Counter(labels.tolist()).most_common(1)[0][1] / len(labels)
    return {
        "by_source": sum(counts.most_common(1)[0][1] for counts in sources.values()) / len(rows),
        "by_facts": max(by_facts, commonest),
        "commonest": commonest,
    }


def _warnings(rows, own, classes, apart, predictable, imports) -> list[str]:
    warnings = []
    if len(classes) < 2:
        warnings.append(f"all images are {classes[0]}: a classifier needs at least two labels")
    if predictable:
        gain = predictable["by_source"] - predictable["commonest"]
        if predictable["by_source"] > 0.999 and gain > 0:
            warnings.append(
                f"label and source are one: the source alone tells the label in 100 % of the images (the commonest label: {100 * predictable['commonest']:.0f} %), so a classifier "
                "may learn hospitals and scanners; bring images of every label from every source, or an --external test set"
            )
        elif gain > 0.1:
            warnings.append(
                f"the source alone tells the label in {100 * predictable['by_source']:.0f} % of the images (the commonest label: {100 * predictable['commonest']:.0f} %)"
            )
        if predictable["by_facts"] - predictable["commonest"] > 0.1:
            warnings.append(
                f"size, shape, brightness, contrast and borders alone tell the label in {100 * predictable['by_facts']:.0f} % of the images, no lung being looked at"
            )
    seen = set()
    for label, values in apart.items():
        for name, auc in values.items():
            if auc >= APART and name not in seen:
                seen.add(name)
                warnings.append(
                    f"{name} differs between {label} and the other labels: AUC {100 * auc:.0f} %"
                )
    counts = Counter(row.label for row in own)
    if len(counts) > 1 and max(counts.values()) > 2 * min(counts.values()):
        most, least = max(counts, key=counts.get), min(counts, key=counts.get)
        warnings.append(
            f"the labels are unbalanced: {counts[most]} {most}, {counts[least]} {least}; accuracy alone will flatter"
        )
    views = {
        label: Counter(
            row.view.upper().split()[0] for row in own if row.label == label and row.view
        )
        for label in classes
    }
    known = {label: counts for label, counts in views.items() if counts.total()}
    if known and (
        len(known) < len(classes)
        or max(counts["AP"] / counts.total() for counts in known.values())
        - min(counts["AP"] / counts.total() for counts in known.values())
        > 0.2
    ):
        shares = ", ".join(
            f"{label} {100 * views[label]['AP'] / views[label].total():.0f} % AP"
            if label in known
            else f"{label} not stated"
            for label in classes
        )
        warnings.append(
            f"projections differ or are not stated for every label ({shares}): bedside AP films look different from PA films"
        )
    for split in SPLITS:
        few = [
            f"{count} {label}"
            for label in classes
            if (
                count := len(
                    {row.patient for row in own if row.label == label and row.split == split}
                )
            )
            < FEW
        ]
        if few:
            warnings.append(
                f"few patients in {split}: {', '.join(few)}; expected at least {FEW} of each label"
            )
    if len({row.patient for row in own}) == len(own) > 1:
        warnings.append(
            "every image counts as a patient of its own: where one patient has several, splits may leak; a CSV with a column patient tells"
        )
    near = sum(len(imported.get("near_duplicates", [])) for imported in imports)
    if near:
        warnings.append(
            f"{near} pairs look like one film (kept, each in one split; data/import.json names them)"
        )
    external = {row.label for row in rows if row.split == EXTERNAL}
    if external and external < set(classes):
        warnings.append(
            f"the external test set has no {', '.join(sorted(set(classes) - external))}"
        )
    elif (
        not external
        and len({row.source for row in own if not row.source.startswith("phantom")}) > 0
    ):
        warnings.append(
            "there is no test set from another source (--external): how far the results carry stays open"
        )
    return warnings
