"""What the classifiers of a comparison are trained on and tested with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipelines.comparison.arms import (
    Arm,
    count_lacking,
    repeat_reals,
    shuffle_labels,
    training_sets,
)
from pipelines.comparison.design import Design, Trial
from pipelines.data.phantom import draw, list_cases
from pipelines.results.image_count import ImageCount
from pipelines.study.fractions import RealFraction, fraction_text
from pipelines.study.image_cache import load_images
from pipelines.study.image_io import to_square
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.shares import RealShare
from pipelines.study.split import Split
from pipelines.study.synthetic import load_synthetic_split, read_synthetic
from pipelines.study.workspace import Workspace
from pipelines.training.generator import MIN_IMAGES_PER_CLASS
from runtime.options import OptionError

DEFAULT_ADDED_IMAGES = 2000  # where neither a ratio nor a synthetic set says how many
PHANTOM_SEED = re.compile(r"PHANTOM-(\d+)-")  # in a phantom's file name
KEPT_SPLITS = 4  # that were made last stay in memory

Kept = TypeVar("Kept")
# Of a synthetic set: its name, the generator's reals and number, draw.
SetKey = tuple[str, RealShare, int, int]


@dataclass(frozen=True)
class Datasets:
    """The study's images at one size, as each share of the reals sees them, and what is added.

    Attributes:
        rows: Of the study, with the study's own split.
        images: Of all rows, in their order.
        views: The rows as each share sees them.
        added_labels: Label indices that added images have, one after the other and over again.
        num_default_added: How many images are added where no ratio says it.
        synthetic_folders: Of the synthetic sets.
    """

    design: Design
    classes: list[str]
    rows: Sequence[Row]
    images: Split
    views: dict[RealShare, list[Row]]
    added_labels: list[int]
    num_default_added: int
    synthetic_folders: dict[SetKey, Path] = field(default_factory=dict)
    _kept: dict[tuple[object, ...], Any] = field(default_factory=dict)

    @cached_property
    def test(self) -> Split:
        """The test images: of the study's own split, or those of all folds one after another."""
        return reduce(Split.join, self._tests())

    @cached_property
    def test_folds(self) -> np.ndarray | None:
        """Which fold each test image is of, (N,); None without folds."""
        if self.design.folds == 1:
            return None
        lengths = [len(test.labels) for test in self._tests()]
        return np.repeat(np.arange(self.design.folds), lengths)

    def _tests(self) -> list[Split]:
        """Take the test images of each fold, which all shares of it have in common."""
        share_of_fold = {share.fold: share for share in self.views}
        return [self._take(share, "test") for share in share_of_fold.values()]

    @cached_property
    def external(self) -> Split | None:
        """The external test images, the same for all shares; None where there are none."""
        external = self._take(next(iter(self.views)), EXTERNAL)
        return external if len(external.labels) else None

    def count_reals(self, fraction: RealFraction) -> ImageCount:
        """Count the training reals of a fraction: the mean over its subsets and folds, rounded."""
        training = [
            [row for row in view if row.split == "train"]
            for share, view in self.views.items()
            if share.fraction == fraction
        ]
        return ImageCount(
            images=round(np.mean([len(rows) for rows in training])),
            patients=round(np.mean([len({row.patient for row in rows}) for rows in training])),
        )

    def splits_of(self, share: RealShare) -> dict[str, Split]:
        """Return the images as a share of the reals has them, by the names of splits."""
        names = [*SPLITS]
        if any(row.split == EXTERNAL for row in self.rows):
            names.append(EXTERNAL)
        return self._keep((share,), lambda: {name: self._take(share, name) for name in names})

    def _take(self, share: RealShare, name: str) -> Split:
        chosen = {row.file_name for row in self.views[share] if row.split == name}
        return self.images.take(
            [place for place, row in enumerate(self.rows) if row.file_name in chosen]
        )

    def num_reals(self, share: RealShare) -> int:
        """Return how many training images a share has."""
        return sum(row.split == "train" for row in self.views[share])

    def num_added(self, arm: Arm, share: RealShare, ratio: float | None) -> int:
        """Return how many images an arm adds to the reals.

        At least one for each label, but for an arm that adds what classes lack.
        """
        if arm.fills_classes:
            return int(self._lacking(share).sum())
        if ratio is None:
            return self.num_default_added
        return max(len(set(self.added_labels)), round(ratio * self.num_reals(share)))

    def needed_of_label(self, share: RealShare) -> np.ndarray:
        """Count the synthetic images (K,) that a set must have for every arm and ratio."""
        counts = [
            self._added_of_label(arm, share, ratio)
            for arm in self.design.selected_arms()
            for ratio in self.design.ratios
            if arm.synthetic
        ]
        needed: np.ndarray = np.max(counts, axis=0)
        return needed

    def num_synthetic(self, share: RealShare, labels: Sequence[str]) -> int:
        """Return how large a set has to be whose images have these labels in turn."""
        needed = self.needed_of_label(share)
        turns = [
            (int(needed[self.classes.index(label)]) - 1) * len(labels) + place + 1
            for place, label in enumerate(labels)
        ]
        return max(*turns, len(labels))

    def _added_of_label(self, arm: Arm, share: RealShare, ratio: float | None) -> np.ndarray:
        """Count the images (K,) of each class that an arm adds to the reals."""
        if arm.fills_classes:
            return self._lacking(share)
        labels = np.resize(self.added_labels, self.num_added(arm, share, ratio))
        counts: np.ndarray = np.bincount(labels, minlength=len(self.classes))
        return counts

    def check_fillable(self) -> None:
        """Raise OptionError unless synthetic images can make up for what classes lack."""
        lacking = np.max([self._lacking(share) for share in self.views], axis=0)
        unfilled = [self.classes[label] for label in np.flatnonzero(lacking)]
        absent = [label for label in unfilled if self.classes.index(label) not in self.added_labels]
        if not unfilled or absent:
            problem = (
                f"the synthetic set has no images of {', '.join(absent)}, which is to be filled up"
                if absent
                else "the classes are equally large, so there is nothing to fill up; leave it out"
            )
            raise OptionError("arms", "real+gan-balanced", problem)

    def _lacking(self, share: RealShare) -> np.ndarray:
        """Count the images (K,) that classes of a share lack to the largest."""
        labels = [row.label for row in self.views[share] if row.split == "train"]
        return count_lacking(np.array([*map(self.classes.index, labels)]), len(self.classes))

    def training_sets(self, trial: Trial) -> list[Split]:
        """Make the training sets of a classifier, one after the other."""
        arm = self.design.arm(trial.arm)
        reals = self.splits_of(self.design.share_of(trial))["train"]
        return training_sets(arm, reals, self._added(trial, reals) if arm.added else None)

    def _added(self, trial: Trial, reals: Split) -> Split:
        """Make what a classifier's arm adds to its reals."""
        arm, replicate = self.design.arm(trial.arm), trial.replicate
        share, kind = self.design.share_of(trial), arm.added
        if arm.fills_classes and not self._lacking(share).any():
            return reals.take([])
        count = self.num_added(arm, share, trial.ratio)
        if kind == "duplicates":
            return repeat_reals(reals, np.resize(self.added_labels, count), replicate.seed)
        if kind == "oracle":
            number = (share.fold or 0) * self.design.draws + (replicate.draw or 0)
            return self._keep(("oracle", number, count), lambda: self._draw_phantoms(count, number))
        counts = self._added_of_label(arm, share, trial.ratio)
        synthetic = self._keep(
            (arm.set_name, share, replicate.generator, replicate.draw, tuple(counts.tolist())),
            lambda: self._read_synthetic(trial, counts),
        )
        return shuffle_labels(synthetic, replicate.seed) if kind == "shuffled" else synthetic

    def _keep(self, key: tuple[object, ...], make: Callable[[], Kept]) -> Kept:
        """Make something of images, or take it from memory, where the last few stay."""
        if key not in self._kept:
            while len(self._kept) >= KEPT_SPLITS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = make()
        kept: Kept = self._kept[key]
        return kept

    def _read_synthetic(self, trial: Trial, counts: np.ndarray) -> Split:
        """Read the first images of each label of a set, whose generator saw no more than the reals.

        counts: Of each label, (K,).
        """
        share, replicate = self.design.share_of(trial), trial.replicate
        assert replicate.generator is not None, f"{trial.arm} has synthetic images"
        assert replicate.draw is not None, f"{trial.arm} has synthetic images"
        name = self.design.arm(trial.arm).set_name
        folder = self.synthetic_folders[name, share, replicate.generator, replicate.draw]
        synthetic, view = read_synthetic(folder), self.views[share]
        left, rows = dict(zip(self.classes, counts.tolist(), strict=True)), []
        for row in synthetic.rows:
            if left.get(row.label, 1) > 0:  # a label that the study has not is refused below
                left[row.label] = left.get(row.label, 1) - 1
                rows.append(row)
        first = replace(synthetic, rows=rows)
        added = load_synthetic_split(first, self.splits_of(share), view, self.classes)
        unseen = synthetic.trained_on - {row.sha256 for row in view if row.split == "train"}
        if unseen:
            raise ValueError(
                f"{synthetic.folder}: its generator was trained on {len(unseen)} image(s) beyond "
                f"{share}, which it is compared on"
            )
        return added

    def _draw_phantoms(self, count: int, number: int) -> Split:
        """Draw phantoms of other patients, by the pixel path of the study's own."""
        seed = max(phantom_seeds(self.rows)) + 1 + number
        size = self.images.images.shape[1]
        phantoms = list_cases(count, seed)
        with ThreadPoolExecutor() as pool:
            images = list(pool.map(lambda case: to_square(draw(case, seed), size), phantoms))
        return Split(
            np.stack(images),
            np.array([self.classes.index(case.label) for case in phantoms], np.int64),
            [f"oracle/{seed}-{case.label}-{case.patient}-{case.image}" for case in phantoms],
            [f"oracle {case.patient}" for case in phantoms],
        )


def load_datasets(
    workspace: Workspace,
    design: Design,
    classes: list[str],
    size: int,
    added_labels: Sequence[str],
    set_size: int | None,
) -> Datasets:
    """Load the images of a design, without its synthetic sets.

    added_labels: Those that added images have in turn. set_size: How many images are added where
    no ratio says it, if a synthetic set says so.
    Raises ValueError when there are too few patients for the folds, or no image of a class to
    train, to validate or to test with.
    """
    rows = workspace.rows()
    _check_patients(rows, design.folds)
    datasets = Datasets(
        design,
        classes,
        rows,
        Split(
            load_images(workspace, rows, size),
            np.array([classes.index(row.label) for row in rows], np.int64),
            [row.file_name for row in rows],
            [row.patient for row in rows],
        ),
        {share: share.rows(workspace) for share in design.shares()},
        [classes.index(label) for label in added_labels],
        set_size or DEFAULT_ADDED_IMAGES,
    )
    for share, view in datasets.views.items():
        _check_classes(share, view, classes)
    return datasets


def _check_patients(rows: Sequence[Row], folds: int) -> None:
    """Raise OptionError when a class has fewer patients than there are folds."""
    for label in sorted({row.label for row in rows}) if folds > 1 else ():
        patients = {row.patient for row in rows if row.label == label and row.split != EXTERNAL}
        if len(patients) < folds:
            raise OptionError(
                "folds",
                folds,
                f"{label} has {len(patients)} patient(s) beside the external set, and each fold "
                "is tested with patients of every class; take fewer folds, or import more",
            )


def _check_classes(share: RealShare, view: Sequence[Row], classes: Sequence[str]) -> None:
    """Raise ValueError when a split of a share has no image of a class, or a fraction too few."""
    for split in SPLITS:
        counts = Counter(row.label for row in view if row.split == split)
        absent = ", ".join(name for name in classes if not counts[name])
        rarest = min(classes, key=counts.__getitem__)
        if split == "train" and share.fraction != 1 and counts[rarest] < MIN_IMAGES_PER_CLASS:
            raise OptionError(
                "real_fractions",
                fraction_text(share.fraction),
                f"{share} has {counts[rarest]} training image(s) of {rarest}, expected "
                f"{MIN_IMAGES_PER_CLASS} or more; take a larger fraction, fewer folds, or import "
                "more",
            )
        if absent and share.fold is not None:
            raise OptionError(
                "folds",
                share.folds,
                f"no image of {absent} in the {split} split of fold {share.fold}; take fewer "
                "folds, or import images of more patients",
            )
        if absent:
            raise ValueError(
                f"no image of {absent} in the {split} split; import images of more patients"
            )


def phantom_seeds(rows: Sequence[Row]) -> set[int]:
    """Return the seeds that a study's phantoms were drawn with; none where not all are phantoms."""
    matches = [PHANTOM_SEED.search(row.file_name) for row in rows]
    seeds = {int(match.group(1)) for match in matches if match}
    return seeds if all(matches) else set()
