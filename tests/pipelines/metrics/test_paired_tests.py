"""Intervals that cover what they promise, and verdicts that are right as often as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from pipelines.data.phantom import cases, draw
from pipelines.metrics.paired_tests import (
    Replicate,
    detectable,
    estimate,
    holm,
    mcnemar,
    spread,
    verdict,
)
from pipelines.study.image_io import to_square

PATIENTS, PER_PATIENT = 60, 2


def nested(generators: int, draws: int, seeds: int) -> list[Replicate]:
    return [
        Replicate(g, d, s) for g in range(generators) for d in range(draws) for s in range(seeds)
    ]


def study(
    rng: np.random.Generator,
    effect: float,
    replicates: list[Replicate],
    levels: tuple[float, float, float],
) -> tuple[np.ndarray, list[str]]:
    """Paired differences of correctness (R, images), with luck of patients, generators, draws and trainings in them."""
    patients = np.repeat(np.arange(PATIENTS), PER_PATIENT)
    of_patient = rng.normal(0, 0.1, PATIENTS)[patients]
    of_generator, of_draw, of_seed = (
        rng.normal(0, levels[0], 9),
        rng.normal(0, levels[1], (9, 9)),
        rng.normal(0, levels[2], 9),
    )
    luck = np.array(
        [
            of_generator[one.generator] + of_draw[one.generator, one.draw] + of_seed[one.seed]
            for one in replicates
        ]
    )
    chance = np.clip(effect + of_patient + luck[:, None], -0.9, 0.9)
    sign = np.sign(chance) * (rng.random(chance.shape) < np.abs(chance))
    return sign, [str(patient) for patient in patients]


@pytest.mark.parametrize(
    ("replicates", "levels"),
    [
        (nested(1, 1, 3), (0, 0, 0.01)),
        (nested(3, 1, 5), (0.03, 0, 0.005)),
        (nested(1, 3, 5), (0, 0.03, 0.01)),
        (nested(3, 2, 3), (0.01, 0.02, 0.01)),
    ],
    ids=["seeds", "generators", "draws", "all"],
)
def test_no_effect_is_rarely_called_one_and_a_large_one_mostly(
    replicates: list[Replicate], levels: tuple[float, float, float]
) -> None:
    rng, everything, verdicts = np.random.default_rng(0), np.ones(PATIENTS * PER_PATIENT, bool), {}
    for effect in (0.0, 0.12):
        found = []
        for _ in range(60):
            values, patients = study(rng, effect, replicates, levels)
            difference = estimate(values, everything, patients, replicates, -1.0)
            found.append(verdict(difference.mean, difference.p))
        verdicts[effect] = {
            name: found.count(name) / len(found) for name in ("helps", "hurts", "cannot tell")
        }
    assert verdicts[0.0]["helps"] <= 0.05
    assert verdicts[0.0]["hurts"] <= 0.06
    assert verdicts[0.12]["helps"] >= 0.8
    assert verdicts[0.12]["hurts"] == 0


def test_on_phantoms_redrawn_reals_are_rarely_called_a_help_and_fresh_ones_mostly() -> None:
    """60 studies of each kind: 20 training phantoms and 240 beside them, either the same ones drawn again or ones of other patients.

    The classifier is discriminant analysis of 40 principal components at 16 px, for speed; benchmarks/verdicts.py has the cnn.
    """
    drawn = cases(640, 11)
    x = PCA(40, random_state=0).fit_transform(
        np.stack([to_square(draw(case, 11, 64), 16).ravel() for case in drawn]) / 255
    )
    y, patients = (
        np.array([case.label == "covid" for case in drawn]),
        np.array([case.patient for case in drawn]),
    )
    rng, found = np.random.default_rng(0), {"redrawn": [], "fresh": []}
    replicates = nested(1, 3, 1)

    def right(training: np.ndarray, test: np.ndarray) -> np.ndarray:
        fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(
            x[training], y[training]
        )
        return (fitted.predict(x[test]) == y[test]).astype(float)

    for _ in range(60):
        order = rng.permutation(patients.max() + 1)
        places = [
            np.flatnonzero(np.isin(patients, part))
            for part in np.array_split(order, [len(order) * 3 // 5])
        ]
        pool, test = places
        reals = np.concatenate(
            [rng.permutation(pool[y[pool] == side])[:10] for side in (True, False)]
        )
        others = np.setdiff1d(pool, reals)
        alone = right(reals, test)
        for name, source, replace in (("redrawn", reals, True), ("fresh", others, False)):
            with_more = np.stack(
                [
                    right(np.concatenate([reals, rng.choice(source, 240, replace=replace)]), test)
                    for _ in replicates
                ]
            )
            difference = estimate(
                with_more - alone,
                np.ones(len(test), bool),
                [str(one) for one in patients[test]],
                replicates,
                -1.0,
            )
            found[name].append(verdict(difference.mean, difference.p))
    assert found["redrawn"].count("helps") <= 3, found["redrawn"]
    assert found["fresh"].count("helps") >= 48, found["fresh"]


def test_what_it_says_of_itself() -> None:
    replicates = nested(1, 1, 3)
    values, patients = study(np.random.default_rng(1), 0.1, replicates, (0, 0, 0.01))
    counted = np.arange(values.shape[1]) % 3 > 0
    found = estimate(values, counted, patients, replicates, -1.0)
    assert found.mean == pytest.approx(values[:, counted].mean())
    assert found.per_replicate == pytest.approx(values[:, counted].mean(axis=1))
    assert found.interval[0] < found.mean < found.interval[1]
    reach = found.mean - found.interval[0]
    assert reach < found.detectable < 2 * reach
    assert (found.p < 0.05) == (found.interval[0] > 0)


def test_a_share_stays_a_share() -> None:
    values = np.ones((3, 10))
    values[0, 0] = 0
    found = estimate(values, np.ones(10, bool), list("abcdefghij"), nested(1, 1, 3), 0.0)
    assert found.interval[1] == 1.0
    assert found.interval[0] < found.mean
    assert found.p is None
    perfect = estimate(
        np.ones((3, 10)), np.ones(10, bool), list("abcdefghij"), nested(1, 1, 3), 0.0
    )
    assert perfect.interval == (1.0, 1.0)
    assert perfect.detectable == 0


def test_each_level_gets_its_own_variance() -> None:
    rng, replicates = np.random.default_rng(2), nested(3, 4, 5)
    truth, found = (0.03, 0.02, 0.01), []
    for _ in range(300):
        of_generator, of_draw = rng.normal(0, truth[0], 3), rng.normal(0, truth[1], (3, 4))
        found.append(
            spread(
                [
                    of_generator[one.generator]
                    + of_draw[one.generator, one.draw]
                    + rng.normal(0, truth[2])
                    for one in replicates
                ],
                replicates,
            )
        )
    for name, value in zip(("generators", "draws", "seeds"), truth):
        assert np.sqrt(np.mean([one[name] ** 2 for one in found])) == pytest.approx(
            value, rel=0.12
        ), name
    alone = spread([0.9, 0.92, 0.94], [Replicate(None, None, seed) for seed in range(3)])
    assert alone == {"generators": None, "draws": None, "seeds": pytest.approx(0.02)}


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5]) == [0.5]
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(
        before <= after <= min(1.0, len(p) * before) + 1e-12 for before, after in zip(p, adjusted)
    )
    assert all(
        adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] <= p[j]
    )


def test_mcnemar_by_the_binomial() -> None:
    arm, real = (
        np.array([1] * 9 + [0] * 2 + [1] * 30, bool),
        np.array([0] * 9 + [1] * 2 + [1] * 30, bool),
    )
    found = mcnemar(arm, real)
    assert (found.only_arm, found.only_real) == (9, 2)
    assert found.p == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert mcnemar(arm, arm).p == 1


def test_the_plan_is_kept_by_the_study() -> None:
    """Where two arms disagree about 10 % of the images of as many patients, a true difference of what the plan says is found in about 80 % of studies."""
    rng, patients, seeds, found = np.random.default_rng(3), 200, 5, 0
    effect = detectable(0.1, patients, seeds)
    replicates = [Replicate(None, None, seed) for seed in range(seeds)]
    for _ in range(100):
        once = rng.random(patients)
        sign = np.where(once < (0.1 + effect) / 2, 1.0, np.where(once < 0.1, -1.0, 0.0))
        of_seed = rng.normal(0, 0.01 * np.sqrt(2), (seeds, 1))
        flipped = np.where(rng.random((seeds, patients)) < np.abs(of_seed), np.sign(of_seed), 0.0)
        difference = estimate(
            sign + flipped,
            np.ones(patients, bool),
            [str(one) for one in range(patients)],
            replicates,
            -1.0,
        )
        found += difference.p < 0.05 and difference.mean > 0
    assert 0.65 <= found / 100 <= 0.95
