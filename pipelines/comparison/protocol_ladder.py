"""From a paper's protocol to the fair one, one change at a time, each with its own trainings.

The first rung has every fault: images are split without regard to their patients, the longer
training set gets more steps, the weights are those that the test images like best, and one run is
reported. Every later rung mends one of them, and the last is the fair protocol. All add the same
synthetic images. Below it stand trainings by the fair protocol on images without lungs:
what is told apart there is the source. Every rung has the same seeds, so that beside the one run
that would have been published stands what all of them say.

The split by image exists in memory and in the ladder's folder alone. It is leaky on purpose: its
test images are of patients, some of them the very images, that the generator was trained on. The
study's split and its leak lock are not touched, and no network of the ladder is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from classifier.alterations import ALTERATIONS, WHOLE, Alteration
from pipelines.comparison.paper_protocol import REPORTED_ARMS, PaperProtocol
from pipelines.results.predictions import PREDICTIONS, TestedImages, read_predictions
from pipelines.results.reproduction_result import Leak
from pipelines.study.manifest import Row
from pipelines.study.split import Split
from pipelines.training.train_and_test import train_once
from runtime.randomness import numpy_generator

SOURCE_ALTERATIONS = tuple(  # no lung is left, and no mask needed
    own for own in ALTERATIONS if own.lungless and own.retrained and not own.by_mask
)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How the classifiers of a rung are trained.

    Attributes:
        name, title, change: See `Rung`.
        by_patient: Whether patients are kept apart, as the study's split does.
        equal_steps: Whether both arms have the steps of the reals; equal epochs where not.
        by_test: Whether the weights kept are those of the lowest loss on the test images; on the
            validation images where not.
        averaged: Whether the mean of all runs is reported, or the first.
        alteration: What is done to all images, real and synthetic.
    """

    name: str
    title: str
    change: str
    by_patient: bool = True
    equal_steps: bool = True
    by_test: bool = False
    averaged: bool = True
    alteration: Alteration = WHOLE

    @property
    def folder(self) -> str:
        """The folder of its trainings, which rungs share that differ in what they report alone."""
        split = "by-patient" if self.by_patient else "leaky-by-image"
        budget = "equal-steps" if self.equal_steps else "equal-epochs"
        choice = "chosen-by-test" if self.by_test else "chosen-by-validation"
        return "-".join([split, budget, choice, self.alteration.name])


PROTOCOLS = (
    Protocol(
        name="leaky-split-by-image",
        title="all faults at once",
        change="split by image, equal epochs, weights chosen by the test images, one run",
        by_patient=False,
        equal_steps=False,
        by_test=True,
        averaged=False,
    ),
    Protocol(
        name="split-by-patient",
        title="no leak",
        change="no patient is in two splits",
        equal_steps=False,
        by_test=True,
        averaged=False,
    ),
    Protocol(
        name="equal-steps",
        title="equal steps",
        change="both arms are trained for the steps of the real images alone",
        by_test=True,
        averaged=False,
    ),
    Protocol(
        name="chosen-by-validation",
        title="no tuning on the test",
        change="the weights are chosen by the validation images",
        averaged=False,
    ),
    Protocol(
        name="all-runs",
        title="all runs: fair",
        change="the mean of all runs is reported in the place of one",
    ),
    *(
        Protocol(
            name=own.name,
            title=own.title,
            change=f"all images altered: {own.title}",
            alteration=own,
        )
        for own in SOURCE_ALTERATIONS
    ),
)


@dataclass(frozen=True)
class TestedRun:
    """One classifier's answers on its test images, and the folder of its run."""

    folder: Path
    images: TestedImages


def train_rung(
    protocol: Protocol, paper: PaperProtocol, folder: Path, seeds: Sequence[int]
) -> dict[str, list[TestedRun]]:
    """Train both arms with every seed, or take what is finished; the answers by arm.

    folder: Of the ladder. Of a training only predictions, measures and the journal are kept.
    """
    answers: dict[str, list[TestedRun]] = {arm: [] for arm in REPORTED_ARMS}
    for seed in seeds:
        splits = _splits_of(protocol, paper, seed)
        for arm in REPORTED_ARMS:
            training = paper.training_set(arm, splits["train"])
            paced = splits["train"] if protocol.equal_steps else training
            epoch_steps = paper.epoch_steps(len(paced.labels))
            trained = train_once(
                folder / protocol.folder / f"{arm}-s{seed}",
                replace(
                    paper.config,
                    seed=seed,
                    steps=paper.epochs * epoch_steps,
                    evaluate_every=epoch_steps,
                ),
                _alter({**splits, "train": training}, protocol.alteration),
                paper.setup,
                what=f"{protocol.title}, {arm}, seed {seed}",
            )
            (trained.folder / "classifier.pt").unlink(missing_ok=True)
            images = read_predictions(trained.folder / PREDICTIONS, paper.setup.classes)
            answers[arm].append(TestedRun(trained.folder, images))
    return answers


def _splits_of(protocol: Protocol, paper: PaperProtocol, seed: int) -> dict[str, Split]:
    """Return the images of one run of a protocol.

    Where the test images choose the weights, they stand in the place of the validation images.
    """
    splits = paper.splits if protocol.by_patient else split_by_image(paper.splits, seed)
    return {**splits, "validation": splits["test"]} if protocol.by_test else splits


def split_by_image(splits: Mapping[str, Split], seed: int) -> dict[str, Split]:
    """Deal all images out anew at random, whoever's they are: a leak, on purpose.

    Every split keeps its number of images of each class.
    """
    whole = splits["train"].join(splits["validation"]).join(splits["test"])
    random = numpy_generator(seed, "leaky split")
    places: dict[str, list[int]] = {name: [] for name in splits}
    for label in np.unique(whole.labels):
        order = random.permutation(np.flatnonzero(whole.labels == label)).tolist()
        for name, split in splits.items():
            count = int((split.labels == label).sum())
            places[name] += order[:count]
            del order[:count]
    return {name: whole.take(sorted(own)) for name, own in places.items()}


def count_leak(paper: PaperProtocol, rows: Sequence[Row], seeds: Sequence[int]) -> Leak:
    """Count what the splits by image let through. rows: of the study."""
    seen_files = {row.file_name for row in rows if row.sha256 in paper.trained_on}
    known, seen = [], []
    for seed in seeds:
        splits = split_by_image(paper.splits, seed)
        trained, test = set(splits["train"].patients), splits["test"]
        known.append(sum(patient in trained for patient in test.patients))
        seen.append(sum(name in seen_files for name in test.file_names))
    return Leak(
        test_images=len(paper.splits["test"].labels),
        of_known_patients=float(np.mean(known)),
        seen_by_generator=float(np.mean(seen)),
    )


def _alter(splits: Mapping[str, Split], alteration: Alteration) -> dict[str, Split]:
    if alteration is WHOLE:
        return dict(splits)
    return {
        name: replace(split, images=alteration(split.pixels()).squeeze(1).numpy())
        for name, split in splits.items()
    }
