"""Augmentation is a differentiable function of its random numbers that keeps left and right."""

from __future__ import annotations

import pytest
import torch

from gan.augment import DRAWS, augment


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
