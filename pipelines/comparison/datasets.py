"""What the classifiers of a comparison are trained on and tested with."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipelines.comparison.arms import ARMS, repeat_reals, shuffle_labels, training_sets
from pipelines.comparison.design import Design, Trial
from pipelines.data.phantom import draw, list_cases
from pipelines.study.image_io import to_square
from pipelines.study.manifest import Row
from pipelines.study.split import Split, load_splits
from pipelines.study.splitting import select_training_rows
from pipelines.study.synthetic import load_synthetic_split, read_synthetic
from pipelines.study.workspace import Workspace

DEFAULT_ADDED_IMAGES = 2000  # where neither a ratio nor a synthetic set says how many
PHANTOM_SEED = re.compile(r"PHANTOM-(\d+)-")  # in a phantom's file name
KEPT_SPLITS = 4  # that were made last stay in memory

SetKey = tuple[float, int, int]  # of a synthetic set: fraction, generator, draw


@dataclass(frozen=True)
class Datasets:
    """The study's images at one size, the reals of every fraction, and what is added to them.

    Attributes:
        reals: The training reals, by fraction.
        added_labels: Label indices that added images have in turn.
        num_default_added: How many images are added where no ratio says it.
        synthetic_folders: Of the synthetic sets, by fraction, generator and draw.
    """

    classes: list[str]
    rows: Sequence[Row]
    splits: dict[str, Split]
    reals: dict[float, Split]
    added_labels: list[int]
    num_default_added: int
    synthetic_folders: dict[SetKey, Path] = field(default_factory=dict)
    _kept: dict[tuple[object, ...], Split] = field(default_factory=dict)

    def num_added(self, fraction: float, ratio: float | None) -> int:
        """Return how many images are added to the reals, at least one for each label."""
        if ratio is None:
            return self.num_default_added
        return max(len(self.added_labels), round(ratio * len(self.reals[fraction].labels)))

    def training_sets(self, trial: Trial) -> list[Split]:
        """Make the training sets of a classifier, one after the other."""
        arm, reals = ARMS[trial.arm], self.reals[trial.fraction]
        return training_sets(arm, reals, self._added(trial, reals) if arm.added else None)

    def _added(self, trial: Trial, reals: Split) -> Split:
        """Make what a classifier's arm adds to its reals."""
        kind, replicate = ARMS[trial.arm].added, trial.replicate
        count = self.num_added(trial.fraction, trial.ratio)
        if kind == "duplicates":
            return repeat_reals(reals, np.resize(self.added_labels, count), replicate.seed)
        if kind == "oracle":
            return self._keep(
                ("oracle", replicate.draw, count),
                lambda: self._draw_phantoms(count, replicate.draw or 0),
            )
        synthetic = self._keep(
            (trial.fraction, replicate.generator, replicate.draw, count),
            lambda: self._read_synthetic(trial, count),
        )
        return shuffle_labels(synthetic, replicate.seed) if kind == "shuffled" else synthetic

    def _keep(self, key: tuple[object, ...], make: Callable[[], Split]) -> Split:
        """Make a split, or take it from memory, where the last few stay."""
        if key not in self._kept:
            while len(self._kept) >= KEPT_SPLITS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = make()
        return self._kept[key]

    def _read_synthetic(self, trial: Trial, count: int) -> Split:
        """Read the first images of a synthetic set, whose generator saw no more than the reals."""
        replicate = trial.replicate
        assert replicate.generator is not None, f"{trial.arm} has synthetic images"
        assert replicate.draw is not None, f"{trial.arm} has synthetic images"
        folder = self.synthetic_folders[trial.fraction, replicate.generator, replicate.draw]
        synthetic = read_synthetic(folder)
        own_hashes = {row.sha256 for row in select_training_rows(self.rows, trial.fraction)}
        unseen = synthetic.trained_on - own_hashes
        if unseen:
            raise ValueError(
                f"{synthetic.folder}: its generator was trained on {len(unseen)} image(s) beyond "
                f"the {trial.fraction:g} of the reals that it is compared on"
            )
        first = replace(synthetic, rows=synthetic.rows[:count])
        return load_synthetic_split(first, self.splits, self.rows, self.classes)

    def _draw_phantoms(self, count: int, number: int) -> Split:
        """Draw phantoms of other patients, by the pixel path of the study's own."""
        seed = max(phantom_seeds(self.rows)) + 1 + number
        size = self.splits["train"].images.shape[1]
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
    """
    rows = workspace.rows()
    splits = load_splits(workspace, size, classes)
    place = {name: index for index, name in enumerate(splits["train"].file_names)}
    reals = {
        fraction: splits["train"].take(
            [place[row.file_name] for row in select_training_rows(rows, fraction)]
        )
        for fraction in design.fractions
    }
    for fraction, split in reals.items():
        absent = [name for index, name in enumerate(classes) if not (split.labels == index).any()]
        if absent:
            raise ValueError(
                f"--real-fractions {fraction:g}: no training image of {', '.join(absent)} in it; "
                "take a larger one"
            )
    return Datasets(
        classes,
        rows,
        splits,
        reals,
        [classes.index(label) for label in added_labels],
        set_size or DEFAULT_ADDED_IMAGES,
    )


def phantom_seeds(rows: Sequence[Row]) -> set[int]:
    """Return the seeds that a study's phantoms were drawn with; none where not all are phantoms."""
    matches = [PHANTOM_SEED.search(row.file_name) for row in rows]
    seeds = {int(match.group(1)) for match in matches if match}
    return seeds if all(matches) else set()
