"""A learning curve: what a measure comes to with more and more reals, and how it is read backwards.

It is made never to fall (isotonic regression) and read on a logarithmic scale of reals. A place on
it is counted from its first point: 1.5 lies midway between the second and the third.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn.isotonic import isotonic_regression


def never_falling(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the learning curve of these values (F,) of more and more reals, (F,)."""
    return np.asarray(isotonic_regression(np.asarray(values, float)))


def place_on_curve(level: float, curve: np.ndarray) -> float:
    """Return where a learning curve (F,) comes to a level; the first place where several do.

    −inf where even the fewest reals give more, inf where not even the most give so much.
    """
    if level < curve[0]:
        return -math.inf
    if level > curve[-1]:
        return math.inf
    after = int(np.searchsorted(curve, level))
    if after == 0:
        return 0.0
    before = after - 1
    return before + float((level - curve[before]) / (curve[after] - curve[before]))


def size_at(place: float, sizes: Sequence[int]) -> float:
    """Return the number of reals at a place of the curve; beyond its ends that of the end.

    sizes: Of its points, (F,), in ascending order.
    """
    return float(np.exp(np.interp(place, range(len(sizes)), np.log(sizes))))
