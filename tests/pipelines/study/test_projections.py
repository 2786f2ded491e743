"""One rule for the names of views, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.study.projections import projection_kind

FRONTAL = (
    *("PA", "AP", "ap", "P.A.", "AP Supine", "AP semi erect", "PA view", "AP_PORTABLE"),
    *("postero-anterior", "Anteroposterior", "frontal", "Chest PA"),
)
NOT_FRONTAL = (
    *("L", "LL", "RL", "Lat", "LATERAL", "lateral view", "LEFT LATERAL", "left-lateral"),
    *("Chest lateral", "latéral", "LLAT", "Axial", "Coronal"),
)
UNKNOWN = ("OBLIQUE", "AP/LAT", "PA and lateral", "LEFT LATERAL DECUBITUS", "LLD", "R", "3", "片")


@pytest.mark.parametrize("view", FRONTAL)
def test_frontal_views_are_frontal(view: str) -> None:
    assert projection_kind(view) == "frontal"


@pytest.mark.parametrize("view", NOT_FRONTAL)
def test_lateral_views_and_sections_are_not_frontal(view: str) -> None:
    assert projection_kind(view) == "not frontal"


@pytest.mark.parametrize("view", UNKNOWN)
def test_other_names_are_unknown(view: str) -> None:
    assert projection_kind(view) == "unknown"


@pytest.mark.parametrize("view", ["", " ", "-", "?"])
def test_a_name_of_no_word_states_no_view(view: str) -> None:
    assert projection_kind(view) == "not stated"


@given(
    st.sampled_from(FRONTAL + NOT_FRONTAL + UNKNOWN),
    st.sampled_from((str.upper, str.lower, str.title)),
    st.sampled_from(("", " ", "  ", "_")),
)
def test_case_and_space_around_do_not_matter(
    view: str, change: Callable[[str], str], space: str
) -> None:
    assert projection_kind(f"{space}{change(view)}{space}") == projection_kind(view)
