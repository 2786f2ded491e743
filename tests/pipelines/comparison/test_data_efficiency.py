"""What synthetic images are worth in real ones: a learning curve read backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.comparison.data_efficiency import estimate_data_efficiency, images_for
from pipelines.comparison.design import Design, Trial
from pipelines.results.comparison_summary import DataEfficiency
from tests.pipelines.report.summaries import make_result


@pytest.mark.parametrize(
    ("accuracy", "images"),
    [
        (0.8, 50),
        (0.85, 100),
        (0.825, np.sqrt(50 * 100)),
        (0.875, np.sqrt(200 * 400)),
        (0.95, np.inf),
        (0.7, -np.inf),
    ],
    ids=["the fewest", "a plateau", "between", "beyond a plateau", "above", "below"],
)
def test_a_learning_curve_is_read_backwards(accuracy: float, images: float) -> None:
    found = images_for(accuracy, [50, 100, 200, 400], [0.8, 0.85, 0.85, 0.9])
    assert found == pytest.approx(images)


@given(st.lists(st.floats(0.5, 1), min_size=2, max_size=5), st.floats(0.4, 1.1), st.floats(0, 0.2))
def test_more_accuracy_is_worth_no_fewer_images(
    curve: list[float], level: float, more: float
) -> None:
    sizes = [50 * 2**place for place in range(len(curve))]
    assert images_for(level, sizes, curve) <= images_for(level + more, sizes, curve)


PATIENTS = [f"patient {number}" for number in range(40)]
REALS = {0.5: 100, 1.0: 200}
DESIGN = Design(arms=("real", "real+gan"), seeds=2, generators=4, fractions=(0.5, 1.0))


def worth_at_half(design: Design, accuracy: Callable[[Trial], float]) -> DataEfficiency:
    """The worth at half of the reals where all patients are alike.

    accuracy: Of each classifier; that of `real` rises from 0.6 to 0.8.
    """
    results = [
        replace(make_result(arm, fraction, None), real_images=count, real_patients=count)
        for arm in ("real", "real+gan")
        for fraction, count in REALS.items()
    ]
    # A class that is thinned is on no learning curve.
    results += [make_result(arm, "covid=0.5", None) for arm in ("real", "real+gan")]
    count = len(PATIENTS) // design.folds
    values = {trial: np.full(count, accuracy(trial)) for trial in design.trials(first_seed=0)}
    return estimate_data_efficiency(results, values, PATIENTS)[0]


def learning_curve(trial: Trial, luck: float = 0.0) -> float:
    """Images double from half to all of the reals; real+gan lies midway at half of them."""
    gan = 0.1 if (trial.arm, trial.fraction) == ("real+gan", 0.5) else 0.0
    return {0.5: 0.6, 1.0: 0.8}[trial.fraction] + gan + luck


@pytest.mark.parametrize("folds", [1, 4])
def test_without_luck_the_worth_has_no_interval(folds: int) -> None:
    worth = worth_at_half(replace(DESIGN, folds=folds), learning_curve)
    assert worth.extra == worth.low == worth.high == round(100 * np.sqrt(2)) - 100


def member(numbers: Sequence[int | None]) -> float:
    """Luck of -0.03, -0.01, 0.01 or 0.03, by the number of a member."""
    return sum(0.02 * number - 0.03 for number in numbers if number is not None)


LEVELS: dict[str, tuple[Design, Callable[[Trial], float]]] = {
    "generators": (DESIGN, lambda trial: member([trial.replicate.generator])),
    "draws": (
        replace(DESIGN, generators=1, draws=4),
        lambda trial: member([trial.replicate.draw]),
    ),
    "seeds": (
        replace(DESIGN, seeds=4),
        lambda trial: member([trial.replicate.seed if trial.arm == "real+gan" else None]),
    ),
    "subsets": (
        replace(DESIGN, subsets=4),
        lambda trial: member([trial.replicate.subset if trial.arm == "real+gan" else None]),
    ),
    "generators of folds": (
        replace(DESIGN, folds=4),
        lambda trial: member([trial.replicate.generator]),
    ),
}


@pytest.mark.parametrize("level", LEVELS)
def test_the_luck_of_each_level_makes_an_interval(level: str) -> None:
    design, luck = LEVELS[level]
    worth = worth_at_half(design, lambda trial: learning_curve(trial, luck(trial)))
    assert worth.low < worth.extra < worth.high


def test_folds_with_generators_of_their_own_narrow_it() -> None:
    design, luck = LEVELS["generators of folds"]
    of_folds, of_one = (
        worth_at_half(
            replace(design, folds=folds),
            lambda trial: learning_curve(trial, luck(trial)),
        )
        for folds in (4, 1)
    )
    assert 0.3 < (of_folds.high - of_folds.low) / (of_one.high - of_one.low) < 0.7


def test_the_luck_of_a_subset_is_of_both_arms() -> None:
    """A lucky subset lifts the whole curve at its end and what is read on it alike."""
    design = replace(DESIGN, fractions=(0.25, 0.5), subsets=4)

    def accuracy(trial: Trial) -> float:
        gan = 0.1 if (trial.arm, trial.fraction) == ("real+gan", 0.25) else 0.0
        luck = member([trial.replicate.subset])
        return {0.25: 0.6, 0.5: 0.8}[trial.fraction] + gan + luck

    results = [
        replace(make_result(arm, fraction, None), real_images=round(400 * fraction))
        for arm in ("real", "real+gan")
        for fraction in (0.25, 0.5)
    ]
    values = {
        trial: np.full(len(PATIENTS), accuracy(trial)) for trial in design.trials(first_seed=0)
    }
    worth = estimate_data_efficiency(results, values, PATIENTS)[0]
    assert worth.low == worth.extra == worth.high
