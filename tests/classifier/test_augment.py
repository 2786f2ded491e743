"""Augmentation changes every image by its own random numbers, within what a film can be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from classifier.augment import augment
from tests.classifier.stripes import stripes


@pytest.fixture
def images() -> Tensor:
    return stripes(6, 0).tensors[0]


@pytest.mark.parametrize(
    ("seed", "is_same"), [pytest.param(1, True, id="same"), pytest.param(2, False, id="another")]
)
def test_it_is_a_function_of_its_generator(images: Tensor, seed: int, is_same: bool) -> None:
    first = augment(images, torch.Generator().manual_seed(1))
    second = augment(images, torch.Generator().manual_seed(seed))
    assert torch.equal(first, second) == is_same


def test_it_keeps_shape_and_range(images: Tensor) -> None:
    changed = augment(images, torch.Generator().manual_seed(1))
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_it_changes_each_image(images: Tensor) -> None:
    changed = augment(images, torch.Generator().manual_seed(1))
    assert (changed - images.float()).abs().mean(dim=(1, 2, 3)).min() > 1


@pytest.mark.parametrize(
    ("flip", "expected"),
    [pytest.param(False, 1.0, id="no-flips"), pytest.param(True, 0.5, id="flips")],
)
def test_only_flips_change_the_side_of_the_heart(flip: bool, expected: float) -> None:
    image = torch.zeros(400, 1, 32, 32, dtype=torch.uint8)
    image[:, :, 12:20, 4:10] = 255
    moved = augment(image, torch.Generator().manual_seed(0), flip=flip)
    left, right = (half.mean(dim=(1, 2, 3)) for half in moved.split(16, dim=3))
    assert (left > right).float().mean().item() == pytest.approx(expected, abs=0.08)
