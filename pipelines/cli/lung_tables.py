"""What `cxr lungs-train` and `cxr data lungs` print."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.results.lung_result import LUNG_MEASURES
from pipelines.study.text import one_line

if TYPE_CHECKING:
    from pipelines.data.lungs import LungsSummary
    from pipelines.results.lung_result import LungResult
    from pipelines.study.lung_counts import LungCounts
    from pipelines.study.lungs import LungRow

MAX_LISTED = 40  # doubtful images on standard output; all stand in the table


def scores_table(result: LungResult) -> str:
    """Write the scores of a lung network by split."""
    splits = {"validation": result.validation, "test": result.test}
    lines = [f"{'mean [95 % interval]':20}" + "".join(f"{name:>26}" for name in splits)]
    for name, text in LUNG_MEASURES.items():
        cells = "".join(f"{getattr(scores, name).text():>26}" for scores in splits.values())
        lines.append(f"{text:20}{cells}")
    for text, counts in (
        ("images (patients)", [f"{of.dice.n} ({of.patients})" for of in splits.values()]),
        ("Dice under 0.80", [str(of.under_80) for of in splits.values()]),
        ("masks in doubt", [str(of.doubtful) for of in splits.values()]),
    ):
        lines.append(f"{text:20}" + "".join(f"{count:>26}" for count in counts))
    return "\n".join(lines)


def lungs_table(summary: LungsSummary, rows: Sequence[LungRow], beside: Sequence[Path]) -> str:
    """Say whose masks a study has, which are in doubt, and what their network has seen.

    beside: folders of masks that lie beside the imported images and are not used.
    """
    lines = [
        f"{count} masks {'from the network' if source == 'network' else 'that were brought'}, "
        f"{summary.doubtful.get(source, 0)} of them in doubt"
        for source, count in summary.images.items()
    ]
    if summary.masks_resized:
        lines.append(
            f"{summary.masks_resized} masks had another size than the study's image: resized"
        )
    if summary.masks_left_out:
        lines.append(
            f"{summary.masks_left_out} masks are of images that the import left out: not used"
        )
    if summary.other_annotations:
        listed = ", ".join(
            f"{one_line(name)} ({count})" for name, count in summary.other_annotations.items()
        )
        lines.append(f"annotations that are of no lung, not used: {listed:.300}")
    if beside:
        options = " ".join(f"--masks {shlex.quote(str(folder))}" for folder in beside)
        lines.append(
            f"masks beside the imported images, not used; to use them: cxr data lungs {options}"
        )
    doubtful = [row for row in rows if row.doubts]
    lines += [f"doubtful: {one_line(row.file_name)}: {row.doubts}" for row in doubtful[:MAX_LISTED]]
    if len(doubtful) > MAX_LISTED:
        lines.append(f"doubtful: {len(doubtful) - MAX_LISTED} more, see data/lungs.csv")
    lines.append(_describe_seen(summary))
    return "\n".join(lines)


def lung_counts_table(counts: LungCounts) -> str:
    """Say how many images the views of lungs leave out, by label and split, and whose masks."""
    splits = [*counts.splits, "share"]
    lines = [f"{'left out without lungs':24}" + "".join(f"{split:>16}" for split in splits)]
    for own in counts.labels:
        cells = [f"{own.left_out[split]} of {own.images[split]}" for split in counts.splits]
        cells.append(f"{100 * own.loss:.1f} %")
        lines.append(f"{own.label:24.24}" + "".join(f"{cell:>16}" for cell in cells))
    lines.append(
        f"so --view lung-box and --view lungs each lose {counts.left_out} images whose lungs "
        f"cannot be trusted, --view whole none; masks of the others: {counts.masks}"
    )
    return "\n".join(lines)


def _describe_seen(summary: LungsSummary) -> str:
    seen = summary.trained_on_held_out
    if not seen:
        return "leak lock: the network was trained on no held-out image of this study"
    counts = ", ".join(f"{count} {split}" for split, count in sorted(seen.items()))
    return (
        f"leak lock: the network was trained on images that this study holds out ({counts}); it "
        "learnt where their lungs are, not their labels, but their masks are better than those of "
        "new images: bring masks, or train a network on this study (cxr lungs-train)"
    )
