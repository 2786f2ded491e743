from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pipelines.study.lung_shape import (
    Box,
    box_of,
    clean_mask,
    dice,
    find_doubts,
    iou,
    split_lungs,
)

masks = arrays(bool, (6, 8))
GRAY = np.tile(np.arange(100, dtype=np.uint8), (100, 1))  # darker on the left


def two_lungs(right: float = 1.0, left: float = 1.0) -> np.ndarray:
    """Return lungs of 24×70 px on a film of 100×100, or shorter ones."""
    mask = np.zeros((100, 100), bool)
    mask[10 : 10 + round(70 * right), 15:39] = True
    mask[10 : 10 + round(70 * left), 61:85] = True
    return mask


@given(masks, masks)
def test_dice_and_iou_are_one_measure_in_two_scales(mask: np.ndarray, other: np.ndarray) -> None:
    assert dice(mask, other) == dice(other, mask)
    assert dice(mask, mask) == iou(mask, mask) == 1
    overlap = iou(mask, other)
    assert dice(mask, other) == pytest.approx(2 * overlap / (1 + overlap))


def test_dice_and_iou_by_hand() -> None:
    mask, other = np.array([[True, True, False]]), np.array([[False, True, True]])
    assert dice(mask, other) == 0.5
    assert iou(mask, other) == pytest.approx(1 / 3)


@given(masks)
def test_a_box_holds_its_mask_and_no_row_more(mask: np.ndarray) -> None:
    box = box_of(mask)
    if box is None:
        assert not mask.any()
        return
    inside = mask[box.top : box.bottom, box.left : box.right]
    assert inside.sum() == mask.sum()
    assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_the_lung_on_the_left_of_the_film_is_the_right_one() -> None:
    right, left = split_lungs(two_lungs())
    assert box_of(right) == Box(15, 10, 39, 80)
    assert box_of(left) == Box(61, 10, 85, 80)


def test_a_lung_alone_is_of_the_side_it_is_on() -> None:
    right, left = split_lungs(two_lungs(right=0))
    assert not right.any()
    assert left.any()


def test_cleaning_fills_holes_and_drops_specks() -> None:
    mask = two_lungs()
    mask[30:33, 20:23] = False
    mask[95:98, 50:53] = True
    assert (clean_mask(mask) == two_lungs()).all()


def test_two_lungs_are_not_in_doubt() -> None:
    assert find_doubts(two_lungs(), GRAY, agreement=0.99) == []


@pytest.mark.parametrize(
    ("mask", "agreement", "doubt"),
    [
        (np.zeros((100, 100), bool), 1.0, "no lung found"),
        (two_lungs(0.2, 0.2), 1.0, "covers 7 % of the film"),
        (np.ones((100, 100), bool), 1.0, "covers 100 % of the film"),
        (two_lungs(right=0), 1.0, "one lung only"),
        (two_lungs(right=0.4), 1.0, "0.40 times the area"),
        (two_lungs(0.3, 0.3), 1.0, "a lung is wider than tall"),
        (two_lungs(), 0.8, "mirrored and shifted (Dice 0.80)"),
    ],
)
def test_what_does_not_look_like_lungs_is_said(
    mask: np.ndarray, agreement: float, doubt: str
) -> None:
    assert doubt in "; ".join(find_doubts(mask, GRAY, agreement))


def test_lungs_as_dark_as_in_a_ct_are_in_doubt() -> None:
    gray = np.where(two_lungs(), 0, 200).astype(np.uint8)
    assert "darker than the rest" in "; ".join(find_doubts(two_lungs(), gray))


@pytest.mark.parametrize(("blur", "is_sharp"), [(0, True), (5, False)])
def test_lungs_that_are_cut_and_not_shone_through_are_in_doubt(blur: float, is_sharp: bool) -> None:
    lungs = ndimage.gaussian_filter(np.where(two_lungs(), 60.0, 20.0), blur)
    doubts = find_doubts(two_lungs(), (lungs + GRAY / 4).astype(np.uint8))
    assert doubts == ["an outline as sharp as in a section of a CT"] * is_sharp
