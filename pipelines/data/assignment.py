"""Manifest rows of new images: their splits, folds and file names."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.data.candidates import Candidate
from pipelines.data.screening import Screening
from pipelines.study.manifest import SPLITS, Row
from pipelines.study.splitting import Ratios, distribute


def assign_rows(
    candidates: Sequence[Candidate],
    screening: Screening,
    existing: Sequence[Row],
    ratios: Ratios,
    seed: int,
    folds: int | None,
) -> list[Row]:
    """Make the manifest rows of the images that come in, in their order.

    Whoever shares a patient or a picture shares the split and the fold.
    """
    kept = [candidates[number] for number in screening.kept]
    places = [*range(len(existing)), *(len(existing) + number for number in screening.kept)]
    members = [screening.members[place] for place in places]
    labels = [row.label for row in existing] + [candidate.image.label for candidate in kept]
    groups = [screening.groups.root(member) for member in members]
    allowed = [screening.groups.allowed(member) for member in members]
    splits = distribute(labels, groups, allowed, dict(zip(SPLITS, ratios, strict=True)), seed)
    fold_of = _deal_folds(labels, groups, splits, existing, folds, seed)
    taken = {row.file_name for row in existing}
    return [
        _make_row(candidate, splits[position], fold_of.get(position), taken)
        for position, candidate in enumerate(kept, start=len(existing))
    ]


def _deal_folds(
    labels: Sequence[str],
    groups: Sequence[int],
    splits: Sequence[str],
    existing: Sequence[Row],
    folds: int | None,
    seed: int,
) -> dict[int, int]:
    """Deal the training and validation images into folds; groups in the study keep theirs.

    labels, groups, splits: of the study's rows, then of the new images. Returns the fold of each
    image that has one.
    """
    if not folds:
        return {}
    dealt = [position for position, split in enumerate(splits) if split in SPLITS[:2]]
    parts = [str(fold + 1) for fold in range(folds)]
    part_of_group = {
        groups[position]: str(existing[position].fold)
        for position in dealt
        if position < len(existing)
    }
    chosen = distribute(
        [labels[position] for position in dealt],
        [groups[position] for position in dealt],
        [
            [part_of_group[groups[position]]] if groups[position] in part_of_group else parts
            for position in dealt
        ],
        dict.fromkeys(parts, 1 / folds),
        seed,
    )
    return dict(zip(dealt, map(int, chosen), strict=True))


def _make_row(candidate: Candidate, split: str, fold: int | None, taken: set[str]) -> Row:
    """Make the row of an image, under a file name that is added to those taken."""
    image, decoded = candidate.image, candidate.decoded
    file_name = f"images/{image.label}/{image.name or decoded.sha256[:16]}.png"
    if file_name in taken:
        # Different pictures never share 64 bits of a hash, and phantoms have names of their own.
        file_name = f"images/{image.label}/{decoded.sha256}.png"
    taken.add(file_name)
    return Row(
        file_name=file_name,
        label=image.label,
        patient=candidate.patient.name,
        split=split,
        fold=fold,
        source=image.source,
        view=image.view or decoded.view,
        sha256=decoded.sha256,
        near_hash=decoded.near_hash,
        width=decoded.width,
        height=decoded.height,
    )
