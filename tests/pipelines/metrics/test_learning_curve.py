"""A learning curve read backwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.metrics.learning_curve import never_falling, place_on_curve, size_at

SIZES = [50, 100, 200, 400]


@pytest.mark.parametrize(
    ("accuracy", "place", "reals"),
    [
        (0.8, 0, 50),
        (0.85, 1, 100),
        (0.825, 0.5, np.sqrt(50 * 100)),
        (0.875, 2.5, np.sqrt(200 * 400)),
        (0.95, np.inf, 400),
        (0.7, -np.inf, 50),
    ],
    ids=["the fewest", "a plateau", "between", "beyond a plateau", "above", "below"],
)
def test_a_learning_curve_is_read_backwards(accuracy: float, place: float, reals: float) -> None:
    found = place_on_curve(accuracy, np.array([0.8, 0.85, 0.85, 0.9]))
    assert found == pytest.approx(place)
    assert size_at(found, SIZES) == pytest.approx(reals)


def test_a_curve_that_falls_is_made_level() -> None:
    assert never_falling([0.8, 0.9, 0.86, 0.95]) == pytest.approx([0.8, 0.88, 0.88, 0.95])


@given(st.lists(st.floats(0.5, 1), min_size=2, max_size=5), st.floats(0.4, 1.1), st.floats(0, 0.2))
def test_more_accuracy_is_worth_no_fewer_reals(
    values: list[float], level: float, more: float
) -> None:
    curve = never_falling(values)
    assert place_on_curve(level, curve) <= place_on_curve(level + more, curve)
