"""Numbers and settings as they are written for readers."""

from __future__ import annotations

import pytest

from pipelines.report.formats import (
    count,
    dash,
    p_value,
    part,
    percent_range,
    plain,
    points,
    sentence,
    signed,
)
from runtime.estimate import Estimate


@pytest.mark.parametrize(("share", "text"), [(0.0104, "+1.0"), (-0.0096, "−1.0"), (-0.0004, "0.0")])
def test_differences_have_a_sign(share: float, text: str) -> None:
    assert points(share) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(1.0, "all"), (0.025, "2.5\u00a0%"), ("covid=0.1", "covid 10\u00a0%")]
)
def test_a_fraction_says_which_class_is_thinned(fraction: float | str, text: str) -> None:
    assert part(fraction) == text


def test_a_share_does_not_leave_what_is_possible() -> None:
    assert percent_range(Estimate(0.95, 0.9, 1.02, 10)) == "90.0–100.0"


@pytest.mark.parametrize(("number", "text"), [(9999, "9999"), (1234567, "1\u202f234\u202f567")])
def test_large_numbers_are_grouped(number: int, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("p", "text"), [(0.0321, "0.032"), (0.0004, "<\u202f0.001"), (1.0, "1.000")]
)
def test_probabilities_have_three_places(p: float, text: str) -> None:
    assert p_value(p) == text


@pytest.mark.parametrize(("number", "text"), [(37.4, "+37"), (-21, "−21"), (0.3, "0")])
def test_numbers_of_images_have_a_sign(number: float, text: str) -> None:
    assert signed(number) == text


@pytest.mark.parametrize(
    ("text", "expected"), [("few images", "Few images."), ("Really? ", "Really?")]
)
def test_a_sentence_has_a_capital_and_an_end(text: str, expected: str) -> None:
    assert sentence(text) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (None, "–"), ([1, 2], "1, 2"), ({"a": []}, "a –"), (0, "0")],
    ids=repr,
)
def test_settings_are_written_plainly(value: object, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0"), (0.5, "0.5")], ids=repr)
def test_only_none_is_a_dash(value: object, text: str) -> None:
    assert dash(value) == text
