"""The difference that a study can be expected to find, worked out before any training.

It is the `detectable` of `paired_tests`, of the parts of the variance that are expected; what is
assumed of them is stated here and was measured (docs/method.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipelines.metrics.crossed_variance import Part, Parts, combine
from pipelines.metrics.paired_tests import CONFIDENCE, Replicate, Spread, rows_of, smallest_found
from runtime.randomness import numpy_generator

DRAWN_STUDIES = 200
PERSISTENT = 0.15  # share of two arms' discordance that all of their classifiers have in common
OF_GENERATOR = 0.1  # share that the classifiers of one generator have in common
PLANNED_SPREAD = Spread(subsets=0.01, generators=0.01, draws=0.005, seeds=0.007)


def detectable_difference(
    discordant: float,
    images: int,
    patients: int,
    replicates: Sequence[Replicate],
    *,
    folds: int = 1,
    contrasts: int = 1,
    spread: Spread = PLANNED_SPREAD,
) -> float:
    """Foretell, before any training, the difference that is found in 80 % of studies.

    It is the median of what `estimate_difference` would state in studies of this design, whose
    parts of the variance lie about those expected as χ² over its degrees of freedom does.

    Args:
        discordant: Share of test images that one classifier gets right and its partner of the
            other arm does not.
        images, patients: In the test split or in all folds together. They count as √(images ×
            patients) independent images, midway between one for each patient and all.
        replicates: Of the arm that is compared.
        contrasts: Judged together (Bonferroni, which Holm never exceeds).
        spread: How far apart differences lie from one member of a level to the next.
    """
    independent = math.sqrt(images * patients)
    expected = _expected_parts(discordant / independent, patients, replicates, folds, spread)
    random, error_rate = numpy_generator(0, "plan"), (1 - CONFIDENCE) / contrasts
    stated = [
        smallest_found(combine(expected.redraw(random)), error_rate) for _ in range(DRAWN_STUDIES)
    ]
    return float(np.median(stated))


def _expected_parts(
    discordance: float,
    patients: int,
    replicates: Sequence[Replicate],
    folds: int,
    spread: Spread,
) -> Parts:
    """Return what the parts of `crossed_variance` are expected to be.

    Of the discordance, here per independent image, PERSISTENT is of patients whoever trains,
    OF_GENERATOR of patients and a generator, and half of the rest of each training of the real arm,
    whatever the generator.
    """
    num_rows, num_seeds = len(set(rows_of(replicates))), len({item.seed for item in replicates})
    several_rows, several_seeds = num_rows > 1, num_seeds > 1
    generators = {(item.subset, item.generator) for item in replicates}
    of_generators = OF_GENERATOR * discordance / len(generators)
    of_each = (1 - PERSISTENT - OF_GENERATOR) / 2 * discordance
    of_seeds, rest = of_each / num_seeds, of_each / len(replicates)
    of_patients = max(PERSISTENT * discordance + of_generators + of_seeds + rest, 1 / patients**2)
    row_luck = _row_variance(replicates, spread) / num_rows / folds
    seed_luck = (spread.seeds or 0.0) ** 2 / num_seeds / folds
    row_freedom, seed_freedom, freedom = num_rows - 1, num_seeds - 1, patients - folds
    rows = seeds = triple = None
    pairs = []
    if several_rows:
        rows = Part(row_luck + of_generators + rest, folds * row_freedom)
        pairs.append(Part(of_generators + rest, freedom * row_freedom))
    if several_seeds:
        seeds = Part(seed_luck + of_seeds + rest, folds * seed_freedom)
        pairs.append(Part(of_seeds + rest, freedom * seed_freedom))
    if several_rows and several_seeds:
        pairs.append(Part(rest, folds * row_freedom * seed_freedom))
        triple = Part(rest, freedom * row_freedom * seed_freedom)
    between = Part(row_luck + seed_luck + of_patients, folds - 1) if folds > 1 else None
    return Parts(
        rows=rows,
        seeds=seeds,
        patients=Part(of_patients, freedom),
        folds=between,
        pairs=tuple(pairs),
        triple=triple,
    )


def _row_variance(replicates: Sequence[Replicate], spread: Spread) -> float:
    """Return the variance between rows: that of their level and of all that is nested in it."""
    total = 0.0
    names: list[tuple[int | None, ...]] = [()] * len(replicates)
    rows = len(set(rows_of(replicates)))
    for level, deviation in (
        ("subset", spread.subsets),
        ("generator", spread.generators),
        ("draw", spread.draws),
    ):
        members = [getattr(replicate, level) for replicate in replicates]
        names = [(*name, member) for name, member in zip(names, members, strict=True)]
        if None not in members:
            total += (deviation or 0.0) ** 2 * rows / len(set(names))
    return total
