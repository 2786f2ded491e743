"""What stands against holding images out: each is refused in a line that says the way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipelines.data.candidates import Candidate
from pipelines.data.hold_out import HoldOut, HoldOuts, held_and_kept
from pipelines.data.listing import Listing, SourceImage
from pipelines.data.screening import DUPLICATE, IN_STUDY, Screening
from pipelines.study.import_log import ImportSummary
from pipelines.study.manifest import EXTERNAL, Row
from runtime.options import OptionError

COMMONEST_SHOWN = 8
VALUE_LENGTH = 60


def check_columns(hold_outs: HoldOuts, listings: Sequence[Listing]) -> None:
    """Raise OptionError when a new rule's column is in no table, or twice in one.

    listings: of the study's own sources.
    """
    for rule in hold_outs.new:
        for listing in listings:
            names = [name for name in listing.columns if rule.is_about([name])]
            if len(names) > 1:
                raise OptionError(
                    "hold_out",
                    rule,
                    f"the table of {listing.source} has {len(names)} columns of this name; "
                    "expected one: rename the other",
                )
        columns = list(dict.fromkeys(name for listing in listings for name in listing.columns))
        if not rule.is_about(columns):
            there = f"the columns here are: {', '.join(columns)}" if columns else "no table is here"
            raise OptionError("hold_out", rule, f"no table has the column {rule.column}; {there}")


def check_matching(
    matching: dict[HoldOut, list[int]], hold_outs: HoldOuts, images: Sequence[SourceImage]
) -> None:
    """Raise OptionError when a new rule matches none of the images of the study's own sources."""
    for rule in hold_outs.new:
        if not matching[rule]:
            cells = Counter(cell for image in images for cell in rule.cells_of(image))
            commonest = [
                f"{_shorten(cell)} ({n})" for cell, n in cells.most_common(COMMONEST_SHOWN)
            ]
            raise OptionError(
                "hold_out",
                rule,
                "no image matches; the commonest values of the column are: "
                f"{', '.join(commonest) or 'none, it is empty'}",
            )


def check_earlier_images(
    hold_outs: HoldOuts,
    candidates: Sequence[Candidate],
    existing: Sequence[Row],
    imports: Sequence[ImportSummary],
) -> None:
    """Raise OptionError when images of the study may match a new rule and nobody can tell.

    The study keeps nothing of its sources' tables: what an earlier import brought from a table with
    the column has to be offered again.
    """
    offered = {candidate.decoded.sha256 for candidate in candidates}
    sources = [source for summary in imports for source in summary.sources if not source.external]
    for rule in hold_outs.new:
        names = [
            source.source
            for source in sources
            if source.columns is None or rule.is_about(source.columns)
        ]
        unknown = [
            row
            for row in existing
            if row.split != EXTERNAL
            and row.sha256 not in offered
            and any(row.source == name or row.source.startswith(f"{name}-") for name in names)
        ]
        if unknown:
            raise OptionError(
                "hold_out",
                rule,
                f"{len(unknown)} images of {unknown[0].source} are in the study already, and "
                "whether they match cannot be told without their table: import that source again "
                "in the same command, or begin a new study in another folder",
            )


def check_held_out(
    matching: dict[HoldOut, list[int]],
    hold_outs: HoldOuts,
    screening: Screening,
    candidates: Sequence[Candidate],
    existing: Sequence[Row],
) -> None:
    """Raise OptionError when the rules cannot be kept, or leave too little to train on."""
    together = ", ".join(map(str, hold_outs.rules))
    if screening.moved:
        row = existing[screening.moved[0]]
        raise OptionError(
            "hold_out",
            together,
            f"{len(screening.moved)} images of the study, or of the same patients, match and are "
            f"in another split, first {row.file_name} ({row.split}); images are never moved: begin "
            "a new study in another folder, or import without the images that match",
        )
    for rule in hold_outs.new:
        _check_some_come_in(rule, matching[rule], screening)
    held = Counter(candidates[number].image.label for number in held_and_kept(screening))
    if not held:
        return
    left = [candidates[number] for number in screening.kept if number not in screening.held_out]
    labels = {candidate.image.label for candidate in left if not candidate.external}
    labels |= {row.label for row in existing if row.split != EXTERNAL}
    if not labels:
        raise OptionError(
            "hold_out",
            together,
            f"all {held.total()} images are held out; nothing is left to train on",
        )
    for label in held:
        if label not in labels:
            raise OptionError(
                "hold_out",
                together,
                f"all {held[label]} images of the label {label} are held out, and none is left to "
                "learn it from; hold out less, or leave the label out with `label`",
            )


def _check_some_come_in(rule: HoldOut, matching: Sequence[int], screening: Screening) -> None:
    lost = [screening.reasons[number] for number in matching if number in screening.reasons]
    lost = [reason for reason in lost if not reason.startswith((IN_STUDY, DUPLICATE))]
    if len(lost) == len(matching):
        raise OptionError(
            "hold_out",
            rule,
            f"the {len(lost)} images that match are all left out of the study; first {lost[0]}",
        )


def _shorten(text: str) -> str:
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}…"
