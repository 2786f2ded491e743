"""How many images a result is of, and of how many patients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageCount:
    """Images of a split, and the patients that they are of."""

    images: int
    patients: int
