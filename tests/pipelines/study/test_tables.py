"""File names of a table lead to files inside its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.study.tables import check_inside


@pytest.mark.parametrize("name", ["", ".", "/etc/passwd", "../a.png", "a/../../b.png", "a\0.png"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"table\.csv, line 3: file name .* leads out"):
        check_inside(Path("table.csv"), 3, name)


@pytest.mark.parametrize("name", ["a.png", "images/a.png", "./a.png", "a..png", "naïve name.png"])
def test_a_name_inside_the_folder_is_accepted(name: str) -> None:
    check_inside(Path("table.csv"), 3, name)
