from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, interpolate

from gan import ema
from gan.augment import augment
from gan.config import IMAGE_SIZES, GanConfig
from gan.losses import discriminator_loss, generator_loss, gradient_penalty
from gan.networks import Discriminator, Generator, UpsampleConv


@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("classes", [1, 3])
def test_shapes(size: int, classes: int) -> None:
    labels = torch.arange(4) % classes
    images = Generator(image_size=size, classes=classes, latent_size=8, width=4)(torch.randn(4, 8), labels)
    assert images.shape == (4, 1, size, size) and images.abs().max() <= 1
    assert Discriminator(image_size=size, classes=classes, width=4)(images, labels).shape == (4,)


def test_the_fused_upsampling_is_the_plain_one() -> None:
    layer = UpsampleConv(5, 7).double()
    x = torch.randn(2, 5, 6, 6, dtype=torch.float64)
    plain = conv2d(interpolate(x, scale_factor=2, mode="nearest"), layer.weight, padding=1)
    torch.testing.assert_close(layer(x), plain, rtol=1e-12, atol=1e-12)


def test_losses_have_their_known_values() -> None:
    zero = torch.zeros(4)
    assert discriminator_loss(zero, zero).item() == pytest.approx(0.693147, abs=1e-5)
    real, fake = torch.tensor([3.0]), torch.tensor([1.0])
    assert discriminator_loss(real, fake).item() == pytest.approx(0.126928, abs=1e-5)
    assert generator_loss(real, fake).item() == pytest.approx(2.126928, abs=1e-5)


def test_the_penalty_estimates_half_the_squared_gradient_norm() -> None:
    torch.manual_seed(0)
    direction = torch.randn(256)
    x = torch.randn(40_000, 256)
    shifted = x + 0.05 * torch.randn_like(x)
    estimate = gradient_penalty(x @ direction, shifted @ direction, 0.05)
    assert estimate.item() == pytest.approx(direction.square().sum().item() / 2, rel=0.03)


def test_augmentation_is_drawn_from_its_generator_and_lets_gradients_through() -> None:
    images = torch.rand(6, 1, 32, 32, requires_grad=True)
    first, again = (augment(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again) and first.shape == images.shape
    assert not torch.equal(first, augment(images, torch.Generator().manual_seed(4)))
    first.sum().backward()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_augmentation_keeps_left_and_right() -> None:
    """A bright left half stays left: the heart has a side."""
    images = torch.full((64, 1, 32, 32), -1.0)
    images[..., :16] = 1.0
    seen = augment(images, torch.Generator().manual_seed(0))
    assert (seen[..., 4:12].mean(dim=(1, 2, 3)) > seen[..., 20:28].mean(dim=(1, 2, 3))).all()


def test_the_averaged_generator_has_statistics_of_its_own() -> None:
    torch.manual_seed(0)
    average = Generator(image_size=32, classes=2, latent_size=8, width=4)
    for parameter in average.parameters():
        parameter.data *= 2  # weights that no running statistics belong to
    network = ema.recalibrated(average, torch.tensor([30, 10]), 64, seed=0)
    latents, labels = torch.randn(256, 8), (torch.arange(256) % 4 == 0).long()
    in_training = average.train()(latents, labels)
    in_evaluation = network(latents, labels)
    assert not network.training
    assert (in_training - in_evaluation).abs().mean() < 0.05
    assert (in_training - average.eval()(latents, labels)).abs().mean() > 0.05


def test_the_average_follows_its_definition() -> None:
    average, network = (Generator(image_size=32, classes=1, latent_size=4, width=2) for _ in range(2))
    expected = [0.9 * a + 0.1 * b for a, b in zip(average.parameters(), network.parameters())]
    ema.update(average, network, 0.9)
    for got, wanted in zip(average.parameters(), expected):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("wrong", [{"image_size": 48}, {"steps": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"penalty": -1.0}, {"ema_decay": 1.0}])
def test_a_wrong_option_is_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"--{next(iter(wrong)).replace('_', '-')}"):
        GanConfig(**wrong)
