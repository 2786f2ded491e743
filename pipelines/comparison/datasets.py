"""What the classifiers of a comparison are trained on and tested with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipelines.comparison.arms import ARMS, duplicates, shuffled, training_sets
from pipelines.comparison.design import Design, Trial
from pipelines.data.phantom import cases, draw
from pipelines.study.image_io import to_square
from pipelines.study.manifest import Row
from pipelines.study.splitting import training_part
from pipelines.study.synthetic import Split, read_synthetic, real_splits, synthetic_split
from pipelines.study.workspace import Workspace

BESIDE = 2000  # images beside the reals where neither a ratio nor a synthetic set says how many
PHANTOM = re.compile(r"PHANTOM-(\d+)-")  # the seed in a phantom's file name


@dataclass(frozen=True)
class Material:
    """The study's images at one size, the reals of every fraction, and what can be put beside them."""

    workspace: Workspace
    classes: list[str]
    rows: Sequence[Row]
    splits: dict[str, Split]
    reals: dict[float, Split]  # training reals by fraction
    labels: list[int]  # that images beside the reals have in turn
    whole: int  # images beside the reals where no ratio says how many
    sets: dict[tuple[float, int, int], Path] = field(
        default_factory=dict
    )  # folders of synthetic sets by fraction, generator and draw
    _kept: dict[tuple, Split] = field(default_factory=dict)

    def count(self, fraction: float, ratio: float | None) -> int:
        """How many images stand beside the reals."""
        return (
            self.whole
            if ratio is None
            else max(len(self.labels), round(ratio * len(self.reals[fraction].labels)))
        )

    def training(self, trial: Trial) -> list[Split]:
        """The training sets of a classifier, one after the other."""
        arm, reals, one = ARMS[trial.arm], self.reals[trial.fraction], trial.replicate
        beside = None
        if arm.beside:
            count = self.count(trial.fraction, trial.ratio)
            if arm.beside == "duplicates":
                beside = duplicates(reals, np.resize(self.labels, count), one.seed)
            elif arm.beside == "oracle":
                beside = self._remembered(
                    ("oracle", one.draw, count), lambda: self._fresh_phantoms(count, one.draw)
                )
            else:
                beside = self._remembered(
                    (trial.fraction, one.generator, one.draw, count),
                    lambda: self._synthetic(trial, count),
                )
            if arm.beside == "shuffled":
                beside = shuffled(beside, one.seed)
        return training_sets(arm, reals, beside)

    def _remembered(self, key, make) -> Split:
        """The last few sets that were made stay in memory."""
        if key not in self._kept:
            while len(self._kept) >= 4:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = make()
        return self._kept[key]

    def _synthetic(self, trial: Trial, count: int) -> Split:
        added = read_synthetic(
            self.sets[trial.fraction, trial.replicate.generator, trial.replicate.draw]
        )
        unseen = added.trained_on - {row.sha256 for row in training_part(self.rows, trial.fraction)}
        if unseen:
            raise ValueError(
                f"{added.folder}: its generator was trained on {len(unseen)} image(s) beyond the {trial.fraction:g} of the reals that it is compared on"
            )
        return synthetic_split(
            self.workspace, self.splits, replace(added, rows=added.rows[:count]), self.classes
        )

    def _fresh_phantoms(self, count: int, number: int) -> Split:
        """Phantoms of other patients, by the pixel path of the study's own."""
        seed, size = (
            max(phantom_seeds(self.rows)) + 1 + number,
            self.splits["train"].images.shape[1],
        )
        drawn = cases(count, seed)
        with ThreadPoolExecutor() as pool:
            images = list(pool.map(lambda case: to_square(draw(case, seed), size), drawn))
        names = [f"oracle/{seed}-{case.label}-{case.patient}-{case.image}" for case in drawn]
        return Split(
            np.stack(images),
            np.array([self.classes.index(case.label) for case in drawn], np.int64),
            names,
            [f"oracle {case.patient}" for case in drawn],
        )


def gather(
    workspace: Workspace,
    design: Design,
    classes: list[str],
    size: int,
    labels: Sequence[str],
    whole: int | None,
) -> Material:
    """The material of a design, without its synthetic sets. labels: of the images beside the reals. whole: how many there are, where a set says so."""
    rows = workspace.rows()
    splits = real_splits(workspace, size, classes)
    place = {name: index for index, name in enumerate(splits["train"].file_names)}
    reals = {
        fraction: splits["train"].part(
            [place[row.file_name] for row in training_part(rows, fraction)]
        )
        for fraction in design.fractions
    }
    for fraction, split in reals.items():
        absent = [name for index, name in enumerate(classes) if not (split.labels == index).any()]
        if absent:
            raise ValueError(
                f"--real-fractions {fraction:g}: no training image of {', '.join(absent)} in it; take a larger one"
            )
    return Material(
        workspace,
        classes,
        rows,
        splits,
        reals,
        [classes.index(label) for label in labels],
        whole or BESIDE,
    )


def phantom_seeds(rows: Sequence[Row]) -> set[int]:
    """The seeds that a study's phantoms were drawn with; none where not all of it is phantoms."""
    found = [PHANTOM.search(row.file_name) for row in rows]
    return {int(match.group(1)) for match in found} if all(found) else set()
