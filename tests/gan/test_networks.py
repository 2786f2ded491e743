from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from gan.augment import DRAWS, augment
from gan.config import IMAGE_SIZES, GanConfig
from gan.losses import (
    PROBED,
    Adversarial,
    Relativistic,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from gan.networks import Discriminator, Generator, UpsampleConv
from gan.presets import build_discriminator, build_generator, parameter_counts


@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("classes", [1, 3])
def test_shapes(size: int, classes: int) -> None:
    labels = torch.arange(4) % classes
    images = Generator(image_size=size, channels=1, classes=classes, latent_size=8, width=4)(
        torch.randn(4, 8), labels
    )
    assert images.shape == (4, 1, size, size)
    assert images.abs().max() <= 1
    assert Discriminator(image_size=size, channels=1, classes=classes, width=4)(
        images, labels
    ).shape == (4,)


def test_the_fused_upsampling_is_the_plain_one() -> None:
    layer = UpsampleConv(5, 7).double()
    x = torch.randn(2, 5, 6, 6, dtype=torch.float64)
    plain = conv2d(
        interpolate(x, scale_factor=2, mode="nearest"), layer.weight, layer.bias, padding=1
    )
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
    shift = 0.05 * torch.randn_like(x)
    estimate = gradient_penalty((x + shift) @ direction, (x - shift) @ direction, 0.05)
    assert estimate.item() == pytest.approx(direction.square().sum().item() / 2, rel=0.03)


def test_one_pass_of_the_discriminator_gives_the_generator_its_own_gradient() -> None:
    torch.manual_seed(0)
    network = Discriminator(image_size=32, channels=1, classes=2, width=4)
    real, fake = torch.randn(16, 1, 32, 32), torch.randn(16, 1, 32, 32, requires_grad=True)
    labels, game = torch.arange(16) % 2, Relativistic(penalty=10.0)
    loss, _, gap = game.discriminator(
        network, real, fake, labels, torch.randn(2 * -(-16 // PROBED), 1, 32, 32)
    )
    loss.backward()
    g_loss, gradient = game.generator(network, fake, fake.grad, gap.detach(), labels)
    again = fake.detach().requires_grad_()
    expected = generator_loss(network(real, labels), network(again, labels))
    (by_images,) = torch.autograd.grad(expected, again)
    torch.testing.assert_close(g_loss, expected.detach())
    torch.testing.assert_close(gradient, by_images, rtol=1e-4, atol=1e-6)


def draws(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, DRAWS, generator=torch.Generator().manual_seed(seed))


def test_augmentation_is_a_function_of_its_draws_and_lets_gradients_through() -> None:
    images = torch.rand(6, 1, 32, 32, requires_grad=True)
    first, again = augment(images, draws(6, 3)), augment(images, draws(6, 3))
    assert torch.equal(first, again)
    assert first.shape == images.shape
    assert not torch.equal(first, augment(images, draws(6, 4)))
    assert torch.equal(first[2:4], augment(images[2:4], draws(6, 3)[2:4])), (
        "each image by its own row"
    )
    first.sum().backward()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_augmentation_keeps_left_and_right() -> None:
    """A bright left half stays left: the heart has a side."""
    images = torch.full((64, 1, 32, 32), -1.0)
    images[..., :16] = 1.0
    seen = augment(images, draws(64, 0))
    assert (seen[..., 4:12].mean(dim=(1, 2, 3)) > seen[..., 20:28].mean(dim=(1, 2, 3))).all()


def test_augmentation_treats_channels_alike() -> None:
    gray = torch.rand(5, 1, 32, 32)
    torch.testing.assert_close(
        augment(gray.expand(-1, 3, -1, -1), draws(5, 0))[:, 1], augment(gray, draws(5, 0))[:, 0]
    )


def test_the_generator_starts_as_the_pca_of_each_class() -> None:
    """Means and covariances of its samples at a coarse scale are those of the images, before any training."""
    torch.manual_seed(0)
    scene = torch.nn.functional.interpolate(
        torch.randn(2, 6, 4, 4), size=32, mode="bilinear"
    )  # six patterns per class
    labels = torch.arange(300) % 2
    images = torch.tanh(
        0.2 * torch.einsum("nk,nkhw->nhw", torch.randn(300, 6), scene[labels])
        + 0.3 * labels[:, None, None]
    ).unsqueeze(1)
    network = Generator(image_size=32, channels=1, classes=2, latent_size=16, width=4)
    network.start_from(images, labels)
    with torch.no_grad():
        samples = network(torch.randn(2000, 16), torch.arange(2000) % 2)
    for label in (0, 1):
        reals, fakes = (
            avg_pool2d(x, 4).flatten(1) for x in (images[labels == label], samples[label::2])
        )
        assert (reals.mean(0) - fakes.mean(0)).abs().mean() < 0.05
        assert (
            torch.corrcoef(torch.stack([torch.cov(x.T).flatten() for x in (reals, fakes)]))[0, 1]
            > 0.9
        )


def test_an_image_depends_on_its_own_latent_alone() -> None:
    network = Generator(image_size=32, channels=1, classes=2, latent_size=8, width=4)
    latents, labels = torch.randn(6, 8), torch.arange(6) % 2
    torch.testing.assert_close(network(latents, labels)[2:4], network(latents[2:4], labels[2:4]))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_dcgan_has_the_size_of_the_paper() -> None:
    assert parameter_counts(GanConfig.of(preset="dcgan"), 1) == {
        "generator": 3_576_704,
        "discriminator": 2_765_568,
    }
    config = GanConfig.of(preset="dcgan")
    assert (config.learning_rate, config.beta1, config.batch_size, config.augment) == (
        2e-4,
        0.5,
        128,
        False,
    )


def test_covidgan_has_about_the_size_of_the_paper() -> None:
    counts = parameter_counts(GanConfig.of(preset="covidgan"), 2)
    assert 21.5e6 < counts["generator"] < 22.5e6
    assert 1.8e6 < counts["discriminator"] < 2.2e6
    assert GanConfig.of(preset="covidgan").latent_scale == 0.02


@pytest.mark.parametrize("preset", ["dcgan", "covidgan"])
def test_networks_of_the_papers_take_latents_images_and_labels(preset: str) -> None:
    config = GanConfig.of(preset=preset, width=8)
    labels = torch.tensor([1, 0, 1])
    images = build_generator(config, 2)(torch.randn(3, config.latent_size), labels)
    assert images.shape == (3, 3, config.image_size, config.image_size)
    assert images.abs().max() <= 1
    judged = build_discriminator(config, 2)(images, labels)
    assert (
        [part.shape for part in judged] == [(3,), (3, 2)]
        if preset == "covidgan"
        else judged.shape == (3,)
    )


def test_each_class_has_its_own_pair_in_dcgan() -> None:
    network = build_discriminator(GanConfig.of(preset="dcgan", width=4), 2).eval()
    images, labels = torch.randn(5, 3, 64, 64), torch.tensor([1, 0, 1, 1, 0])
    expected = torch.stack(
        [network.networks[label](image[None])[0] for image, label in zip(images, labels.tolist())]
    )
    torch.testing.assert_close(network(images, labels), expected)


def test_the_auxiliary_game_teaches_classes() -> None:
    """With a class head, confidence in the right class lowers both losses; without one the loss is binary cross-entropy."""

    def judge(right: float) -> torch.nn.Module:
        return lambda images, labels: (
            images.mean(dim=(1, 2, 3)),
            right * torch.nn.functional.one_hot(labels, 2).float(),
        )

    images, labels = torch.zeros(4, 1, 8, 8, requires_grad=True), torch.arange(4) % 2
    sure, wrong = (
        Adversarial().discriminator(judge(value), images, images, labels, images)[0]
        for value in (9.0, -9.0)
    )
    assert sure < wrong
    sure, wrong = (
        Adversarial().generator(judge(value), images, images, images, labels)[0]
        for value in (9.0, -9.0)
    )
    assert sure < wrong
    loss, _, gap = Adversarial().discriminator(
        lambda images, labels: torch.tensor([2.0, -1.0]), images[:2], images[:2], labels[:2], images
    )
    expected = torch.nn.functional.binary_cross_entropy_with_logits
    assert loss.item() == pytest.approx(
        sum(
            expected(torch.tensor([2.0, -1.0]), torch.full((2,), target)).item()
            for target in (1.0, 0.0)
        )
    )
    assert gap.tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 48},
        {"steps": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"penalty": -1.0},
        {"channels": 2},
        {"latent_scale": 0.0},
        {"sampling_scale": 0.0},
        {"cooldown": 1.0},
        {"beta1": 1.0},
        {"preset": "stylegan"},
        {"ema_decay": 1.0},
    ],
)
def test_a_wrong_option_is_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"--{next(iter(wrong)).replace('_', '-')}"):
        GanConfig.of(**wrong)


def test_options_that_a_preset_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="covidgan makes images of 112 px"):
        GanConfig.of(preset="covidgan", image_size=64)
    with pytest.raises(ValueError, match="dcgan has no penalty"):
        GanConfig.of(preset="dcgan", penalty=0.1)
    with pytest.raises(ValueError, match="dcgan has BatchNorm"):
        GanConfig.of(preset="dcgan", ema_decay=0.99)
