"""Images that are offered to a study, decoded, and which of them look alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from pipelines.data.decoding import Decoded
from pipelines.data.listing import SourceImage
from pipelines.data.patients import Patient
from pipelines.study.manifest import EXTERNAL, Row


@dataclass(frozen=True)
class Candidate:
    """An image that was offered to the study, as decoded.

    Attributes:
        image: As its source offers it.
        decoded: What became of it.
        patient: Whom it shows.
        external: Whether it is for the external test set.
    """

    image: SourceImage
    decoded: Decoded
    patient: Patient
    external: bool

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that it may go to."""
        return (EXTERNAL,) if self.external else self.image.splits

    @property
    def ties(self) -> list[Hashable]:
        """What it shares with whoever is the same person: a patient, or the very picture."""
        names = (self.patient.name, *self.patient.also)
        pixels = [("pixels", self.decoded.sha256)] if self.decoded.sha256 else []
        return [*(("patient", name) for name in names), *pixels]


@dataclass(frozen=True)
class AlikePair:
    """Two images that look alike: their places, the first one's being lower, and bits that differ.

    They look alike as they are, or one of them altered (see `alterations`).

    Places count the study's rows first, then the candidates.
    """

    first: int
    second: int
    bits: int


def ties_of_row(row: Row) -> list[Hashable]:
    """Return what an image of the study shares with whoever is the same person."""
    return [("patient", row.patient), ("pixels", row.sha256)]


def places_alike(pairs: Sequence[AlikePair], num_existing: int) -> dict[int, list[int]]:
    """Return the places that look like each candidate, by its number."""
    alike: dict[int, list[int]] = defaultdict(list)
    for pair in pairs:
        alike[pair.second - num_existing].append(pair.first)
        if pair.first >= num_existing:
            alike[pair.first - num_existing].append(pair.second)
    return alike
