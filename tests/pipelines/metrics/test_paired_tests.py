"""Intervals that cover what they promise; verdicts that are right as often as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipelines.metrics.paired_tests import (
    DifferenceEstimate,
    Replicate,
    Spread,
    adjust_holm,
    estimate_difference,
    estimate_share,
    estimate_spread,
    judge,
    mcnemar_test,
    speaks_of,
)
from pipelines.metrics.planned_difference import (
    OF_GENERATOR,
    PERSISTENT,
    detectable_difference,
)

PATIENTS, PER_PATIENT = 60, 2
Levels = tuple[float, float, float]  # deviations of generators, draws and seeds


def nested(generators: int, draws: int, seeds: int) -> list[Replicate]:
    return [
        Replicate(None, g, d, s)
        for g in range(generators)
        for d in range(draws)
        for s in range(seeds)
    ]


def simulate(
    rng: np.random.Generator, effect: float, replicates: list[Replicate], levels: Levels
) -> tuple[np.ndarray, list[str]]:
    """Paired differences (R, images), with luck of patients, generators, draws and trainings."""
    patients = np.repeat(np.arange(PATIENTS), PER_PATIENT)
    of_patient = rng.normal(0, 0.1, PATIENTS)[patients]
    of_generator = rng.normal(0, levels[0], 9)
    of_draw = rng.normal(0, levels[1], (9, 9))
    of_seed = rng.normal(0, levels[2], 9)
    luck = np.array(
        [
            of_generator[r.generator] + of_draw[r.generator, r.draw] + of_seed[r.seed]
            for r in replicates
        ]
    )
    chance = np.clip(effect + of_patient + luck[:, None], -0.9, 0.9)
    sign = np.sign(chance) * (rng.random(chance.shape) < np.abs(chance))
    return sign, [str(patient) for patient in patients]


def share_of_verdicts(
    effect: float, replicates: list[Replicate], levels: Levels
) -> dict[str, float]:
    """How often each verdict is given in 60 studies."""
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(60):
        values, patients = simulate(rng, effect, replicates, levels)
        difference = estimate_difference(values, patients, replicates, n=values.shape[1])
        verdicts.append(judge(difference.value, difference.p))
    return {name: verdicts.count(name) / 60 for name in ("helps", "hurts", "cannot tell")}


DESIGNS = pytest.mark.parametrize(
    ("replicates", "levels"),
    [
        (nested(1, 1, 3), (0, 0, 0.01)),
        (nested(3, 1, 5), (0.03, 0, 0.005)),
        (nested(1, 3, 5), (0, 0.03, 0.01)),
        (nested(3, 2, 3), (0.01, 0.02, 0.01)),
    ],
    ids=["seeds", "generators", "draws", "all"],
)


@DESIGNS
def test_no_effect_is_rarely_called_one(replicates: list[Replicate], levels: Levels) -> None:
    verdicts = share_of_verdicts(0.0, replicates, levels)
    assert verdicts["helps"] <= 0.05
    assert verdicts["hurts"] <= 0.06


@DESIGNS
def test_a_large_effect_is_mostly_found(replicates: list[Replicate], levels: Levels) -> None:
    verdicts = share_of_verdicts(0.12, replicates, levels)
    assert verdicts["helps"] >= 0.8
    assert verdicts["hurts"] == 0


@pytest.fixture(scope="module")
def trained_verdicts() -> dict[str, list[str]]:
    """The verdicts of 40 studies on redrawn reals, and of 40 on fresh images.

    20 training images and 240 added to them, either the same ones drawn again or ones of other
    patients. An image is 40 features, its classifier discriminant analysis, for speed;
    benchmarks/verdicts.py has phantoms and the cnn.
    """
    features = np.random.default_rng(11)
    patients = np.repeat(np.arange(320), 2)
    y = features.permutation(np.arange(320) % 2 == 0)[patients]
    x = features.normal(size=(320, 40))[patients] + features.normal(size=(640, 40))
    x[:, :8] += y[:, None]
    rng, replicates = np.random.default_rng(0), nested(1, 3, 1)
    verdicts: dict[str, list[str]] = {"redrawn": [], "fresh": []}

    def is_right(training: np.ndarray, test: np.ndarray) -> np.ndarray:
        fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
        fitted.fit(x[training], y[training])
        return (fitted.predict(x[test]) == y[test]).astype(float)

    for _ in range(40):
        order = rng.permutation(patients.max() + 1)
        pool, test = (
            np.flatnonzero(np.isin(patients, part))
            for part in np.split(order, [len(order) * 3 // 5])
        )
        reals = np.concatenate(
            [rng.permutation(pool[y[pool] == side])[:10] for side in (True, False)]
        )
        sources = {"redrawn": (reals, True), "fresh": (np.setdiff1d(pool, reals), False)}
        alone = is_right(reals, test)
        for name, (source, replace) in sources.items():
            added = [rng.choice(source, 240, replace=replace) for _ in replicates]
            with_more = [is_right(np.concatenate([reals, places]), test) for places in added]
            difference = estimate_difference(
                np.stack(with_more) - alone,
                [str(patient) for patient in patients[test]],
                replicates,
                n=len(test),
            )
            verdicts[name].append(judge(difference.value, difference.p))
    return verdicts


def test_redrawn_reals_are_rarely_called_a_help(trained_verdicts: dict[str, list[str]]) -> None:
    assert trained_verdicts["redrawn"].count("helps") <= 2


def test_fresh_images_are_mostly_called_a_help(trained_verdicts: dict[str, list[str]]) -> None:
    assert trained_verdicts["fresh"].count("helps") >= 32


@pytest.fixture(scope="module")
def differences() -> np.ndarray:
    """Paired differences of a study (R, N)."""
    return simulate(np.random.default_rng(1), 0.1, nested(1, 1, 3), (0, 0, 0.01))[0]


@pytest.fixture(scope="module")
def difference(differences: np.ndarray) -> DifferenceEstimate:
    patients = [str(place // PER_PATIENT) for place in range(differences.shape[1])]
    return estimate_difference(differences, patients, nested(1, 1, 3), n=80)


def test_an_estimate_is_the_mean_of_what_counts(
    difference: DifferenceEstimate, differences: np.ndarray
) -> None:
    assert difference.value == pytest.approx(differences.mean())
    assert difference.per_replicate == pytest.approx(differences.mean(axis=1))
    assert difference.n == 80


def test_an_estimate_lies_within_its_interval(difference: DifferenceEstimate) -> None:
    assert difference.low < difference.value < difference.high


def test_what_is_detectable_is_more_than_half_the_interval(difference: DifferenceEstimate) -> None:
    reach = difference.value - difference.low
    assert reach < difference.detectable < 2 * reach


def test_p_and_interval_agree(difference: DifferenceEstimate) -> None:
    assert (difference.p < 0.05) == (difference.low > 0)


def test_a_share_does_not_exceed_one() -> None:
    values = np.ones((3, 10))
    values[0, 0] = 0
    share = estimate_share(values, list("abcdefghij"), nested(1, 1, 3), n=10)
    assert share.low < share.value < share.high <= 1.0


def test_all_right_is_no_certainty() -> None:
    """Of 118 patients, all right: the exact 95 % interval begins at 0.969."""
    values, patients = np.ones((5, 118)), [str(patient) for patient in range(118)]
    share = estimate_share(values, patients, nested(1, 1, 5), n=118)
    assert share.low == pytest.approx(0.969, abs=0.003)
    assert share.high == 1.0


def test_equal_predictions_are_no_certainty() -> None:
    values, patients = np.zeros((3, 118)), [str(patient) for patient in range(118)]
    difference = estimate_difference(values, patients, nested(1, 1, 3), n=118)
    assert difference.value == 0
    assert difference.p == 1
    assert -difference.low == difference.high == pytest.approx(1.98 / 118, rel=0.01)
    assert difference.detectable > difference.high


@pytest.fixture(scope="module")
def spreads() -> list[Spread]:
    """Estimates of known deviations: 0.03 of generators, 0.02 of draws, 0.01 of seeds."""
    rng, replicates, estimates = np.random.default_rng(2), nested(3, 4, 5), []
    for _ in range(200):
        of_generator, of_draw = rng.normal(0, 0.03, 3), rng.normal(0, 0.02, (3, 4))
        values = [
            of_generator[replicate.generator]
            + of_draw[replicate.generator, replicate.draw]
            + rng.normal(0, 0.01)
            for replicate in replicates
        ]
        estimates.append(estimate_spread(values, replicates))
    return estimates


@pytest.mark.parametrize(
    ("level", "deviation"), [("generators", 0.03), ("draws", 0.02), ("seeds", 0.01)]
)
def test_each_level_gets_its_own_deviation(
    spreads: list[Spread], level: str, deviation: float
) -> None:
    variances = [getattr(spread, level) ** 2 for spread in spreads]
    assert np.sqrt(np.mean(variances)) == pytest.approx(deviation, rel=0.12)


def test_a_level_with_one_member_has_no_deviation() -> None:
    spread = estimate_spread(
        [0.9, 0.92, 0.94], [Replicate(None, None, None, seed) for seed in range(3)]
    )
    assert spread == Spread(None, None, None, pytest.approx(0.02))
    assert list(spread.measured()) == ["seeds"]


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5], [0.5]),
        ([0.6, 0.7], [1.0, 1.0]),
    ],
    ids=["three", "one", "large"],
)
def test_holm_by_hand(p: list[float], adjusted: list[float]) -> None:
    assert adjust_holm(p) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_nor_exceeds_bonferroni(p: list[float]) -> None:
    assert all(
        before <= after <= min(1.0, len(p) * before) + 1e-12
        for before, after in zip(p, adjust_holm(p), strict=True)
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order(p: list[float]) -> None:
    adjusted = adjust_holm(p)
    assert all(
        adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] <= p[j]
    )


def test_mcnemar_by_the_binomial() -> None:
    arm = np.array([1] * 9 + [0] * 2 + [1] * 30, bool)
    real = np.array([0] * 9 + [1] * 2 + [1] * 30, bool)
    discordance = mcnemar_test(arm, real)
    assert (discordance.only_arm, discordance.only_real) == (9, 2)
    assert discordance.p == pytest.approx(2 * binom.cdf(2, 11, 0.5))


def test_mcnemar_of_equal_predictions_is_one() -> None:
    arm = np.array([1, 0, 1], bool)
    assert mcnemar_test(arm, arm).p == 1


def test_the_plan_is_kept_by_the_study() -> None:
    """A difference of what the plan says is found in about 80 % of studies, which say as much.

    Two arms disagree about 10 % of the images, of as many patients: about a part of them always,
    about the others in one training.
    """
    rng, patients, seeds, found, stated = np.random.default_rng(3), 200, 5, [], []
    replicates = [Replicate(None, None, None, seed) for seed in range(seeds)]
    effect = detectable_difference(0.1, patients, patients, replicates)
    names, persistent = [str(patient) for patient in range(patients)], PERSISTENT + OF_GENERATOR
    for _ in range(200):
        always = draw_signs(rng, 0.1 * persistent, 0.0, (1, patients))
        once = draw_signs(rng, 0.1 * (1 - persistent), effect, (seeds, patients))
        difference = estimate_difference(
            np.where(always != 0, always, once), names, replicates, n=patients
        )
        found.append(difference.p < 0.05 and difference.value > 0)
        stated.append(difference.detectable)
    assert 0.7 <= np.mean(found) <= 0.93
    assert np.median(stated) == pytest.approx(effect, rel=0.15)


@pytest.mark.parametrize(
    ("more", "fewer"),
    [
        ({"seeds": 20}, {"seeds": 5}),
        ({"generators": 5}, {"generators": 3}),
        ({"patients": 600}, {"patients": 118}),
    ],
    ids=["seeds", "generators", "patients"],
)
def test_a_larger_study_is_planned_to_find_less(
    more: dict[str, int], fewer: dict[str, int]
) -> None:
    def plan(patients: int = 118, generators: int = 3, seeds: int = 5) -> float:
        replicates = nested(generators, 1, seeds)
        return detectable_difference(0.05, 2 * patients, patients, replicates)

    assert plan(**more) < 0.97 * plan(**fewer)


def test_more_contrasts_are_planned_to_find_larger_differences_only() -> None:
    sizes = [
        detectable_difference(0.05, 184, 118, nested(1, 1, 5), contrasts=count) for count in (1, 8)
    ]
    assert sizes[0] < sizes[1]


def draw_signs(
    rng: np.random.Generator, discordant: float, effect: float, shape: tuple[int, int]
) -> np.ndarray:
    """1, −1 or, mostly, 0: `discordant` of them are not 0, and their mean is `effect`."""
    drawn = rng.random(shape)
    return np.where(
        drawn < (discordant + effect) / 2,
        1.0,
        np.where(drawn > 1 - (discordant - effect) / 2, -1.0, 0.0),
    )


# --- the parts of the variance ---


def spread_of_means(studies: list[DifferenceEstimate]) -> float:
    """The mean variance that studies state, over that which they have."""
    stated = np.mean([((study.high - study.low) / 2 / 1.98) ** 2 for study in studies])
    return float(stated / np.var([study.value for study in studies]))


def test_what_is_of_one_training_and_one_patient_counts_once() -> None:
    """Where nothing but chance in each image makes the difference, its variance is that over all.

    A bootstrap of patients has it, and so have the means of seeds: adding both counts it twice.
    """
    rng, names = np.random.default_rng(0), [str(patient) for patient in range(120)]
    studies = [
        estimate_difference(draw_signs(rng, 0.2, 0.0, (20, 120)), names, nested(1, 1, 20), n=120)
        for _ in range(300)
    ]
    assert 0.85 < spread_of_means(studies) < 1.4


def test_a_patients_images_go_together() -> None:
    rng, names = np.random.default_rng(0), [str(place // 4) for place in range(400)]
    studies = [
        estimate_difference(
            np.repeat(draw_signs(rng, 0.2, 0.0, (1, 100)), 4, axis=1), names, nested(1, 1, 1), n=400
        )
        for _ in range(300)
    ]
    assert 0.85 < spread_of_means(studies) < 1.15


def test_equal_seeds_count_once() -> None:
    values, names = (
        draw_signs(np.random.default_rng(0), 0.2, 0.0, (1, 50)),
        list(map(str, range(50))),
    )
    once = estimate_difference(values, names, nested(1, 1, 1), n=50)
    five = estimate_difference(np.repeat(values, 5, axis=0), names, nested(1, 1, 5), n=50)
    assert (five.low, five.high, five.p) == pytest.approx((once.low, once.high, once.p))


def test_a_single_generator_of_each_fold_is_in_the_interval() -> None:
    """Folds that differ by more than their patients and seeds explain make the interval wide."""
    rng, folds = np.random.default_rng(0), np.arange(200) % 5
    names = [str(patient) for patient in range(200)]
    covered = []
    for _ in range(200):
        luck = rng.normal(0, 0.04, 5)
        drawn = draw_signs(rng, 0.1, 0.0, (3, 200)) + luck[folds]
        difference = estimate_difference(drawn, names, nested(1, 1, 3), n=200, folds=folds)
        covered.append(difference.low <= 0 <= difference.high)
    assert np.mean(covered) >= 0.92


def test_subsets_are_in_the_interval() -> None:
    rng, covered = np.random.default_rng(0), []
    replicates = [Replicate(u, 0, 0, seed) for u in range(4) for seed in range(3)]
    for _ in range(200):
        luck = np.repeat(rng.normal(0, 0.04, 4), 3)[:, None]
        drawn = draw_signs(rng, 0.1, 0.0, (12, 200)) + luck
        difference = estimate_difference(drawn, list(map(str, range(200))), replicates, n=200)
        covered.append(difference.low <= 0 <= difference.high)
    assert np.mean(covered) >= 0.92


def test_seeds_that_are_missing_in_a_generator_are_refused() -> None:
    with pytest.raises(ValueError, match="expected as many of each seed in each"):
        estimate_difference(np.zeros((3, 4)), list("abcd"), nested(2, 1, 2)[:3], n=4)


@pytest.mark.parametrize(
    ("generators", "folds", "subject"),
    [(1, 1, "images"), (2, 1, "images"), (3, 1, "method"), (1, 2, "images"), (1, 3, "method")],
)
def test_of_what_a_verdict_speaks(generators: int, folds: int, subject: str) -> None:
    assert speaks_of(nested(generators, 2, 5), folds) == subject


def test_an_arm_without_generators_speaks_of_its_method() -> None:
    assert speaks_of([Replicate(None, None, None, seed) for seed in range(5)]) == "method"
