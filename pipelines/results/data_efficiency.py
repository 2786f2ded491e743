"""What synthetic images are worth in real patients, as summary.json has it."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.study.fractions import RealFraction


@dataclass(frozen=True, kw_only=True)
class FurtherReals:
    """How many reals more would have done as much as synthetic images; negative where fewer.

    Attributes:
        bound: "at least" or "at most" where the learning curve ends at that number; else empty.
    """

    patients: int
    images: int
    bound: str


@dataclass(frozen=True, kw_only=True)
class DataEfficiency:
    """What synthetic images are worth: further reals that would have done as much.

    Attributes:
        arm, reference: With the synthetic images, and without: whose learning curve is read.
        real_patients, real_images: The reals of the fraction.
        further, low, high: The reals that would have done as much, and the 95 % interval.
        sentence: All that in words.
    """

    arm: str
    reference: str
    fraction: RealFraction
    ratio: float | None
    synthetic_images: int
    real_patients: int
    real_images: int
    further: FurtherReals
    low: FurtherReals
    high: FurtherReals
    sentence: str
