"""Networks take and give the shapes they say, and those of the papers have their sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from gan.config import IMAGE_SIZES, GanConfig
from gan.networks import Discriminator, Generator, UpsampleConv
from gan.presets import build_discriminator, build_generator, parameter_counts

TINY: dict[str, Any] = {"image_size": 32, "channels": 1, "classes": 2, "width": 4}


@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize("classes", [1, 3])
def test_shapes(size: int, classes: int) -> None:
    labels = torch.arange(4) % classes
    shape: dict[str, Any] = {"image_size": size, "sides": [size], "classes": classes}
    shape |= {"channels": 1, "width": 4}
    images = Generator(**shape, latent_size=8)(torch.randn(4, 8), labels)
    assert images.shape == (4, 1, size, size)
    assert images.abs().max() <= 1
    assert Discriminator(**shape)(images, labels).shape == (4,)


def test_the_fused_upsampling_is_the_plain_one() -> None:
    layer = UpsampleConv(5, 7).double()
    x = torch.randn(2, 5, 6, 6, dtype=torch.float64)
    doubled = interpolate(x, scale_factor=2, mode="nearest")
    plain = conv2d(doubled, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), plain, rtol=1e-12, atol=1e-12)


@pytest.fixture(scope="module")
def reals_and_samples() -> tuple[Tensor, Tensor]:
    """Coarse features of reals (2, 150, 64) and of samples before any training (2, 1000, 64)."""
    torch.manual_seed(0)
    patterns = interpolate(torch.randn(2, 6, 4, 4), size=32, mode="bilinear")  # six per class
    labels = torch.arange(300) % 2
    varied = torch.einsum("nk,nkhw->nhw", torch.randn(300, 6), patterns[labels])
    images = torch.tanh(0.2 * varied + 0.3 * labels[:, None, None]).unsqueeze(1)
    network = Generator(sides=[32], **TINY, latent_size=16)
    network.fit_pca(images, labels)
    with torch.no_grad():
        samples = network(torch.randn(2000, 16), torch.arange(2000) % 2)
    reals, fakes = (avg_pool2d(part, 4).flatten(1) for part in (images, samples))
    return (
        torch.stack([reals[label::2] for label in (0, 1)]),
        torch.stack([fakes[label::2] for label in (0, 1)]),
    )


@pytest.mark.parametrize("label", [0, 1])
def test_the_generator_starts_with_the_mean_of_each_class(
    reals_and_samples: tuple[Tensor, Tensor], label: int
) -> None:
    reals, samples = (part[label].mean(dim=0) for part in reals_and_samples)
    assert (reals - samples).abs().mean() < 0.05


@pytest.mark.parametrize("label", [0, 1])
def test_the_generator_starts_with_the_covariance_of_each_class(
    reals_and_samples: tuple[Tensor, Tensor], label: int
) -> None:
    covariances = torch.stack([torch.cov(part[label].T).flatten() for part in reals_and_samples])
    assert torch.corrcoef(covariances)[0, 1] > 0.9


def test_an_image_depends_on_its_own_latent_alone() -> None:
    network = Generator(sides=[32], **TINY, latent_size=8)
    latents, labels = torch.randn(6, 8), torch.arange(6) % 2
    torch.testing.assert_close(network(latents, labels)[2:4], network(latents[2:4], labels[2:4]))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_dcgan_has_the_size_of_the_paper() -> None:
    assert parameter_counts(GanConfig.from_options(preset="dcgan"), 1) == {
        "generator": 3_576_704,
        "discriminator": 2_765_568,
    }


@pytest.mark.parametrize(
    ("network", "low", "high"),
    [("generator", 21.5e6, 22.5e6), ("discriminator", 1.8e6, 2.2e6)],
)
def test_covidgan_has_about_the_size_of_the_paper(network: str, low: float, high: float) -> None:
    assert low < parameter_counts(GanConfig.from_options(preset="covidgan"), 2)[network] < high


@pytest.mark.parametrize("preset", ["dcgan", "fbgan", "covidgan"])
def test_a_generator_of_the_papers_takes_latents_and_labels(preset: str) -> None:
    config = GanConfig.from_options(preset=preset, width=8)
    latents, labels = torch.randn(3, config.latent_size), torch.tensor([1, 0, 1])
    images = build_generator(config, 2)(latents, labels)
    assert images.shape == (3, 3, config.image_size, config.image_size)
    assert images.abs().max() <= 1


@pytest.mark.parametrize(
    ("preset", "shapes"), [("dcgan", [(3,)]), ("fbgan", [(3,)]), ("covidgan", [(3,), (3, 2)])]
)
def test_a_discriminator_of_the_papers_takes_images_and_labels(
    preset: str, shapes: list[tuple[int, ...]]
) -> None:
    config = GanConfig.from_options(preset=preset, width=8)
    images = torch.randn(3, 3, config.image_size, config.image_size)
    logits = build_discriminator(config, 2)(images, torch.tensor([1, 0, 1]))
    heads = [logits] if isinstance(logits, Tensor) else logits
    assert [head.shape for head in heads] == shapes


def test_each_class_has_its_own_pair_in_dcgan() -> None:
    config = GanConfig.from_options(preset="dcgan", width=4)
    network = build_discriminator(config, 2).eval()
    images, labels = torch.randn(5, 3, 64, 64), torch.tensor([1, 0, 1, 1, 0])
    expected = torch.stack(
        [
            network.networks[label](image[None])[0]
            for image, label in zip(images, labels.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(network(images, labels), expected)
