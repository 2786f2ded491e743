"""What `cxr data` prints: counts of images and patients, and what a check of the data shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.study.text import one_line

if TYPE_CHECKING:
    from pipelines.data.check_report import CheckReport
    from pipelines.study.import_log import HeldOut, ImportSummary
    from pipelines.study.manifest import Row

VALUES_SHOWN = 5  # of a column that images are held out by


def counts_table(rows: Sequence[Row]) -> str:
    """Write the number of images, and of patients in brackets, per label and split."""
    splits = ["train", "validation", "test"]
    if any(row.split == "external" for row in rows):
        splits.append("external")
    splits.append("all")
    lines = [f"{'images (patients)':20}" + "".join(f"{split:>16}" for split in splits)]
    for label in sorted({row.label for row in rows}):
        cells = [
            _images_and_patients(
                [row for row in rows if row.label == label and split in (row.split, "all")]
            )
            for split in splits
        ]
        lines.append(f"{label:20}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def _images_and_patients(rows: Sequence[Row]) -> str:
    return f"{len(rows)} ({len({row.patient for row in rows})})"


def held_out_lines(held_out: HeldOut) -> list[str]:
    """Write which images an import put aside, by which rules and values."""
    lines = []
    for rule in held_out.rules:
        values = [f"{one_line(value)} ({count})" for value, count in rule.values.items()]
        more = len(values) - VALUES_SHOWN
        values[VALUES_SHOWN:] = [f"{more} more"] if more > 0 else []
        if rule.values_of_one_patient:
            values.append(f"{rule.values_of_one_patient} values of one patient each")
        told = f": {', '.join(values)}" if values else ""
        lines.append(f"held out by {one_line(rule.rule)}: {rule.images} images{told}")
    if held_out.tied_images:
        lines.append(
            f"held out with them: {held_out.tied_images} further images of the same patients, or "
            "that look alike"
        )
    per_label = [
        f"{label} {count} ({held_out.patients[label]})" for label, count in held_out.images.items()
    ]
    lines.append(f"external test set, images (patients): {', '.join(per_label) or 'no new image'}")
    return lines


def looked_for_lines(imports: Sequence[ImportSummary]) -> str:
    """Write which near-duplicates the imports of a study looked for, and which not."""
    lines = list(dict.fromkeys(summary.looked_for for summary in imports if summary.looked_for))
    if any(not summary.looked_for for summary in imports):
        lines.append(
            "an import by an earlier version of cxr looked for no mirrored, inverted, framed, "
            "turned or cropped copies; import anew into another folder to have them looked for"
        )
    return "\n".join(lines) or "near-duplicates: no import is on record"


def check_table(report: CheckReport) -> str:
    """Write the numbers of `cxr data check`.

    Images by label and source, and how well simple facts tell the labels apart.
    """
    lines = [
        f"{'label':16} {'source':32} {'images':>7} {'patients':>9}  median side   brightness"
        "   contrast   dark border"
    ]
    lines += [
        f"{group.label:16.16} {group.source:32.32} {group.images:7d} "
        f"{group.patients:9d}  {group.side:8.0f} px {group.brightness:12.0f} "
        f"{group.contrast:10.0f} {group.border:11.0f} %"
        for group in report.groups
    ]
    if report.apart:
        lines.append(
            "how well one simple fact tells a label from the others (AUC, 50 % is not at all):"
        )
        lines += [
            f"{label:16.16} "
            + "   ".join(f"{name} {100 * auc:.0f} %" for name, auc in values.items())
            for label, values in report.apart.items()
        ]
    if predictable := report.predictable:
        lines.append(
            "the label can be told, with no look at the lungs, by source in "
            f"{100 * predictable.by_source:.0f} % of the images, by these facts together in "
            f"{100 * predictable.by_facts:.0f} %; the commonest label is "
            f"{100 * predictable.commonest:.0f} %"
        )
    return "\n".join(lines)
