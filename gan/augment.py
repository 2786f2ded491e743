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
DRAWS = 6  # random numbers per image


def augment(images: Tensor, draws: Tensor) -> Tensor:
    """Changed copies of images (B, C, S, S) in about −1..1, each by its own row of draws (B, DRAWS) from U(0, 1)."""
    batch, _, size, _ = images.shape
    brightness, contrast = draws[:, 0].view(-1, 1, 1, 1), draws[:, 1].view(-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    low, high = CONTRAST
    images = (images - mean) * (low + (high - low) * contrast) + mean + BRIGHTNESS * (2 * brightness - 1)

    reach = int(size * TRANSLATION)
    shift = (draws[:, 2:4] * (2 * reach + 1)).long()  # (B, 2)
    along = torch.arange(size, device=images.device)
    rows, columns = along + shift[:, :1], along + shift[:, 1:]  # (B, S)
    padded = pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)  # (B, H, W, C)
    batches = torch.arange(batch, device=images.device)[:, None, None]
    images = padded[batches, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)  # (B, C, S, S)

    side = int(size * CUTOUT)
    corner = (draws[:, 4:6] * size).long() - side // 2  # (B, 2)
    inside_rows = (along >= corner[:, :1]) & (along < corner[:, :1] + side)  # (B, S)
    inside_columns = (along >= corner[:, 1:]) & (along < corner[:, 1:] + side)
    hole = inside_rows[:, :, None] & inside_columns[:, None, :]
    return images.masked_fill(hole.unsqueeze(1), 0.0)
