"""Black borders: what is measured in images is what samples have."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gan.borders import SIDES, Borders, measure_borders
from gan.networks import Generator

SIZE = 64
DEEPEST = 19  # three tenths of it


def draw_films(depths: Tensor) -> Tensor:
    """Draw bright images (N, SIZE, SIZE) uint8 with black borders (N, SIDES)."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(60, 200, (len(depths), SIZE, SIZE), generator=random).to(torch.uint8)
    for image, (left, right, top, bottom) in zip(images, depths.tolist(), strict=True):
        image[:, :left] = image[:, SIZE - right :] = 3
        image[:top] = image[SIZE - bottom :] = 0
    return images


border = st.integers(0, DEEPEST)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(border, border, border, border), min_size=1, max_size=6))
def test_borders_are_measured_and_drawn_as_they_are(wanted: list[tuple[int, ...]]) -> None:
    depths = torch.tensor(wanted)
    assert measure_borders(draw_films(depths)).equal(depths)
    borders = Borders(classes=1)
    drawn = borders(torch.zeros(len(depths), 1, SIZE, SIZE), depths / SIZE)
    assert measure_borders(((drawn.squeeze(1) + 1) * 127.5).to(torch.uint8)).equal(depths)


def test_a_letter_in_a_border_does_not_end_it_and_a_dark_image_is_no_border() -> None:
    films = draw_films(torch.tensor([[0, 0, 5, 0], [0, 0, 0, 0]]))
    films[0, 2, 7] = 255
    films[1] = 5
    assert measure_borders(films).tolist() == [[0, 0, 5, 0], [0] * SIDES]


BORDERS = torch.tensor([4, 0, 0, 6])


@pytest.fixture(scope="module")
def generator() -> Generator:
    """A generator before any training: a fifth of the films of class 1 have borders."""
    number = torch.arange(400)
    depths = (number % 10 == 1).unsqueeze(1) * BORDERS
    torch.manual_seed(0)
    network = Generator(
        image_size=SIZE, sides=[SIZE // 2, SIZE], channels=1, classes=2, latent_size=8, width=4
    )
    network.borders.fit(draw_films(depths).unsqueeze(1), number % 2)
    return network


@torch.no_grad()
def measure_samples(network: Generator, latents: Tensor, label: int) -> Tensor:
    labels = torch.full((len(latents),), label)
    pictures = network(latents, labels).squeeze(1)
    return measure_borders(((pictures + 1) * 127.5).to(torch.uint8))


@pytest.mark.parametrize(("label", "share"), [(0, 0.0), (1, 0.2)])
def test_samples_have_borders_as_often_as_the_images_of_their_class(
    generator: Generator, label: int, share: float
) -> None:
    depths = measure_samples(generator, torch.randn(2000, 8), label)
    has_borders = (depths == BORDERS).all(dim=1)
    assert (has_borders | (depths == 0).all(dim=1)).all(), "these borders or none"
    assert has_borders.double().mean() == pytest.approx(share, abs=0.04)


def test_which_borders_a_sample_has_is_a_matter_of_its_latent_not_of_its_scale(
    generator: Generator,
) -> None:
    latents = torch.randn(200, 8)
    ones, wider = (measure_samples(generator, scale * latents, 1) for scale in (1, 1.25))
    assert ones.equal(wider)
    assert ones.any()


def test_borders_grow_with_the_picture(generator: Generator) -> None:
    latents = torch.randn(200, 8)
    grown = measure_samples(generator, latents, 1)
    generator.train().growth = 0.0
    small = measure_samples(generator, latents, 1)
    generator.growth = 1.0
    assert (2 * small).equal(grown)
    assert small.any()


def test_nothing_is_learned_under_a_border() -> None:
    images = torch.rand(2, 1, SIZE, SIZE, requires_grad=True)
    drawn = Borders(classes=1)(images, torch.tensor([[0.25, 0, 0, 0], [0, 0, 0, 0]]))
    drawn.sum().backward()
    assert images.grad is not None
    assert images.grad[0, 0, :, : SIZE // 4].eq(0).all()
    assert images.grad[0, 0, :, SIZE // 4 :].eq(1).all()
    assert images.grad[1].eq(1).all()
