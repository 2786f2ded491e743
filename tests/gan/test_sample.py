"""Samples are what they say: sample i depends on the generator, the seed and i alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gan.sample import BLOCK, TrainedGenerator, draw_interpolation, sample_block
from tests.gan.tiny_training import load_best, run_training


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> TrainedGenerator:
    """A generator of a few steps."""
    folder: Path = tmp_path_factory.mktemp("generator")
    return load_best(run_training(folder))


def test_a_block_is_gray_images_of_8_bit(generator: TrainedGenerator) -> None:
    images = sample_block(generator, [0, 1], 0, 1)
    assert images.shape == (BLOCK, 32, 32)
    assert images.dtype == np.uint8


def test_a_block_does_not_depend_on_those_before(generator: TrainedGenerator) -> None:
    second = sample_block(generator, [0, 1], 0, 1)
    sample_block(generator, [0, 1], 7, 0)
    assert np.array_equal(second, sample_block(generator, [0, 1], 0, 1))


@pytest.mark.parametrize(
    ("seed", "block"), [pytest.param(1, 1, id="seed"), pytest.param(0, 0, id="block")]
)
def test_another_seed_or_block_draws_other_images(
    generator: TrainedGenerator, seed: int, block: int
) -> None:
    images = sample_block(generator, [0, 1], 0, 1)
    assert not np.array_equal(images, sample_block(generator, [0, 1], seed, block))


def test_a_walk_goes_from_one_image_to_another(generator: TrainedGenerator) -> None:
    walk = draw_interpolation(generator, 0, 5, 0).astype(float)
    assert walk.shape == (5, 32, 32)
    steps = np.abs(np.diff(walk, axis=0)).mean(axis=(1, 2))
    assert steps.max() < np.abs(walk[-1] - walk[0]).mean()
