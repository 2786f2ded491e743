"""What a reproduction of a paper found, as its reproduce.json holds it."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.results.image_count import ImageCount
from runtime.estimate import Estimate
from runtime.records import read_record, write_record
from runtime.run import Run

REPRODUCTION_FILE = "reproduce.json"
REPRODUCTION_FORMAT = 2


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
class ReproductionResult:
    """A paper's figures, those of its protocol here, and those of the fair one.

    Attributes:
        paper, source: The paper's name and reference.
        scale: Share of the paper's GAN steps, synthetic images and epochs.
        generator, synthetic, compare: The runs that it is made of.
        test: The test split here.
        rows: The paper, its protocol here, and the fair protocol here.
        sentence: The fair protocol's answer in words.
    """

    paper: str
    source: str
    scale: float
    generator: str
    synthetic: str
    compare: str
    test: ImageCount
    rows: list[ProtocolResult]
    sentence: str

    @classmethod
    def load(cls, run: Run) -> ReproductionResult:
        """Read reproduce.json of a run. Raises ValueError when it is of another format."""
        path = run.folder / REPRODUCTION_FILE
        return read_record(path, cls, REPRODUCTION_FORMAT, remedy="cxr reproduce")

    def save(self, run: Run) -> None:
        """Write reproduce.json into a run's folder."""
        write_record(run.folder / REPRODUCTION_FILE, self, REPRODUCTION_FORMAT)
