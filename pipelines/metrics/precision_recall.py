"""How two sets of features cover each other, told by nearest neighbours.

- precision and recall (Kynkäänniemi et al. 2019, eqs. 1 and 2): the share of candidates within the distance from some real image to its
  third neighbour among the reals, and the share of reals within that of some candidate. High precision and low recall is mode collapse.
- density and coverage (Naeem et al. 2020, eqs. 3 and 4), with the fifth neighbours of the reals: how many reals' balls a candidate lies in,
  over five, which unlike precision is not fooled by one outlying real; and the share of reals that have a candidate in their ball.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAREST = 3  # of precision and recall
OF_DENSITY = 5
FEWEST = 2 * (OF_DENSITY + 1)  # images on either side, so that half of them have a fifth neighbour


@dataclass(frozen=True)
class Manifold:
    """All but density are shares in 0..1; density is about 1 for candidates like the reals, and may be more."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(reals: np.ndarray, candidates: np.ndarray) -> Manifold:
    """How features of candidates (m, d) cover those of reals (n, d), and the other way round. Raises ValueError on fewer than 6 rows."""
    if min(len(reals), len(candidates)) <= OF_DENSITY or reals.shape[1] != candidates.shape[1]:
        raise ValueError(
            f"features have shapes {reals.shape} and {candidates.shape}, expected more than {OF_DENSITY} rows each and as many columns"
        )
    reals, candidates = np.asarray(reals, np.float64), np.asarray(candidates, np.float64)
    return of_distances(
        squared_distances(reals, reals),
        squared_distances(candidates, candidates),
        squared_distances(reals, candidates),
    )


def of_distances(reals: np.ndarray, candidates: np.ndarray, across: np.ndarray) -> Manifold:
    """From squared distances between reals (n, n), between candidates (m, m), and across (n, m)."""
    near, far = (_radii(reals, k)[:, None] for k in (NEAREST, OF_DENSITY))
    inside = across <= far
    return Manifold(
        precision=float((across <= near).any(axis=0).mean()),
        recall=float((across <= _radii(candidates, NEAREST)).any(axis=1).mean()),
        density=float(inside.sum(axis=0).mean() / OF_DENSITY),
        coverage=float(inside.any(axis=1).mean()),
    )


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (n₁, n₂) of features (n₁, d) and (n₂, d)."""
    squares = (
        np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
    )
    return squares.clip(min=0)


def _radii(distances: np.ndarray, k: int) -> np.ndarray:
    """Of each row its k-th neighbour's squared distance; the nearest of all, itself, does not count."""
    return np.partition(distances, k, axis=1)[:, k]
