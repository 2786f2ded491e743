"""Differentiable augmentation of everything the discriminator sees (Zhao et al. 2020, DiffAugment).

Reals and fakes pass through the same transformations, so the generator is not taught to make
augmented images. Translation, and a little brightness and contrast; no flips, since the heart has
a side, and no cutout, which costs a small budget more than it saves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

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
        (B, C, S, S), differentiable by the images; what is shifted in from outside is 0.
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
    reach = int(images.shape[-1] * TRANSLATION)
    shift = (draws * (2 * reach + 1)).long().clamp(max=2 * reach)  # (B, 2); rounding may exceed
    return _Shifted.apply(images, shift - reach, reach)


class _Shifted(torch.autograd.Function):
    """`_shift`, whose gradient is shifted back: the gradient of indexing is a slow sum."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, shift: Tensor, reach: int) -> Tensor:
        ctx.save_for_backward(shift)
        ctx.reach = reach
        return _shift(images, shift, reach)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (shift,) = ctx.saved_tensors
        return _shift(gradient, -shift, ctx.reach), None, None


def _shift(images: Tensor, shift: Tensor, reach: int) -> Tensor:
    """Return what images (B, C, S, S) have so many rows and columns (B, 2) further on, 0 beyond.

    reach: the furthest that any is shifted.
    """
    batch_size, channels, size, _ = images.shape
    padded = pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)  # (B, H, W, C)
    positions = torch.arange(reach, reach + size, device=images.device)
    rows, columns = positions + shift[:, :1], positions + shift[:, 1:]  # (B, S), (B, S)
    first_row = padded.shape[1] * torch.arange(batch_size, device=images.device).unsqueeze(1)
    index = (first_row + rows).unsqueeze(2) * padded.shape[2] + columns.unsqueeze(1)  # (B, S, S)
    shifted = padded.reshape(-1, channels)[index.flatten()]  # (B · S · S, C)
    return shifted.view(batch_size, size, size, channels).permute(0, 3, 1, 2)
