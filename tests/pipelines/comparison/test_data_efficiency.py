"""What synthetic images are worth in real ones: a learning curve read backwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.comparison.data_efficiency import images_for


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
