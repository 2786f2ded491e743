"""The fall of a measure from one test set to another, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from pipelines.metrics.independent_sets import Sample, estimate_fall
from pipelines.metrics.paired_tests import Replicate


def seeds(count: int, generators: int = 1) -> list[Replicate]:
    return [
        Replicate(None, generator, None, seed)
        for generator in range(generators)
        for seed in range(count)
    ]


def sample(values: np.ndarray, per_patient: int = 1) -> Sample:
    """Make a test set of values (R, N), so many images of each patient."""
    count = values.shape[1]
    return Sample(values, [str(place // per_patient) for place in range(count)], count)


def test_of_one_classifier_it_is_the_test_of_welch() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.random((1, 40)) < 0.9, rng.random((1, 12)) < 0.6
    fall = estimate_fall(sample(inside.astype(float)), sample(outside.astype(float)), seeds(1))
    welch = ttest_ind(inside[0], outside[0], equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert fall.value == pytest.approx(inside.mean() - outside.mean())
    assert (fall.low, fall.high) == pytest.approx((interval.low, interval.high))


def test_what_lifts_a_classifier_in_both_sets_is_not_in_the_interval() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.random((5, 60)), rng.random((5, 30))
    luck = 0.2 * np.arange(5)[:, None]
    plain = estimate_fall(sample(inside), sample(outside), seeds(5))
    lifted = estimate_fall(sample(inside + luck), sample(outside + luck), seeds(5))
    opposed = estimate_fall(sample(inside + luck), sample(outside - luck), seeds(5))
    assert lifted.high - lifted.low == pytest.approx(plain.high - plain.low)
    assert opposed.high - opposed.low > 2 * (plain.high - plain.low)


@pytest.mark.parametrize(
    ("replicates", "generator_luck"), [(seeds(5), 0.0), (seeds(3, 4), 0.05)], ids=["seeds", "both"]
)
def test_the_interval_covers_the_truth(replicates: list[Replicate], generator_luck: float) -> None:
    rng, truth, covered = np.random.default_rng(0), 0.9 - 0.65, 0
    for _ in range(120):
        samples = []
        for share, patients in ((0.9, 50), (0.65, 25)):
            of_patient = rng.normal(0, 0.15, patients).repeat(2)
            of_generator = rng.normal(0, generator_luck, 4)
            of_seed = rng.normal(0, 0.02, 5)
            luck = [of_generator[own.generator or 0] + of_seed[own.seed] for own in replicates]
            values = share + of_patient + np.array(luck)[:, None]
            samples.append(sample(values + rng.normal(0, 0.2, values.shape), per_patient=2))
        fall = estimate_fall(samples[0], samples[1], replicates)
        covered += fall.low <= truth <= fall.high
    assert covered / 120 >= 0.9


@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_it_exists_for_any_sets_and_lies_in_its_interval(
    count: int, inside: int, outside: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sets = [sample((rng.random((count, size)) < 0.7).astype(float)) for size in (inside, outside)]
    fall = estimate_fall(sets[0], sets[1], seeds(count))
    assert -1 <= fall.low <= fall.value <= fall.high <= 1
    assert fall.low < fall.high
    assert fall.n == inside + outside
