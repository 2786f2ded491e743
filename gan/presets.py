"""From a configuration to the networks and the game of its preset."""

from __future__ import annotations

from torch import nn

from gan import papers
from gan.config import GanConfig
from gan.losses import Adversarial, Relativistic
from gan.networks import Discriminator, Generator


def build_generator(config: GanConfig, classes: int) -> nn.Module:
    """Latents (B, latent_size) and labels (B,) to images (B, channels, image_size, image_size) in −1..1."""
    shape = {"channels": config.channels, "latent_size": config.latent_size, "width": config.width}
    if config.preset == "dcgan":
        return papers.PerClass(
            classes, lambda: papers.dcgan_generator(image_size=config.image_size, **shape)
        )
    if config.preset == "covidgan":
        return papers.CovidGanGenerator(classes=classes, **shape)
    return Generator(image_size=config.image_size, classes=classes, **shape)


def build_discriminator(config: GanConfig, classes: int) -> nn.Module:
    """Images (B, channels, image_size, image_size) and labels (B,) to what the preset's game judges."""
    shape = {"channels": config.channels, "width": config.width}
    if config.preset == "dcgan":
        return papers.PerClass(
            classes, lambda: papers.dcgan_discriminator(image_size=config.image_size, **shape)
        )
    if config.preset == "covidgan":
        return papers.CovidGanDiscriminator(classes=classes, **shape)
    return Discriminator(image_size=config.image_size, classes=classes, **shape)


def build_game(config: GanConfig) -> Relativistic | Adversarial:
    return Relativistic(config.penalty) if config.preset == "small-data" else Adversarial()


def parameter_counts(config: GanConfig, classes: int) -> dict[str, int]:
    """Trained numbers in the generator and in the discriminator; for dcgan in one pair, of which each class has its own."""
    if config.preset == "dcgan":
        classes = 1
    networks = {
        "generator": build_generator(config, classes),
        "discriminator": build_discriminator(config, classes),
    }
    return {
        name: sum(parameter.numel() for parameter in network.parameters())
        for name, network in networks.items()
    }
