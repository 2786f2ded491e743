"""Augmentation is a differentiable function of its random numbers that keeps left and right."""

from __future__ import annotations

import math

import pytest
import torch

from gan.augment import DRAWS, DRAWS_OF_FEW, MIRRORED, ZOOM, augment, count_draws
from gan.config import FEW_IMAGES


def draw_numbers(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_same_numbers_give_the_same_images(images: torch.Tensor) -> None:
    first, again = (augment(images, draw_numbers(6, 3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == images.shape


def test_other_numbers_give_other_images(images: torch.Tensor) -> None:
    assert not torch.equal(augment(images, draw_numbers(6, 3)), augment(images, draw_numbers(6, 4)))


def test_each_image_is_changed_by_its_own_row(images: torch.Tensor) -> None:
    whole, part = (
        augment(images, draw_numbers(6, 3))[2:4],
        augment(images[2:4], draw_numbers(6, 3)[2:4]),
    )
    assert torch.equal(whole, part)


def test_gradients_reach_every_image(images: torch.Tensor) -> None:
    images.requires_grad_()
    augment(images, draw_numbers(6, 3)).sum().backward()
    assert images.grad is not None
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_a_bright_left_half_stays_left() -> None:
    """The heart has a side."""
    images = torch.full((64, 1, 32, 32), -1.0)
    images[..., :16] = 1.0
    changed = augment(images, draw_numbers(64, 0))
    left, right = (
        changed[..., 4:12].mean(dim=(1, 2, 3)),
        changed[..., 20:28].mean(dim=(1, 2, 3)),
    )
    assert (left > right).all()


def test_nothing_comes_in_from_outside() -> None:
    """Gray beside the borders would be an edge that no image has, and hide what is there."""
    images = torch.rand(64, 1, 1, 1).expand(-1, -1, 32, 32)
    changed = augment(images, draw_numbers(64, 0)).flatten(1)
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))


def test_each_line_is_shifted_as_the_draw_says_and_mirrored_at_the_borders() -> None:
    ramp = torch.arange(32.0).view(1, 1, 32, 1).expand(-1, -1, -1, 32)
    as_far_as_rows_go = torch.tensor([[0.5, 0.5, 0.999, 0.5]])  # and grays as they are
    rows = augment(ramp, as_far_as_rows_go)[0, 0, :, 0]
    expected = [*range(4, 32), 30, 29, 28, 27]
    torch.testing.assert_close(rows, torch.tensor(expected, dtype=torch.float32))


def test_channels_are_treated_alike() -> None:
    gray = torch.rand(5, 1, 32, 32)
    colour = augment(gray.expand(-1, 3, -1, -1), draw_numbers(5, 0))
    torch.testing.assert_close(colour[:, 1], augment(gray, draw_numbers(5, 0))[:, 0])


def with_few_images(
    draws: torch.Tensor, zoom: float, stretch: float, mirror: float
) -> torch.Tensor:
    """The numbers of few images: these for the zoom, the stretching and the mirroring of all."""
    more = torch.tensor([zoom, stretch, mirror]).expand(len(draws), -1)
    return torch.cat([draws, more], dim=1)


def test_fewer_images_take_more_numbers() -> None:
    assert [count_draws(FEW_IMAGES + change) for change in (-1, 0)] == [DRAWS_OF_FEW, DRAWS]


def test_numbers_of_no_change_change_nothing_more(images: torch.Tensor) -> None:
    draws = draw_numbers(6, 3)
    more = augment(images, with_few_images(draws, 0.5, 0.5, 0.9))
    torch.testing.assert_close(more, augment(images, draws))


def test_a_zoom_keeps_the_centre_and_changes_distances_from_it() -> None:
    ramp = torch.arange(33.0).view(1, 1, 33, 1).expand(-1, -1, -1, 33) - 16
    still = torch.full((1, DRAWS), 0.5)
    for zoom, factor in ((0.0, math.exp(-ZOOM)), (1.0, math.exp(ZOOM))):
        changed = augment(ramp, with_few_images(still, zoom, 0.5, 0.9))[0, 0, :, 5]
        torch.testing.assert_close(changed[8:25], factor * ramp[0, 0, 8:25, 5])


def test_less_than_half_are_mirrored(images: torch.Tensor) -> None:
    """So that the side of the heart can be told from them."""
    still = torch.full((6, DRAWS), 0.5)
    mirrored, other = (
        augment(images, with_few_images(still, 0.5, 0.5, MIRRORED + change))
        for change in (-0.01, 0.01)
    )
    torch.testing.assert_close(mirrored, other.flip(3))
    torch.testing.assert_close(other, images)
    assert MIRRORED < 0.5


def test_nothing_comes_in_from_outside_of_few_images_either() -> None:
    images = torch.rand(64, 1, 1, 1).expand(-1, -1, 32, 32)
    draws = torch.rand(64, DRAWS_OF_FEW, generator=torch.Generator().manual_seed(0))
    changed = augment(images, draws).flatten(1)
    torch.testing.assert_close(changed, changed[:, :1].expand_as(changed))
