"""The warnings of a check: what a reviewer would object to in a study's images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pipelines.data.check_report import Predictability
from pipelines.study.import_log import ImportSummary
from pipelines.study.manifest import EXTERNAL, SPLITS, Row

SUSPICIOUS_AUC = 0.75  # from which a simple fact is worth a warning
SUSPICIOUS_GAIN = 0.1  # of accuracy over always saying the commonest label
MIN_PATIENTS = 10  # of a label in a split
MAX_IMBALANCE = 2  # images of the commonest label for one of the rarest
MAX_AP_DIFFERENCE = 0.2  # between the labels' shares of AP films


def write_warnings(
    rows: Sequence[Row],
    apart: Mapping[str, Mapping[str, float]],
    predictable: Predictability | None,
    imports: Sequence[ImportSummary],
) -> list[str]:
    """Write a line for everything that a reviewer would object to.

    apart: by label, the AUC with which each fact tells it from the others.
    """
    own = [row for row in rows if row.split != EXTERNAL]
    classes = sorted({row.label for row in own})
    warnings = []
    if len(classes) < 2:
        warnings.append(f"all images are {classes[0]}: a classifier needs at least two labels")
    if predictable:
        warnings += _warn_of_source(predictable)
        warnings += _warn_of_facts(predictable)
    return [
        *warnings,
        *_warn_of_single_facts(apart),
        *_warn_of_imbalance(own),
        *_warn_of_projections(own, classes),
        *_warn_of_few_patients(own, classes),
        *_warn_of_unknown_patients(own),
        *dict.fromkeys(note for summary in imports for note in summary.patient_notes),
        *_warn_of_near_duplicates(imports),
        *_warn_of_external_set(rows, classes),
    ]


def _warn_of_source(predictable: Predictability) -> Iterator[str]:
    gain = predictable.by_source - predictable.commonest
    commonest = f"the commonest label: {100 * predictable.commonest:.0f} %"
    if predictable.by_source > 0.999 and gain > 0:
        yield (
            "label and source are one: the source alone tells the label in 100 % of the images "
            f"({commonest}), so a classifier may learn hospitals and scanners; bring images of "
            "every label from every source, or an --external test set"
        )
    elif gain > SUSPICIOUS_GAIN:
        yield (
            f"the source alone tells the label in {100 * predictable.by_source:.0f} % of the "
            f"images ({commonest})"
        )


def _warn_of_facts(predictable: Predictability) -> Iterator[str]:
    if predictable.by_facts - predictable.commonest > SUSPICIOUS_GAIN:
        yield (
            "size, shape, brightness, contrast and borders alone tell the label in "
            f"{100 * predictable.by_facts:.0f} % of the images, no lung being looked at"
        )


def _warn_of_single_facts(apart: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Warn of each fact that tells a label from the others, once."""
    told = set()
    for label, auc_by_fact in apart.items():
        for fact, auc in auc_by_fact.items():
            if auc >= SUSPICIOUS_AUC and fact not in told:
                told.add(fact)
                yield f"{fact} differs between {label} and the other labels: AUC {100 * auc:.0f} %"


def _warn_of_imbalance(own: Sequence[Row]) -> Iterator[str]:
    counts = Counter(row.label for row in own)
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] > MAX_IMBALANCE * counts[least]:
        yield (
            f"the labels are unbalanced: {counts[most]} {most}, {counts[least]} {least}; "
            "accuracy alone will flatter"
        )


def _warn_of_projections(own: Sequence[Row], classes: Sequence[str]) -> Iterator[str]:
    """Warn where AP films are commoner in one label, or it is not stated for every label."""
    share_of_ap: dict[str, float] = {}
    for label in classes:
        views = Counter(
            row.view.upper().split()[0] for row in own if row.label == label and row.view
        )
        if views:
            share_of_ap[label] = views["AP"] / views.total()
    if not share_of_ap:
        return
    difference = max(share_of_ap.values()) - min(share_of_ap.values())
    if len(share_of_ap) < len(classes) or difference > MAX_AP_DIFFERENCE:
        shares = ", ".join(
            f"{label} {100 * share_of_ap[label]:.0f} % AP"
            if label in share_of_ap
            else f"{label} not stated"
            for label in classes
        )
        yield (
            f"projections differ or are not stated for every label ({shares}): "
            "bedside AP films look different from PA films"
        )


def _warn_of_few_patients(own: Sequence[Row], classes: Sequence[str]) -> Iterator[str]:
    for split in SPLITS:
        patients: dict[str, set[str]] = {label: set() for label in classes}
        for row in own:
            if row.split == split:
                patients[row.label].add(row.patient)
        few = [
            f"{len(names)} {label}"
            for label, names in patients.items()
            if len(names) < MIN_PATIENTS
        ]
        if few:
            yield (
                f"few patients in {split}: {', '.join(few)}; "
                f"expected at least {MIN_PATIENTS} of each label"
            )


def _warn_of_unknown_patients(own: Sequence[Row]) -> Iterator[str]:
    if len({row.patient for row in own}) == len(own) > 1:
        yield (
            "every image counts as a patient of its own: where one patient has several, splits may "
            "leak; a CSV with a column patient tells"
        )


def _warn_of_near_duplicates(imports: Sequence[ImportSummary]) -> Iterator[str]:
    pairs = sum(len(summary.near_duplicates) for summary in imports)
    if pairs:
        yield (
            f"{pairs} pairs look like one film (kept, each in one split; data/import.json names "
            "them)"
        )


def _warn_of_external_set(rows: Sequence[Row], classes: Sequence[str]) -> Iterator[str]:
    external = {row.label for row in rows if row.split == EXTERNAL}
    if external and external < set(classes):
        yield f"the external test set has no {', '.join(sorted(set(classes) - external))}"
    elif not external and not all(row.source.startswith("phantom") for row in rows):
        yield (
            "there is no test set from another source (--external): how far the results carry "
            "stays open"
        )
