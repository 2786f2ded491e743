"""Differentiable augmentation of everything the discriminator sees (Zhao et al. 2020, DiffAugment).

Reals and fakes pass through the same transformations, so the generator is not taught to make
augmented images. Brightness, contrast, translation and cutout; no flips, since the heart has a side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

BRIGHTNESS = 0.2  # added, in units of the −1..1 range
CONTRAST = (0.7, 1.3)  # factor around the image mean
TRANSLATION = 1 / 8  # of the side, each way
CUTOUT = 3 / 8  # side of the blanked square, of the image side


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Randomly changed copies of images (B, 1, S, S) in about −1..1, each drawn independently from `generator`."""
    batch, _, size, _ = images.shape
    device = images.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, 1, 1, 1, generator=generator, device=device) * (high - low) + low

    mean = images.mean(dim=(2, 3), keepdim=True)
    images = (images - mean) * uniform(*CONTRAST) + mean + uniform(-BRIGHTNESS, BRIGHTNESS)

    reach = int(size * TRANSLATION)
    shift = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator, device=device)
    along = torch.arange(size, device=device)
    rows, columns = along + shift[0], along + shift[1]  # (B, S)
    padded = pad(images, (reach, reach, reach, reach))
    batches = torch.arange(batch, device=device)[:, None, None]
    images = padded[batches, 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1)  # (B, 1, S, S)

    side = int(size * CUTOUT)
    corner = torch.randint(-side // 2, size - side // 2, (2, batch, 1), generator=generator, device=device)
    inside_rows = (along >= corner[0]) & (along < corner[0] + side)  # (B, S)
    inside_columns = (along >= corner[1]) & (along < corner[1] + side)
    hole = inside_rows[:, :, None] & inside_columns[:, None, :]
    return images.masked_fill(hole.unsqueeze(1), 0.0)
