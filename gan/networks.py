"""Generator and discriminator of a class-conditional DCGAN.

The shape is DCGAN's (Radford et al. 2016): a projected latent grows from 4×4 by doublings, and a
mirror of strided 4×4 convolutions judges it. Three departures, each for small data:
nearest-neighbour upsampling and a 3×3 convolution in place of free transposed convolutions (Odena
et al. 2016: no checkerboards), no normalisation in the discriminator (its gradients are penalised
instead), and classes enter by an embedding beside the latent and by projection (Miyato & Koyama
2018, eq. 3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad


class UpsampleConv(nn.Conv2d):
    """Nearest-neighbour doubling and a 3×3 convolution, computed as one transposed convolution.

    Of the nine taps at an output pixel several fall on the same input pixel. Summing those taps first
    gives a 4×4 kernel at stride 2 with the same result in 4/9 of the arithmetic (Karras et al. 2018,
    progressive GAN, the "fused scale" of its code).
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        taps = pad(self.weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))  # (before, after, 5, 5)
        kernel = taps[:, :, 1:, 1:] + taps[:, :, :-1, 1:] + taps[:, :, 1:, :-1] + taps[:, :, :-1, :-1]
        return conv_transpose2d(x, kernel, stride=2, padding=1)


class Generator(nn.Module):
    """Latents (B, latent_size) and labels (B,) to images (B, 1, image_size, image_size) in −1..1."""

    def __init__(self, *, image_size: int, classes: int, latent_size: int, width: int) -> None:
        super().__init__()
        doublings = int(math.log2(image_size // 4))
        widths = [width * min(2 ** (doublings - 1 - level), 8) for level in range(doublings)]
        last = max(width // 2, 1)  # full resolution is where arithmetic is dearest
        self.latent_size = latent_size
        self.embedding = nn.Embedding(classes, latent_size)
        self.project = nn.Linear(2 * latent_size, widths[0] * 16)
        self.start = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.LeakyReLU(0.2, inplace=True))
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    UpsampleConv(before, after),
                    nn.BatchNorm2d(after),
                    nn.LeakyReLU(0.2, inplace=True),
                )
                for before, after in zip(widths, widths[1:] + [last])
            )
        )
        self.to_image = nn.Conv2d(last, 1, 3, padding=1)
        initialise(self)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        x = self.project(torch.cat([latents, self.embedding(labels)], dim=1))
        x = x.unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)  # (B, widths[0], 4, 4)
        x = self.blocks(self.start(x))  # (B, width // 2, S, S)
        return torch.tanh(self.to_image(x).float())  # float32: bfloat16 would leave 256 gray levels in bands


class Discriminator(nn.Module):
    """Images (B, 1, S, S) and labels (B,) to one logit each (B,), in float32."""

    def __init__(self, *, image_size: int, classes: int, width: int) -> None:
        super().__init__()
        halvings = int(math.log2(image_size // 4))
        widths = [1] + [width * min(2**level, 8) for level in range(halvings)]
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True))
                for before, after in zip(widths, widths[1:])
            )
        )
        features = widths[-1] * 16
        self.validity = nn.Linear(features, 1)
        self.embedding = nn.Embedding(classes, features)
        initialise(self)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(features))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = self.blocks(images).flatten(1)  # (B, 16 · widths[-1])
        with torch.autocast(images.device.type, enabled=False):
            features = features.float()
            return self.validity(features).squeeze(1) + (self.embedding(labels) * features).sum(1)


def initialise(network: nn.Module) -> None:
    """Weights that keep the scale of activations through the layers (He et al. 2015), biases zero.

    PyTorch's defaults shrink it at every layer, and a discriminator without normalisation that starts faint has
    little to teach: the generator ignores its latents for hundreds of steps.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.2)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)
