"""Numbers with their intervals are written for readers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.estimate import Estimate, significant

ACCURACY = Estimate(0.9, 0.85, 0.94, 184)


def test_an_estimate_is_written_with_its_interval() -> None:
    assert ACCURACY.text(".2f") == "0.90 [0.85, 0.94]"
    assert ACCURACY.percent() == "90.0 [85.0, 94.0]"


@given(st.floats(1e-4, 1e14), st.booleans())
def test_three_digits_are_written_without_an_exponent(number: float, is_negative: bool) -> None:
    signed = -number if is_negative else number
    assert float(significant(signed)) == pytest.approx(signed, rel=0.00501)
    assert "e" not in significant(signed)
