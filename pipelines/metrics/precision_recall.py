"""How two sets of features cover each other, told by nearest neighbours.

- Precision and recall (Kynkäänniemi et al. 2019, eqs. 1 and 2): the share of candidates within the
  distance from some real image to its third neighbour among the reals, and the share of reals
  within that of some candidate. High precision and low recall is mode collapse.
- Density and coverage (Naeem et al. 2020, eqs. 3 and 4), with the fifth neighbours of the reals:
  how many reals' balls a candidate lies in, over five, which unlike precision is not fooled by one
  outlying real; and the share of reals that have a candidate in their ball.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRECISION_NEIGHBOURS = 3  # of precision and recall
DENSITY_NEIGHBOURS = 5  # of density and coverage


@dataclass(frozen=True)
class Manifold:
    """All but density are shares in 0..1; density is about 1 for real images, and may be more."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(reals: np.ndarray, candidates: np.ndarray) -> Manifold:
    """Say how features of candidates (m, d) cover those of reals (n, d), and the reverse.

    Raises ValueError on fewer than 6 rows.
    """
    if (
        min(len(reals), len(candidates)) <= DENSITY_NEIGHBOURS
        or reals.shape[1] != candidates.shape[1]
    ):
        raise ValueError(
            f"features have shapes {reals.shape} and {candidates.shape}, expected more than "
            f"{DENSITY_NEIGHBOURS} rows each and as many columns"
        )
    reals, candidates = np.asarray(reals, np.float64), np.asarray(candidates, np.float64)
    return manifold_of_distances(
        squared_distances(reals, reals),
        squared_distances(candidates, candidates),
        squared_distances(reals, candidates),
    )


def manifold_of_distances(
    reals: np.ndarray, candidates: np.ndarray, across: np.ndarray
) -> Manifold:
    """Do so from squared distances between reals (n, n), between candidates (m, m), and across."""
    near = _neighbour_distances(reals, PRECISION_NEIGHBOURS)[:, None]
    far = _neighbour_distances(reals, DENSITY_NEIGHBOURS)[:, None]
    inside = across <= far  # (n, m)
    recalled = across <= _neighbour_distances(candidates, PRECISION_NEIGHBOURS)
    return Manifold(
        precision=float((across <= near).any(axis=0).mean()),
        recall=float(recalled.any(axis=1).mean()),
        density=float(inside.sum(axis=0).mean() / DENSITY_NEIGHBOURS),
        coverage=float(inside.any(axis=1).mean()),
    )


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return squared Euclidean distances (n₁, n₂) of features (n₁, d) and (n₂, d)."""
    squares = (
        np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
    )
    return squares.clip(min=0)


def _neighbour_distances(distances: np.ndarray, k: int) -> np.ndarray:
    """Return each row's squared distance to its k-th neighbour, itself not counted."""
    return np.partition(distances, k, axis=1)[:, k]
