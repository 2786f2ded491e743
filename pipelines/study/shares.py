"""Which of a study's reals something is trained on, and on which it is tested.

A share is a fraction of the training images, one of several subsets of that fraction, in the
study's own split or in one fold of a cross-validation of all images that are not external.

The folds of the manifest's column `fold` are not used for it: they divide the training and
validation images alone, for whoever brings a training loop, are asked for at the first import and
cannot be had later. Here every patient is to be tested, and any study will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from pipelines.study.fractions import RealFraction, parse_fraction, split_fraction
from pipelines.study.manifest import EXTERNAL, Row
from pipelines.study.persons import group_persons
from pipelines.study.splitting import distribute, select_training_rows
from pipelines.study.workspace import Workspace
from runtime.files import Record

# Of the patients that a fold does not test; so at least a tenth of each label, and of 40 or more at
# most an eighth.
VALIDATION_SHARE = 2 / 19
FOLD_SEED = 0
RECORDED = {"real_fraction": RealFraction, "real_subset": int, "fold": int, "folds": int}

Ties = tuple[frozenset[str], ...]  # patients who count as one person


@dataclass(frozen=True)
class RealShare:
    """A share of a study's reals.

    Attributes:
        fraction: Of the training images, or those of one class, whole patients at a time.
        subset: Which of the fractions of that size, from 0.
        fold: Whose patients are tested, from 0; None for the study's own split.
        folds: How many there are; 1 for the study's own split.
    """

    fraction: RealFraction = 1.0
    subset: int = 0
    fold: int | None = None
    folds: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.fraction, str):
            parse_fraction(self.fraction)
        if self.fold is not None and not 0 <= self.fold < self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: expected 0 to {self.folds - 1}")

    @classmethod
    def from_record(cls, config: Record) -> RealShare:
        """Return the share that a run's config.json says it was trained on.

        Raises ValueError that names the file where it says what cannot be.
        """
        said = {name: kind for name, kind in RECORDED.items() if name in config}
        config.expect(**said)
        try:
            return cls(
                fraction=config.get("real_fraction", 1.0),
                subset=config.get("real_subset", 0),
                fold=config.get("fold"),
                folds=config.get("folds", 1),
            )
        except ValueError as error:
            raise ValueError(f"{config.path}: {error}") from error

    def record(self) -> dict[str, int]:
        """Return what config.json holds of it beside `real_fraction`, where that is not all."""
        subset = {"real_subset": self.subset} if self.subset else {}
        return subset | ({} if self.fold is None else {"fold": self.fold, "folds": self.folds})

    def whole(self) -> RealShare:
        """Return the share of all training images in the same split."""
        return replace(self, fraction=1.0, subset=0)

    def rows(self, workspace: Workspace) -> list[Row]:
        """Return the study's rows as this share sees them, in the manifest's order.

        Their splits are those of the fold; training rows of other shares are not among them.
        """
        rows = workspace.all_rows()  # so that every view has the same patients in a share
        if self.fold is not None:
            rows = deal_folds(tuple(rows), self.folds, workspace.tied_patients())[self.fold]
        training = select_training_rows(rows, self.fraction, self.subset)
        chosen = {row.file_name for row in training}
        return workspace.seen_in_view(
            [row for row in rows if row.split != "train" or row.file_name in chosen]
        )

    def training_rows(self, workspace: Workspace) -> list[Row]:
        """Return the training rows among them."""
        return [row for row in self.rows(workspace) if row.split == "train"]

    def __str__(self) -> str:
        """Write it as messages do: 0.1 of the reals, subset 2, in fold 3 of 0 to 4."""
        label, share = split_fraction(self.fraction)
        text = f"{share:g} of the reals"
        if label:
            text += f" of {label}, all others"
        if self.subset:
            text += f", subset {self.subset}"
        if self.fold is not None:
            text += f", in fold {self.fold} of 0 to {self.folds - 1}"
        return text


@lru_cache(maxsize=2)
def deal_folds(rows: tuple[Row, ...], folds: int, tied: Ties = ()) -> list[list[Row]]:
    """Return the rows as each fold has them, which differ in their splits; always the same ones.

    Whole persons are dealt, of each label as many patients to every fold, give or take one. Those
    of a fold are tested; of the others VALIDATION_SHARE is for validation. External images stay.
    tied: Patients who are one person for a reason that the rows do not show.
    """
    dealt = [place for place, row in enumerate(rows) if row.split != EXTERNAL]
    numbers = group_persons([rows[place] for place in dealt], tied)
    persons = dict(zip(dealt, numbers, strict=True))  # by place
    # One entry for each patient and label, so that patients are counted, not images.
    entries = {(rows[place].patient, rows[place].label): persons[place] for place in dealt}
    fold_of = _deal(entries, {str(fold): 1 / folds for fold in range(folds)})
    split_shares = {"train": 1 - VALIDATION_SHARE, "validation": VALIDATION_SHARE}
    views = []
    for fold in range(folds):
        others = {entry: who for entry, who in entries.items() if fold_of[who] != str(fold)}
        split_of = _deal(others, split_shares)
        views.append(
            [
                replace(row, split=split_of.get(persons[place], "test"))
                if place in persons
                else row
                for place, row in enumerate(rows)
            ]
        )
    return views


def _deal(entries: Mapping[tuple[str, str], int], shares: Mapping[str, float]) -> dict[int, str]:
    """Deal persons into parts. entries: the person of each patient and label."""
    people = list(entries.values())
    chosen = distribute(
        [label for _, label in entries], people, [tuple(shares)] * len(people), shares, FOLD_SEED
    )
    return dict(zip(people, chosen, strict=True))
