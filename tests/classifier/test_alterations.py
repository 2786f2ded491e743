"""What is taken away is gone, and what is left is what is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from scipy.ndimage import gaussian_filter
from torch import Tensor

from classifier.alterations import ALTERATIONS, FILL_GRAY, WHOLE, Alteration, blur, lung_template
from pipelines.data import thorax

BY_NAME = {alteration.name: alteration for alteration in ALTERATIONS}
each_alteration = pytest.mark.parametrize("alteration", ALTERATIONS, ids=list(BY_NAME))


def random_images(n: int, size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, size, size), dtype=torch.uint8, generator=generator)


def draw_lungs(n: int, size: int) -> Tensor:
    """Two boxes for lungs in each of n images, bool (n, 1, size, size)."""
    lungs = torch.zeros(n, 1, size, size, dtype=torch.bool)
    lungs[..., size // 4 : 3 * size // 4, size // 8 : 3 * size // 8] = True
    lungs[..., size // 4 : 5 * size // 8, 5 * size // 8 : 7 * size // 8] = True
    return lungs


def border_mask(size: int, width: int) -> Tensor:
    """True at the outermost `width` pixels."""
    mask = torch.ones(size, size, dtype=torch.bool)
    mask[width:-width, width:-width] = False
    return mask


@pytest.mark.parametrize("size", [32, 64, 112, 100])
@each_alteration
def test_an_altered_image_is_of_the_same_kind(alteration: Alteration, size: int) -> None:
    images = random_images(3, size, 0)
    altered = alteration(images, draw_lungs(3, size))
    assert (altered.shape, altered.dtype) == (images.shape, torch.uint8)


@each_alteration
def test_the_originals_are_left_alone(alteration: Alteration) -> None:
    images = random_images(3, 64, 0)
    before = images.clone()
    alteration(images, draw_lungs(3, 64))
    assert torch.equal(images, before)


@each_alteration
def test_every_alteration_but_the_first_changes_something(alteration: Alteration) -> None:
    images = random_images(3, 64, 0)
    altered = alteration(images, draw_lungs(3, 64))
    assert torch.equal(altered, images) == (alteration is WHOLE)


def test_the_template_covers_the_lungs_of_phantoms() -> None:
    """Whose lungs are known."""
    template, covered = lung_template(128).numpy(), []
    for seed in range(40):
        rng, film_rng = default_rng(seed), default_rng(seed + 1000)
        body = thorax.draw_anatomy(rng, film_rng)
        air = thorax.draw_lung_air(thorax.place_patient(body, rng, film_rng, 128), body, rng)
        covered.append(air[template].sum() / air.sum())
    assert np.mean(covered) > 0.98
    assert min(covered) > 0.93


@pytest.mark.parametrize(
    ("name", "kept", "fill"),
    [
        pytest.param("lungs-covered", ~lung_template(64), 0, id="lungs-covered"),
        pytest.param("border-only", border_mask(64, 3), FILL_GRAY, id="border-only"),
    ],
)
class TestCovering:
    """Of alterations that cover a part of the image."""

    def test_nothing_covered_comes_through(self, name: str, kept: Tensor, fill: int) -> None:
        images, others = random_images(2, 64, 1), random_images(2, 64, 2)
        mixed = torch.where(kept, images, others)
        assert torch.equal(BY_NAME[name](mixed), BY_NAME[name](images))

    def test_the_rest_is_as_it_was(self, name: str, kept: Tensor, fill: int) -> None:
        images = random_images(2, 64, 1)
        assert torch.equal(BY_NAME[name](images)[..., kept], images[..., kept])

    def test_what_is_covered_has_one_gray(self, name: str, kept: Tensor, fill: int) -> None:
        assert (BY_NAME[name](random_images(2, 64, 1))[..., ~kept] == fill).all()


def test_masks_take_the_lungs_away_or_leave_nothing_else() -> None:
    images, lungs = random_images(2, 64, 1), draw_lungs(2, 64)
    masked, alone = (BY_NAME[name](images, lungs) for name in ("lungs-masked", "lungs-only"))
    assert (masked[lungs] == FILL_GRAY).all()
    assert torch.equal(masked[~lungs], images[~lungs])
    assert (alone[~lungs] == FILL_GRAY).all()
    assert torch.equal(alone[lungs], images[lungs])


def test_the_outline_alone_has_nothing_of_the_image() -> None:
    lungs = draw_lungs(2, 64)
    outlines = [BY_NAME["outline-only"](random_images(2, 64, seed), lungs) for seed in (1, 2)]
    assert torch.equal(*outlines)
    assert torch.equal(outlines[0] == 255, lungs)


def test_the_box_is_the_smallest_around_both_lungs() -> None:
    images = random_images(2, 64, 1)
    alone = BY_NAME["box-only"](images, draw_lungs(2, 64))
    box = (slice(None), slice(None), slice(16, 48), slice(8, 56))
    assert torch.equal(alone[box], images[box])
    outside = torch.ones_like(images, dtype=torch.bool)
    outside[box] = False
    assert (alone[outside] == FILL_GRAY).all()


def test_of_an_image_in_few_pixels_only_the_means_of_fields_are_left() -> None:
    images = random_images(2, 64, 3)
    shuffled = images.view(2, 1, 8, 8, 8, 8).flip(3, 5).reshape(images.shape)  # within each field
    assert not torch.equal(images, shuffled)
    assert torch.equal(BY_NAME["few-pixels"](images), BY_NAME["few-pixels"](shuffled))


@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_blur_is_scipy_s(sigma: float) -> None:
    images = random_images(2, 48, 4).float()
    expected = gaussian_filter(
        images.numpy(),
        (0, 0, 48 * sigma, 48 * sigma),
        mode="nearest",
        radius=(0, 0, *2 * (int(np.ceil(4 * 48 * sigma)),)),
    )
    np.testing.assert_allclose(blur(images, sigma).numpy(), expected, atol=1e-3)
