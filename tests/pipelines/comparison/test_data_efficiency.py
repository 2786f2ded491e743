"""What synthetic images are worth in real patients: a learning curve read backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipelines.comparison.data_efficiency import estimate_data_efficiency
from pipelines.comparison.design import Design, Trial
from pipelines.results.comparison_summary import Question
from pipelines.results.data_efficiency import DataEfficiency
from tests.pipelines.report.summaries import make_result

PATIENTS = [f"patient {number}" for number in range(40)]
REALS = {0.5: 100, 1.0: 200}  # patients, each of two images
QUESTION = Question("real+gan", "real", 1.0, None, "accuracy")
DESIGN = Design(arms=("real", "real+gan"), seeds=2, generators=4, fractions=(0.5, 1.0))


def worth_at_half(design: Design, accuracy: Callable[[Trial], float]) -> DataEfficiency:
    """The worth at half of the reals where all patients are alike."""
    return worth_at(0.5, design, accuracy)


def worth_at(fraction: float, design: Design, accuracy: Callable[[Trial], float]) -> DataEfficiency:
    """The worth at a fraction of the reals.

    accuracy: Of each classifier; that of `real` rises from 0.6 to 0.8.
    """
    results = [
        replace(make_result(arm, fraction, None), real_images=2 * count, real_patients=count)
        for arm in ("real", "real+gan")
        for fraction, count in REALS.items()
    ]
    # A class that is thinned is on no learning curve.
    results += [make_result(arm, "covid=0.5", None) for arm in ("real", "real+gan")]
    count = len(PATIENTS) // design.folds
    values = {trial: np.full(count, accuracy(trial)) for trial in design.trials(first_seed=0)}
    entries = estimate_data_efficiency(results, values, PATIENTS, QUESTION)
    return next(entry for entry in entries if entry.fraction == fraction)


def learning_curve(trial: Trial, luck: float = 0.0) -> float:
    """Images double from half to all of the reals; real+gan lies midway at half of them."""
    gan = 0.1 if (trial.arm, trial.fraction) == ("real+gan", 0.5) else 0.0
    return {0.5: 0.6, 1.0: 0.8}[trial.fraction] + gan + luck


@pytest.mark.parametrize("folds", [1, 4])
def test_without_luck_the_worth_has_no_interval(folds: int) -> None:
    worth = worth_at_half(replace(DESIGN, folds=folds), learning_curve)
    assert worth.further == worth.low == worth.high
    assert worth.further.patients == round(100 * np.sqrt(2)) - 100


def test_images_are_told_beside_patients() -> None:
    worth = worth_at_half(DESIGN, learning_curve)
    assert worth.further.images == round(200 * np.sqrt(2)) - 200
    assert worth.sentence == (
        "Beside 100 patients (200 real images), 1000 synthetic images did what about 41 further "
        "patients (83 images) would have done (95 % interval: 41 to 41)."
    )


@pytest.mark.parametrize(
    ("fraction", "gain", "words"),
    [
        (0.5, 0.3, "what at least 100 further patients (200 images) would have done"),
        (0.5, 0.0, "what these 100 patients do without them"),
        (0.5, -0.1, "what fewer patients would have done, how many lies beyond the learning curve"),
        (
            1.0,
            0.1,
            "what further patients would have done, how many lies beyond the learning curve",
        ),
        (1.0, -0.1, "what about 59 patients (117 images) fewer would have done"),
        (1.0, -0.3, "what at least 100 patients (200 images) fewer would have done"),
    ],
    ids=["beyond", "nothing", "below the fewest", "above the most", "fewer", "fewer, beyond"],
)
def test_the_sentence_says_where_the_learning_curve_ends(
    fraction: float, gain: float, words: str
) -> None:
    def accuracy(trial: Trial) -> float:
        return {0.5: 0.6, 1.0: 0.8}[trial.fraction] + gain * (trial.arm == "real+gan")

    assert words in worth_at(fraction, DESIGN, accuracy).sentence


def test_the_arm_of_the_question_is_read_on_the_curve_of_its_reference() -> None:
    """Synthetic images without augmentation are held against the best that needs no generator."""
    arms, question = (
        ("real", "real+classical", "real+gan"),
        replace(QUESTION, reference="real+classical"),
    )
    design = replace(DESIGN, arms=arms)
    level = {"real": 0.6, "real+classical": 0.7, "real+gan": 0.7}
    results = [
        replace(make_result(arm, fraction, None), real_patients=count)
        for arm in arms
        for fraction, count in REALS.items()
    ]
    values = {
        trial: np.full(len(PATIENTS), level[trial.arm] + 0.1 * (trial.fraction == 1))
        for trial in design.trials(first_seed=0)
    }
    worth = estimate_data_efficiency(results, values, PATIENTS, question)[0]
    assert (worth.reference, worth.further.patients) == ("real+classical", 0)


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
    assert worth.low.patients < worth.further.patients < worth.high.patients


def test_folds_with_generators_of_their_own_narrow_it() -> None:
    design, luck = LEVELS["generators of folds"]
    of_folds, of_one = (
        worth_at_half(
            replace(design, folds=folds),
            lambda trial: learning_curve(trial, luck(trial)),
        )
        for folds in (4, 1)
    )
    assert 0.3 < width(of_folds) / width(of_one) < 0.7


def width(worth: DataEfficiency) -> int:
    return worth.high.patients - worth.low.patients


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
    worth = estimate_data_efficiency(results, values, PATIENTS, QUESTION)[0]
    assert worth.low == worth.further == worth.high
