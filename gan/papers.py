"""The networks of two papers, to compare with and to repeat: DCGAN and CovidGAN.

DCGAN (Radford et al. 2016): transposed and strided 4×4 convolutions, BatchNorm everywhere but at
the generator's output and the discriminator's input, weights from N(0, 0.02). It knows no classes,
so there is one pair of networks per class.

CovidGAN (Waheed et al. 2020, sections III-A and III-B; an AC-GAN, Odena et al. 2017): a label
embedding of 50 becomes a 7×7 map beside 1024 maps of noise, then four 5×5 stride-2 transposed
convolutions to 112 px; the discriminator has five 3×3 convolutions with BatchNorm and Dropout, a
validity head and a class head. The paper gives the discriminator's size, about 2 M, and not its
widths: 32 to 512 here, at strides 2, 1, 2, 1, 2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

LABEL_EMBEDDING = 50  # of CovidGAN's generator
FIRST_SIDE = 7  # of the maps that CovidGAN's generator begins with
LAST_SIDE = 14  # of the maps that CovidGAN's discriminator ends with

Network = TypeVar("Network", bound=nn.Module)


class PerClass(nn.Module):
    """One network per class behind the interface of a conditional one.

    forward: x (B, …) and labels (B,) to (B, …), each row by the network of its label.
    """

    def __init__(self, classes: int, build: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(build() for _ in range(classes))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        order = torch.argsort(labels, stable=True)
        counts = torch.bincount(labels, minlength=len(self.networks)).tolist()
        parts = [
            network(part)
            for network, part in zip(self.networks, x[order].split(counts), strict=True)
            if len(part)
        ]
        return torch.cat(parts)[torch.argsort(order)]


def dcgan_generator(
    *, image_size: int, channels: int, latent_size: int, width: int
) -> nn.Sequential:
    """Build DCGAN's generator with fresh random weights.

    It takes latents (B, latent_size) to images (B, channels, image_size, image_size) in −1..1.
    """
    doublings = int(math.log2(image_size // 4))
    widths = [width * 2 ** (doublings - 1 - level) for level in range(doublings)]
    layers: list[nn.Module] = [
        nn.Unflatten(1, (latent_size, 1, 1)),
        nn.ConvTranspose2d(latent_size, widths[0], 4, 1, 0, bias=False),
    ]
    for before, after in itertools.pairwise([*widths, channels]):
        layers += [
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
        ]
    return _initialise(nn.Sequential(*layers, nn.Tanh()))


def dcgan_discriminator(
    *, image_size: int, channels: int, width: int, outputs: int = 1
) -> nn.Sequential:
    """Build DCGAN's discriminator with fresh random weights.

    It takes images (B, channels, image_size, image_size) to one logit each (B,), or to several
    outputs (B, outputs).
    """
    halvings = int(math.log2(image_size // 4))
    widths = [width * 2**level for level in range(halvings)]
    layers: list[nn.Module] = [
        nn.Conv2d(channels, widths[0], 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for before, after in itertools.pairwise(widths):
        layers += [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return _initialise(
        nn.Sequential(
            *layers,
            nn.Conv2d(widths[-1], outputs, 4, 1, 0, bias=False),
            nn.Flatten(0 if outputs == 1 else 1),
        )
    )


class CovidGanGenerator(nn.Module):
    """Latents (B, latent_size) and labels (B,) to images (B, channels, 112, 112) in −1..1."""

    def __init__(self, *, channels: int, classes: int, latent_size: int, width: int) -> None:
        super().__init__()
        self.label = nn.Sequential(
            nn.Embedding(classes, LABEL_EMBEDDING),
            nn.Linear(LABEL_EMBEDDING, FIRST_SIDE**2),
            nn.Unflatten(1, (1, FIRST_SIDE, FIRST_SIDE)),
        )
        self.noise = nn.Sequential(
            nn.Linear(latent_size, 8 * width * FIRST_SIDE**2),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (8 * width, FIRST_SIDE, FIRST_SIDE)),
        )
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([8 * width + 1, 4 * width, 2 * width, width]):
            layers += [
                nn.ConvTranspose2d(before, after, 5, 2, 2, output_padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        self.blocks = nn.Sequential(
            *layers, nn.ConvTranspose2d(width, channels, 5, 2, 2, output_padding=1), nn.Tanh()
        )
        _initialise(self)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        maps = torch.cat(
            [self.noise(latents), self.label(labels)], dim=1
        )  # (B, 8 · width + 1, 7, 7)
        return self.blocks(maps)


class CovidGanDiscriminator(nn.Module):
    """Images (B, channels, 112, 112) to validity logits (B,) and class logits (B, classes).

    The labels are not looked at.
    """

    def __init__(self, *, channels: int, classes: int, width: int) -> None:
        super().__init__()
        widths = [channels] + [width // 4 * 2**level for level in range(5)]
        layers: list[nn.Module] = []
        for (before, after), stride in zip(
            itertools.pairwise(widths), (2, 1, 2, 1, 2), strict=True
        ):
            layers += [
                nn.Conv2d(before, after, 3, stride, 1),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Dropout(0.5),
            ]
        self.blocks = nn.Sequential(*layers, nn.Flatten())
        features = widths[-1] * LAST_SIDE**2
        self.validity = nn.Linear(features, 1)
        self.classes = nn.Linear(features, classes)
        _initialise(self)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.blocks(images)  # (B, 14² · widths[-1])
        return self.validity(features).squeeze(1), self.classes(features)


def _initialise(network: Network) -> Network:
    """Initialise as DCGAN: weights N(0, 0.02), BatchNorm's scales N(1, 0.02), biases zero."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
    return network
