"""From a configuration to the networks and the game of its preset."""

from __future__ import annotations

from torch import nn

from gan import fbgan, papers, pggan
from gan.config import GanConfig
from gan.losses import Adversarial, Game, Relativistic, Wasserstein
from gan.networks import Discriminator, Generator


def build_generator(config: GanConfig, classes: int) -> nn.Module:
    """Build the preset's generator for this number of classes, with fresh random weights.

    It takes latents (B, latent_size) and labels (B,) to images
    (B, channels, image_size, image_size) in −1..1.
    """
    shape = {"channels": config.channels, "latent_size": config.latent_size, "width": config.width}
    if config.preset == "dcgan":
        return papers.PerClass(
            classes, lambda: papers.dcgan_generator(image_size=config.image_size, **shape)
        )
    if config.preset == "fbgan":
        return fbgan.Generator(image_size=config.image_size, classes=classes, **shape)
    if config.preset == "covidgan":
        return papers.CovidGanGenerator(classes=classes, **shape)
    network = pggan.Generator if config.preset == "pggan" else Generator
    return network(image_size=config.image_size, sides=config.sides, classes=classes, **shape)


def build_discriminator(config: GanConfig, classes: int) -> nn.Module:
    """Build the preset's discriminator for this number of classes, with fresh random weights.

    It takes images (B, channels, image_size, image_size) and labels (B,) to logits (B,); for
    covidgan to a pair of them and class logits (B, classes).
    """
    shape = {"channels": config.channels, "width": config.width}
    if config.preset in ("dcgan", "fbgan"):
        return papers.PerClass(
            classes, lambda: papers.dcgan_discriminator(image_size=config.image_size, **shape)
        )
    if config.preset == "covidgan":
        return papers.CovidGanDiscriminator(classes=classes, **shape)
    network = pggan.Discriminator if config.preset == "pggan" else Discriminator
    return network(image_size=config.image_size, sides=config.sides, classes=classes, **shape)


def build_game(config: GanConfig) -> Game:
    """Return the losses by which the preset trains."""
    if config.preset == "pggan":
        return Wasserstein(config.penalty)
    if config.preset == "small-data":
        return Relativistic(config.penalty, config.image_size)
    return Adversarial()


def is_steady(config: GanConfig) -> bool:
    """Say whether each step of a training does the same with other numbers.

    It does not where networks grow, have layers with random numbers of their own, or are penalised
    by second derivatives, as those of the papers are.
    """
    return config.preset == "small-data" and not config.stage_steps


def parameter_counts(config: GanConfig, classes: int) -> dict[str, int]:
    """Count the trained numbers of "generator" and "discriminator".

    For dcgan and fbgan these are of one pair of networks, of which each class has its own.
    """
    if config.preset in ("dcgan", "fbgan"):
        classes = 1
    return {
        "generator": count_parameters(build_generator(config, classes)),
        "discriminator": count_parameters(build_discriminator(config, classes)),
    }


def count_parameters(network: nn.Module) -> int:
    """Count the trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())
