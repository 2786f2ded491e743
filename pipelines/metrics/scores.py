"""What a score is: a value of synthetic images beside the same value of held-out reals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pipelines.metrics.names import SCORE_FORMATS
from runtime.estimate import Estimate

if TYPE_CHECKING:
    import numpy as np

SCORE_NAMES = tuple(SCORE_FORMATS)
OVERALL = "overall"  # the group of all classes
PIXELS = "pixels"  # in the place of an extractor's name, for scores that need none

# One array for each of the sets "train", "held_out" and "synthetic".
Parts: TypeAlias = "Mapping[str, np.ndarray]"


@dataclass(frozen=True)
class LeftOut:
    """Why something was not measured."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A score of n synthetic images, and of n held-out reals.

    Attributes:
        synthetic: Of n synthetic images.
        floor: The same of held-out reals, as good as a generator can be expected to get.
        synthetic_p, floor_p: Of the two-sample test: how likely as good an accuracy is by chance.
        all_synthetic: Of all synthetic images, as other tools have it.
        detail: What else is to be known of it.
    """

    synthetic: Estimate
    floor: Estimate
    synthetic_p: float | None = None
    floor_p: float | None = None
    all_synthetic: float | None = None
    detail: str = ""


Measurements = dict[str, Measurement | LeftOut]  # by the name of the score


@dataclass(frozen=True, kw_only=True)
class Score:
    """A measurement of one group in one space.

    Attributes:
        group: A class, or "overall".
        features: The extractor's name, or "pixels".
        name: One of SCORE_NAMES.
        synthetic, floor, synthetic_p, floor_p, all_synthetic, detail: See `Measurement`.
        n_train, n_synthetic, n_held_out: How many images of the group there are.
        train_patients, held_out_patients: Of how many patients the reals are; one image of each is
            scored.
    """

    group: str
    features: str
    name: str
    synthetic: Estimate
    synthetic_p: float | None
    floor: Estimate
    floor_p: float | None
    all_synthetic: float | None
    n_train: int
    n_synthetic: int
    n_held_out: int
    train_patients: int
    held_out_patients: int
    detail: str


@dataclass(frozen=True)
class Unscored:
    """A score that was left out, and why."""

    group: str
    features: str
    name: str
    reason: str


@dataclass(frozen=True)
class ExtractorRecord:
    """Which network made the features: its name, the hash of its weights, and what to know."""

    name: str
    sha256: str
    note: str
