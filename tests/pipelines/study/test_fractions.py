"""Fractions of the reals as the command line and files have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.study.fractions import (
    RealFraction,
    fraction_text,
    of_all_classes,
    parse_fraction,
    sort_fractions,
    split_fraction,
)
from runtime.options import OptionError


@pytest.mark.parametrize(
    ("text", "fraction"),
    [
        ("0.1", 0.1),
        ("1", 1.0),
        ("covid=0.1", "covid=0.1"),
        (" covid = 0.10", "covid=0.1"),
        ("covid=1", 1.0),
        ("a=b=0.5", "a=b=0.5"),
    ],
)
def test_a_fraction_is_of_all_classes_or_of_one(text: str, fraction: RealFraction) -> None:
    assert parse_fraction(text) == fraction


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.sampled_from(["covid", "a b", "é"]))
def test_a_fraction_comes_back_from_its_parts(share: float, label: str) -> None:
    fraction = parse_fraction(f"{label}={share!r}")
    assert split_fraction(fraction) == (label, share)
    assert parse_fraction(fraction_text(fraction)) == fraction


@pytest.mark.parametrize(
    "text", ["", "half", "0", "1.5", "nan", "-1", "covid=", "covid", "covid=0", "covid=2", "=0.5"]
)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected shares of the real images") as refused:
        parse_fraction(text, "real_fractions")
    assert refused.value.field == "real_fractions"


def test_all_images_come_last() -> None:
    fractions: list[RealFraction] = [1.0, "covid=0.1", 0.5, "covid=0.05", 0.1]
    assert sort_fractions(fractions) == [0.1, 0.5, "covid=0.05", "covid=0.1", 1.0]
    assert of_all_classes(fractions) == [0.1, 0.5, 1.0]
