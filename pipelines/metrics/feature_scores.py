"""Scores of features: distances, precision and recall, density and coverage, and diversity.

Every score follows from inner products of features, so that of half-samples and draws nothing has
to be computed anew but sums over parts of three matrices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from pipelines.metrics.confidence_intervals import estimate_by_half_samples, widen_to_wilson
from pipelines.metrics.frechet import frechet_distance, nuclear_norm
from pipelines.metrics.image_selection import MAX_SCORED_IMAGES, check_enough, thin
from pipelines.metrics.kernel import (
    discrepancy,
    kernel_distance,
    mean_of_pairs,
    polynomial_of_products,
    subset_size,
)
from pipelines.metrics.precision_recall import (
    DENSITY_NEIGHBOURS,
    manifold,
    manifold_of_distances,
)
from pipelines.metrics.scores import Measurement, Measurements, Parts
from runtime.estimate import Estimate

DISTANCES = ("frechet", "kernel", "diversity")
NEIGHBOURS = ("precision", "recall", "density", "coverage")
SHARES = ("precision", "recall", "coverage")  # in 0..1
MIN_FOR_DISTANCES = 8  # images of each set
MIN_FOR_NEIGHBOURS = 2 * (DENSITY_NEIGHBOURS + 1)  # so that half of them have a fifth neighbour


@dataclass(frozen=True)
class InnerProducts:
    """Inner products of features: of reals (n, n), of candidates (m, m), and across (n, m).

    width: the number of features.
    """

    reals: np.ndarray
    candidates: np.ndarray
    across: np.ndarray
    width: int

    def part(self, i: np.ndarray, j: np.ndarray) -> InnerProducts:
        """Take the products of the reals at places i and the candidates at places j."""
        return InnerProducts(
            self.reals[np.ix_(i, i)],
            self.candidates[np.ix_(j, j)],
            self.across[np.ix_(i, j)],
            self.width,
        )

    def scores(self, with_neighbours: bool) -> dict[str, float]:
        """Score the candidates against the reals; precision and the like only `with_neighbours`."""
        matrices = (self.reals, self.candidates, self.across)
        reals, candidates, across = self._squared_distances()
        scores = {
            "frechet": self._frechet_distance(),
            "kernel": discrepancy(*(polynomial_of_products(xy, self.width) for xy in matrices)),
            "diversity": mean_of_pairs(np.sqrt(candidates))
            / max(mean_of_pairs(np.sqrt(reals)), 1e-12),
        }
        if with_neighbours:
            scores |= vars(manifold_of_distances(reals, candidates, across))
        return scores

    def _frechet_distance(self) -> float:
        a, b, across = self.reals, self.candidates, self.across
        n, m = across.shape
        centred = across - across.mean(axis=0) - across.mean(axis=1)[:, None] + across.mean()
        spread = (np.trace(a) - n * a.mean()) / (n - 1) + (np.trace(b) - m * b.mean()) / (m - 1)
        gap = a.mean() + b.mean() - 2 * across.mean()
        return max(gap + spread - 2 * nuclear_norm(centred) / sqrt((n - 1) * (m - 1)), 0.0)

    def _squared_distances(self) -> list[np.ndarray]:
        """Return squared distances of reals, of candidates, and across."""
        a, b = self.reals, self.candidates
        return [
            (np.diag(x)[:, None] + np.diag(y) - 2 * xy).clip(min=0)
            for x, y, xy in ((a, a, a), (b, b, b), (a, b, self.across))
        ]


def measure_features(
    parts: Parts, patients: Parts, reals: np.ndarray, synthetic: np.ndarray
) -> Measurements:
    """Score the features (N, d) of each set: distances, neighbours and diversity.

    Args:
        parts: Of the reals, one image of each patient.
        patients: Of these images, (N,) each.
        reals, synthetic: Features of all images, which are compared besides as other tools do.
    """
    names = [*DISTANCES, *NEIGHBOURS]
    left_out = check_enough(parts, MIN_FOR_DISTANCES)
    if left_out is not None:
        return dict.fromkeys(names, left_out)
    no_neighbours = check_enough(parts, MIN_FOR_NEIGHBOURS)
    of_all, detail = _compare_all(reals, synthetic, no_neighbours is None)
    of_synthetic, floor = _compare_at_equal_n(parts, patients, no_neighbours is None)

    measurements: Measurements = {}
    for name in names:
        if name in of_synthetic:
            measurements[name] = Measurement(
                synthetic=of_synthetic[name],
                floor=floor[name],
                all_synthetic=of_all.get(name),
                detail=detail if name == "kernel" else "",
            )
        elif no_neighbours is not None:
            measurements[name] = no_neighbours
    return measurements


def _compare_all(
    reals: np.ndarray, synthetic: np.ndarray, with_neighbours: bool
) -> tuple[dict[str, float], str]:
    """Score all synthetic images, as other tools do; and say how the kernel distance was taken."""
    scores = {"frechet": frechet_distance(reals, synthetic)}
    reals, synthetic = (rows[thin(len(rows), MAX_SCORED_IMAGES)] for rows in (reals, synthetic))
    scores["kernel"] = kernel_distance(reals, synthetic)
    if with_neighbours:
        scores |= vars(manifold(reals, synthetic))
    return scores, f"of all: in subsets of {subset_size(len(reals), len(synthetic))}"


def _compare_at_equal_n(
    parts: Parts, patients: Parts, with_neighbours: bool
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Score synthetic images, and as many held-out reals, against the training reals."""
    kept = {name: thin(len(part), MAX_SCORED_IMAGES) for name, part in parts.items()}
    rows = {name: part[kept[name]].astype(np.float64) for name, part in parts.items()}
    train = rows["train"]
    n = min(len(rows["synthetic"]), len(rows["held_out"]))
    between_reals = train @ train.T

    def compare(name: str) -> dict[str, Estimate]:
        candidates = rows[name]
        products = InnerProducts(
            between_reals, candidates @ candidates.T, train @ candidates.T, train.shape[1]
        )
        estimates = estimate_by_half_samples(
            patients["train"][kept["train"]],
            patients[name][kept[name]],
            n,
            lambda i, j: products.part(i, j).scores(with_neighbours),
            name,
        )
        return {
            score: _bound(score, estimate, n if score == "precision" else len(train))
            for score, estimate in estimates.items()
        }

    return compare("synthetic"), compare("held_out")


def _bound(score: str, estimate: Estimate, count: int) -> Estimate:
    """Keep an interval within what the score can be; only the kernel distance goes below 0.

    count: how many images a share is of.
    """
    if score in SHARES:
        return widen_to_wilson(estimate, count)
    return estimate if score == "kernel" else replace(estimate, low=max(estimate.low, 0.0))
