"""A value with its 95 % interval.

It is the one shape in which every uncertain number is kept and written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def significant(number: float) -> str:
    """Write a number of any size by its three leading digits: 0.0123, 3.83, 342000."""
    return f"{float(f'{number:.3g}'):.15g}"


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval, and the number of images it is measured on.

    Attributes:
        value: The point estimate.
        low, high: The ends of its 95 % interval.
        n: How many images (or answers of a reader) it is of.
    """

    value: float
    low: float
    high: float
    n: int

    def text(self, spec: str = ".3f") -> str:
        """Write it as "0.953 [0.921, 0.984]", all three numbers by `spec`."""
        return self.written(lambda number: format(number, spec))

    def written(self, write: Callable[[float], str]) -> str:
        """Write it likewise, each of the three numbers by `write`."""
        value, low, high = map(write, (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    def percent(self, spec: str = ".1f") -> str:
        """Write it in per cent, as "95.3 [92.1, 98.4]"."""
        return self.written(lambda share: format(100 * share, spec))
