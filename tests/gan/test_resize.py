"""Resizing is Pillow's, and linear."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from gan.resize import enlarge, resize
from pipelines.study.image_io import to_square


def random_levels(side: int) -> np.ndarray:
    return np.random.default_rng(side).uniform(0, 255, (side, side)).astype(np.float32)


@pytest.mark.parametrize(
    ("before", "after"), [(128, 64), (512, 256), (128, 16), (256, 112), (16, 64), (64, 64)]
)
def test_it_is_pillows_filter(before: int, after: int) -> None:
    levels = random_levels(before)
    expected = Image.fromarray(levels).resize((after, after), Image.Resampling.BICUBIC)
    resized = resize(torch.from_numpy(levels)[None, None], after)
    assert resized.shape == (1, 1, after, after)
    assert np.abs(resized[0, 0].numpy() - np.asarray(expected)).max() < 1e-3


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_enlarging_is_bilinear(factor: int) -> None:
    images = torch.from_numpy(random_levels(16))[None, None].expand(2, 3, -1, -1)
    expected = interpolate(images, scale_factor=factor, mode="bilinear")
    assert torch.allclose(enlarge(images, factor), expected, rtol=1e-5)


def test_a_picture_is_halved_as_reals_are_read() -> None:
    """But for what Pillow rounds between rows and columns."""
    picture = (80 + 0.4 * random_levels(128)).astype(np.uint8)
    halved = resize(torch.from_numpy(picture).float()[None, None], 64)[0, 0]
    difference = halved.round().clamp(0, 255).numpy() - to_square(picture, 64)
    assert np.abs(difference).max() <= 2
    assert np.abs(difference).mean() < 0.3


def test_it_keeps_what_is_even() -> None:
    even = torch.full((2, 3, 40, 40), 0.25)
    torch.testing.assert_close(resize(even, 20), torch.full((2, 3, 20, 20), 0.25))
