"""What a reproduction of a paper found, as its reproduce.json holds it."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.results.image_count import ImageCount
from runtime.estimate import Estimate
from runtime.records import read_record, write_record
from runtime.run import Run

REPRODUCTION_FILE = "reproduce.json"
REPRODUCTION_FORMAT = 3


@dataclass(frozen=True, kw_only=True)
class ProtocolResult:
    """What one protocol found.

    Attributes:
        protocol: Whose it is.
        budget: How long it trains.
        test_images: How many images it is tested on.
        arms: The measures of each arm by name, in 0..1; the paper's own have no interval.
    """

    protocol: str
    budget: str
    test_images: int
    arms: dict[str, dict[str, Estimate | float]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one run of both arms found, or several on average.

    Attributes:
        arms: The measures of each arm by name, in 0..1.
        difference: By how much accuracy is higher with synthetic images, paired by image.
    """

    arms: dict[str, dict[str, Estimate]]
    difference: Estimate


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A protocol that differs in one thing from the one above it.

    Attributes:
        name: As programs know it.
        title: As it is read.
        change: What is different from the rung above, in words.
        leaky: Whether patients stand in training and test: a fault on purpose, and no result.
        averaged: Whether it reports the mean of its runs; one run alone where not.
        steps: Optimizer steps of each arm.
        first, mean: What the first run found, and all of them on average.
        runs: The accuracy of every run by arm, in the order of their seeds.
        best_epoch: By arm, the accuracy of the epoch that the test images like best, a mean over
            the runs; None where they chose nothing.
        sentence: What the change did, in words.
    """

    name: str
    title: str
    change: str
    leaky: bool
    averaged: bool
    steps: dict[str, int]
    first: Found
    mean: Found
    runs: dict[str, list[float]]
    best_epoch: dict[str, float] | None
    sentence: str

    @property
    def reported(self) -> Found:
        """What this protocol would have been published with."""
        return self.mean if self.averaged else self.first


@dataclass(frozen=True, kw_only=True)
class Leak:
    """What a split by image lets through, on average over the runs.

    Attributes:
        test_images: In each test set.
        of_known_patients: How many of them are of a patient with other images in training.
        seen_by_generator: How many of them the generator was trained on.
    """

    test_images: int
    of_known_patients: float
    seen_by_generator: float


@dataclass(frozen=True, kw_only=True)
class ReproductionResult:
    """A paper's figures, those of its protocol here, and those of the fair one.

    Attributes:
        paper, source: The paper's name and reference.
        scale: Share of the paper's GAN steps, synthetic images and epochs.
        generator, synthetic, compare: The runs that it is made of.
        image_size: Of all images, in pixels.
        synthetic_images: How many are added, by class.
        departures: What is not as in the paper, a sentence each.
        test: The test split here.
        rows: The paper, its protocol here, and the fair protocol here.
        ladder: From the paper's protocol to the fair one, one change at a time; below it the fair
            protocol on altered images.
        leak: Of the ladder's split by image.
        commonest: Share of the test images that have the commonest label.
        sentence: The fair protocol's answer in words.
    """

    paper: str
    source: str
    scale: float
    generator: str
    synthetic: str
    compare: str
    image_size: int
    synthetic_images: dict[str, int]
    departures: list[str]
    test: ImageCount
    rows: list[ProtocolResult]
    ladder: list[Rung]
    leak: Leak
    commonest: float
    sentence: str

    @classmethod
    def load(cls, run: Run) -> ReproductionResult:
        """Read reproduce.json of a run. Raises ValueError when it is of another format."""
        path = run.folder / REPRODUCTION_FILE
        return read_record(path, cls, REPRODUCTION_FORMAT, remedy="cxr reproduce")

    def save(self, run: Run) -> None:
        """Write reproduce.json into a run's folder."""
        write_record(run.folder / REPRODUCTION_FILE, self, REPRODUCTION_FORMAT)
