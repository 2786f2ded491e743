"""Forward and backward GAN: F&BGAN (Zhao et al. 2018, Symmetry 10, 519), by DCGAN's networks.

Two stages (its abstract): a forward GAN draws diverse images from noise, then a backward GAN
improves their quality: an encoder gives the latents of real images, from which the generator draws
them again.

How the stages are filled is ours, since the paper's networks are for CT patches of nodules: DCGAN's
pair of networks for each class; an encoder that mirrors its discriminator, its codes brought to the
radius √latent_size where noise lives; the second stage begins at half of the steps, and its steps
are backward and forward in turn, so that the generator goes on drawing from noise, from which
samples are drawn. A backward step adds to the generator's loss RECONSTRUCTION times the mean
absolute difference from the real that was encoded.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from gan.config import GanConfig
from gan.papers import PerClass, dcgan_discriminator, dcgan_generator

FORWARD_SHARE = 0.5  # of the steps, before the backward stage
RECONSTRUCTION = 10.0


def is_backward(config: GanConfig, step: int, time_share: float) -> bool:
    """Say whether a step, counted from 0, draws from encoded reals.

    time_share: how much of the time limit is over, 0 where there is none.
    """
    share = max(step / config.steps, time_share)
    return config.preset == "fbgan" and share >= FORWARD_SHARE and step % 2 == 0


class Generator(nn.Module):
    """Latents (B, latent_size) and labels (B,) to images (B, channels, S, S) in −1..1.

    One network per class, and beside it one that encodes.
    """

    def __init__(
        self, *, image_size: int, channels: int, classes: int, latent_size: int, width: int
    ) -> None:
        super().__init__()
        shape = {"image_size": image_size, "channels": channels, "width": width}
        self.latent_size = latent_size
        self.draw = PerClass(classes, lambda: dcgan_generator(latent_size=latent_size, **shape))
        self.encoder = PerClass(classes, lambda: dcgan_discriminator(outputs=latent_size, **shape))

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.draw(latents, labels)

    def encode(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return latents (B, latent_size) of real images (B, channels, S, S)."""
        codes = self.encoder(images, labels).float()
        return codes * (math.sqrt(self.latent_size) / (codes.norm(dim=1, keepdim=True) + 1e-8))


def pull_to_reals(fakes: Tensor, reals: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a backward step adds to the generator's loss, (), and its gradient by the fakes.

    Args:
        fakes: (B, C, S, S), a leaf of the graph.
        reals: Those from whose codes the fakes are drawn, (B, C, S, S).
    """
    loss = RECONSTRUCTION * l1_loss(fakes, reals)
    return loss, torch.autograd.grad(loss, fakes)[0]
