"""The difference that a study can be expected to find, worked out before any training.

It is the `detectable` of `paired_tests`, of the parts of the variance that are expected; what is
assumed of them is stated here and was measured (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.metrics.crossed_variance import Part, Parts, combine
from pipelines.metrics.paired_tests import CONFIDENCE, Replicate, Spread, rows_of, smallest_found

PERSISTENT = 0.4  # share of two arms' discordance that all of their classifiers have in common
PLANNED_SPREAD = Spread(subsets=0.01, generators=0.01, draws=0.005, seeds=0.014)


def detectable_difference(
    discordant: float,
    patients: int,
    replicates: Sequence[Replicate],
    *,
    folds: int = 1,
    contrasts: int = 1,
    spread: Spread = PLANNED_SPREAD,
) -> float:
    """Foretell, before any training, the difference that is found in 80 % of studies.

    It is what `estimate_difference` would state of a study whose parts of the variance are those
    expected of it.

    Args:
        discordant: Share of test images that one classifier gets right and its partner of the
            other arm does not.
        patients: In the test split or in all folds together, each counted as one image, as if all
            of a patient's images went the same way.
        replicates: Of the arm that is compared.
        contrasts: Judged together (Bonferroni, which Holm never exceeds).
        spread: How far apart differences lie from one member of a level to the next.
    """
    parts = _expected_parts(discordant, patients, replicates, folds, spread)
    return smallest_found(combine(parts), (1 - CONFIDENCE) / contrasts)


def _expected_parts(
    discordant: float,
    patients: int,
    replicates: Sequence[Replicate],
    folds: int,
    spread: Spread,
) -> Parts:
    """Return what the parts of `crossed_variance` are expected to be.

    Of the discordance, PERSISTENT is of patients whoever trains, and half of the rest of each
    training of the real arm, whatever the generator.
    """
    num_rows, num_seeds = len(set(rows_of(replicates))), len({item.seed for item in replicates})
    row_variance = _row_variance(replicates, spread)
    of_patients = PERSISTENT * discordant / patients
    of_seeds = (1 - PERSISTENT) / 2 * discordant / patients / num_seeds
    rest = (1 - PERSISTENT) / 2 * discordant / patients / len(replicates)
    freedom = patients - folds
    several_rows, several_seeds = num_rows > 1, num_seeds > 1
    rows = row_variance / num_rows / folds
    seeds = (spread.seeds or 0.0) ** 2 / num_seeds / folds
    pairs = []
    if several_rows:
        pairs.append(Part(rest, freedom * (num_rows - 1)))
    if several_seeds:
        pairs.append(Part(of_seeds + rest, freedom * (num_seeds - 1)))
    if several_rows and several_seeds:
        pairs.append(Part(rest, folds * (num_rows - 1) * (num_seeds - 1)))
    patient_part = max(of_patients + of_seeds + rest, 1 / patients**2)
    return Parts(
        rows=Part(rows + rest, folds * (num_rows - 1)) if several_rows else None,
        seeds=Part(seeds + of_seeds + rest, folds * (num_seeds - 1)) if several_seeds else None,
        patients=Part(patient_part, freedom),
        folds=(
            Part(rows + seeds + patient_part, folds - 1) if folds > 1 and not several_rows else None
        ),
        pairs=tuple(pairs),
        triple=(
            Part(rest, freedom * (num_rows - 1) * (num_seeds - 1))
            if several_rows and several_seeds
            else None
        ),
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
