"""Differentiable augmentation of everything the discriminator sees (Zhao et al. 2020, DiffAugment).

Reals and fakes pass through the same transformations, so the generator is not taught to make
augmented images. Translation, mirrored at the borders, and a little brightness and contrast; no
flips, since the heart has a side, and no cutout, which costs a small budget more than it saves.
"""

from __future__ import annotations

import torch
from torch import Tensor

BRIGHTNESS = 0.1  # at most this is added or taken away, in units of the −1..1 range
CONTRAST = (0.85, 1.15)  # range of the factor around the image's mean
TRANSLATION = 1 / 8  # at most this share of the side, each way
DRAWS = 4  # random numbers per image: brightness, contrast, vertical and horizontal shift


def augment(images: Tensor, draws: Tensor) -> Tensor:
    """Change the gray levels of images and shift them, each by its own random numbers.

    Args:
        images: (B, C, S, S) in about −1..1.
        draws: (B, DRAWS) from U(0, 1).

    Returns:
        (B, C, S, S), differentiable by the images.
    """
    brightness, contrast = draws[:, 0], draws[:, 1]  # (B,), (B,)
    return _translate(_change_gray_levels(images, brightness, contrast), draws[:, 2:4])


def _change_gray_levels(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    brightness, contrast = brightness.view(-1, 1, 1, 1), contrast.view(-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    low, high = CONTRAST
    factor = low + (high - low) * contrast
    return (images - mean) * factor + mean + BRIGHTNESS * (2 * brightness - 1)


def _translate(images: Tensor, draws: Tensor) -> Tensor:
    """Shift images (B, C, S, S) by draws (B, 2); what comes in from outside is mirrored.

    With gray from outside the discriminator saw the borders of half of the images only, beside an
    edge of our own, and generators tore them.
    """
    size = images.shape[-1]
    reach = int(size * TRANSLATION)
    shift = (draws * (2 * reach + 1)).long().clamp(max=2 * reach) - reach  # (B, 2)
    rows, columns = (_mirrored(part, size).to(images.dtype) for part in shift.unbind(1))
    return rows @ images @ columns.transpose(2, 3)


def _mirrored(shift: Tensor, size: int) -> Tensor:
    """Return which line stands where in an image shifted by shift (B,): (B, 1, S, S) of 0 and 1.

    The product with it moves lines, and its gradient is summed in one order; that of indexing is
    not.
    """
    last = size - 1
    lines = torch.arange(size, device=shift.device)
    moved = lines + shift.unsqueeze(1)  # (B, S), from −S/8 to 9/8 S
    inside = last - (last - moved.abs()).abs()
    return (inside.unsqueeze(2) == lines).unsqueeze(1)
