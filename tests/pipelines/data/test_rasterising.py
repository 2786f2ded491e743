"""Polygons and run lengths to masks, held against matplotlib, areas and COCO's own encoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from pipelines.data.rasterising import fill_paths, fill_runs, parse_runs

HEIGHT, WIDTH = 24, 30
LUNGS_IN_COCO = "T9=h06L2M4N0O2O00000001N102L3N4JU:0lE4M2N2N2O00000001N2N2N3L\\8"  # pycocotools 2.0
# Off the grid of pixel centres, so that no centre lies on an edge
x_values = st.integers(-3, WIDTH + 3).map(lambda number: number + 0.137)
y_values = st.integers(-3, HEIGHT + 3).map(lambda number: number + 0.261)
points = st.lists(st.tuples(x_values, y_values), min_size=3, max_size=8)


def centres() -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


@given(st.lists(st.tuples(x_values, y_values), min_size=3, max_size=3))
def test_a_triangle_has_the_pixels_that_matplotlib_finds_in_it(triangle: list) -> None:
    path = np.array(triangle)
    inside = Path(path).contains_points(centres()).reshape(HEIGHT, WIDTH)
    assert (fill_paths([path], HEIGHT, WIDTH) == inside).all()


@given(points, st.floats(-3, WIDTH + 3))
def test_a_polygon_and_the_rest_of_the_picture_share_no_pixel_and_miss_none(
    polygon: list, cut: float
) -> None:
    path = np.array(polygon)
    whole = rectangle(0, 0, WIDTH, HEIGHT)
    mask = fill_paths([path], HEIGHT, WIDTH)
    assert (fill_paths([whole, path], HEIGHT, WIDTH) == ~mask).all()
    left, right = rectangle(0, 0, cut, HEIGHT), rectangle(cut, 0, WIDTH, HEIGHT)
    assert fill_paths([left, right], HEIGHT, WIDTH).all()


def test_a_large_ellipse_has_its_area() -> None:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    path = np.stack([200 + 150 * np.cos(angle), 160 + 120 * np.sin(angle)], axis=1)
    assert fill_paths([path], 320, 400).sum() == pytest.approx(np.pi * 150 * 120, rel=1e-3)


def test_a_path_within_another_is_a_hole() -> None:
    mask = fill_paths([rectangle(2, 2, 12, 12), rectangle(4, 4, 7, 9)], HEIGHT, WIDTH)
    assert mask.sum() == 100 - 15
    assert mask[3, 3]
    assert not mask[5, 5]


def test_run_lengths_go_down_the_columns() -> None:
    expected = np.array([[False, True], [True, False], [True, False]])
    assert (fill_runs([1, 3, 2], 3, 2) == expected).all()


def test_compressed_run_lengths_are_those_of_coco() -> None:
    rows, columns = np.mgrid[:40, :50]
    right = ((rows - 18) / 14) ** 2 + ((columns - 14) / 8) ** 2 < 1
    left = ((rows - 20) / 12) ** 2 + ((columns - 36) / 7) ** 2 < 1
    assert (fill_runs(parse_runs(LUNGS_IN_COCO), 40, 50) == (right | left)).all()


@pytest.mark.parametrize(
    ("counts", "problem"),
    [([1, 3], "add up to 4"), ([], "add up to 0"), ([7, -1], "negative|add up")],
)
def test_runs_that_do_not_fill_the_picture_are_refused(counts: list[int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        fill_runs(counts, 3, 2)


@pytest.mark.parametrize(("text", "problem"), [("T9=é", "no character"), ("T", "within a number")])
def test_what_is_no_text_of_runs_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_runs(text)
