"""Differentiable augmentation of everything the discriminator sees (Zhao et al. 2020, DiffAugment).

Reals and fakes pass through the same transformations, so the generator is not taught to make
augmented images. Translation, and a little brightness and contrast; no flips, since the heart has a side, and no cutout, which
costs a small budget more than it saves (the README has the figures).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

BRIGHTNESS = 0.1  # added, in units of the −1..1 range
CONTRAST = (0.85, 1.15)  # factor around the image mean
TRANSLATION = 1 / 8  # of the side, each way
DRAWS = 4  # random numbers per image


def augment(images: Tensor, draws: Tensor) -> Tensor:
    """Changed copies of images (B, C, S, S) in about −1..1, each by its own row of draws (B, DRAWS) from U(0, 1)."""
    batch, _, size, _ = images.shape
    brightness, contrast = draws[:, 0].view(-1, 1, 1, 1), draws[:, 1].view(-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    low, high = CONTRAST
    images = (
        (images - mean) * (low + (high - low) * contrast) + mean + BRIGHTNESS * (2 * brightness - 1)
    )

    reach = int(size * TRANSLATION)
    shift = (
        (draws[:, 2:4] * (2 * reach + 1)).long().clamp(max=2 * reach)
    )  # (B, 2); rounding may reach the bound
    along = torch.arange(size, device=images.device)
    rows, columns = along + shift[:, :1], along + shift[:, 1:]  # (B, S)
    padded = pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)  # (B, H, W, C)
    batches = torch.arange(batch, device=images.device)[:, None, None]
    return padded[batches, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )  # (B, C, S, S)
