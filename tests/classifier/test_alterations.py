"""What is taken away is gone, and what is left is what is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from scipy.ndimage import gaussian_filter

from classifier.alterations import ALTERATIONS, GRAY, WHOLE, blurred, lung_template
from pipelines.data import thorax

BY_NAME = {alteration.name: alteration for alteration in ALTERATIONS}


def random_images(n: int, size: int, seed: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (n, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("size", [32, 64, 112, 100])
def test_every_alteration_gives_images_of_the_same_kind_and_leaves_the_originals(size: int) -> None:
    images = random_images(3, size, 0)
    before = images.clone()
    for alteration in ALTERATIONS:
        changed = alteration(images)
        assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
        assert torch.equal(images, before)
        assert torch.equal(changed, images) == (alteration is WHOLE)


def test_the_template_covers_the_lungs_of_phantoms() -> None:
    """Whose lungs are known."""
    inside, shares = lung_template(128).numpy(), []
    for seed in range(40):
        rng, film_rng = default_rng(seed), default_rng(seed + 1000)
        body = thorax.draw_anatomy(rng, film_rng)
        air = thorax.lung_air(thorax.place(body, rng, film_rng, 128), body, rng)
        shares.append(air[inside].sum() / air.sum())
    assert np.mean(shares) > 0.98
    assert min(shares) > 0.93


def test_nothing_covered_comes_through() -> None:
    one, other = random_images(2, 64, 1), random_images(2, 64, 2)
    ring = torch.ones(64, 64, dtype=torch.bool)
    ring[3:-3, 3:-3] = False
    for name, left, fill in (("lungs-covered", ~lung_template(64), 0), ("border-only", ring, GRAY)):
        assert torch.equal(BY_NAME[name](torch.where(left, one, other)), BY_NAME[name](one)), name
        changed = BY_NAME[name](one)
        assert torch.equal(changed[..., left], one[..., left])
        assert (changed[..., ~left] == fill).all()


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
    np.testing.assert_allclose(blurred(images, sigma).numpy(), expected, atol=1e-3)
