"""Intervals that cover what they promise, and verdicts that are right as often as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.compare.statistics import estimate, verdict

SEEDS, PATIENTS, PER_PATIENT = 3, 60, 2


def study(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, list[str]]:
    """Paired differences of correctness (seeds, images), with luck of patients and of trainings in them."""
    patients = np.repeat(np.arange(PATIENTS), PER_PATIENT)
    of_patient = rng.normal(0, 0.12, PATIENTS)[patients]
    of_seed = rng.normal(0, 0.01, (SEEDS, 1))
    chance = np.clip(effect + of_patient + of_seed, -0.9, 0.9)
    sign = np.sign(chance) * (rng.random((SEEDS, len(patients))) < np.abs(chance))
    return sign, [str(patient) for patient in patients]


def test_no_effect_is_rarely_called_one_and_a_large_one_mostly() -> None:
    rng = np.random.default_rng(0)
    everything = np.ones(PATIENTS * PER_PATIENT, bool)
    verdicts = {}
    for effect in (0.0, 0.12):
        found = []
        for _ in range(150):
            values, patients = study(rng, effect)
            found.append(verdict(estimate(values, everything, patients, -1.0)))
        verdicts[effect] = {name: found.count(name) / len(found) for name in ("helps", "hurts", "cannot tell")}
    assert verdicts[0.0]["helps"] <= 0.05 and verdicts[0.0]["hurts"] <= 0.05
    assert verdicts[0.12]["helps"] >= 0.8 and verdicts[0.12]["hurts"] == 0


def test_what_it_says_of_itself() -> None:
    values, patients = study(np.random.default_rng(1), 0.1)
    counted = np.arange(values.shape[1]) % 3 > 0
    found = estimate(values, counted, patients, -1.0)
    assert found.mean == pytest.approx(values[:, counted].mean())
    assert found.per_seed == pytest.approx(values[:, counted].mean(axis=1))
    assert found.interval[0] < found.mean < found.interval[1]
    reach = found.mean - found.interval[0]
    assert reach < found.detectable < 2 * reach


def test_a_share_stays_a_share() -> None:
    values = np.ones((3, 10))
    values[0, 0] = 0
    found = estimate(values, np.ones(10, bool), list("abcdefghij"), 0.0)
    assert found.interval[1] == 1.0 and found.interval[0] < found.mean
    perfect = estimate(np.ones((3, 10)), np.ones(10, bool), list("abcdefghij"), 0.0)
    assert perfect.interval == (1.0, 1.0) and perfect.detectable == 0
