"""Differentiable augmentation of everything the discriminator sees (Zhao et al. 2020, DiffAugment).

Reals and fakes pass through the same transformations, so the generator is not taught to make
augmented images. Translation, mirrored at the borders, and a little brightness and contrast; no
cutout, which costs a small budget more than it saves.

Where training images are few the discriminator soon knows them, and the generator comes nearer to
them than to other reals. Zoom, stretching and mirroring keep it from that for longer (Karras et al.
2020, "Training GANs with limited data"). Less than half are mirrored, which can be told from more:
so the generator still learns on which side the heart is (their section 2.2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan.config import FEW_IMAGES

BRIGHTNESS = 0.1  # at most this is added or taken away, in units of the −1..1 range
CONTRAST = (0.85, 1.15)  # range of the factor around the image's mean
TRANSLATION = 1 / 8  # at most this share of the side, each way
ZOOM, STRETCH = 0.4, 0.2  # at most, as logarithms of the factor, of both sides and of one each way
MIRRORED = 0.25  # share of the images
DRAWS = 4  # random numbers per image: brightness, contrast, vertical and horizontal shift
DRAWS_OF_FEW = 7  # and zoom, stretching, mirroring


def count_draws(images: int) -> int:
    """Return how many random numbers an image's augmentation takes, of so many training images."""
    return DRAWS_OF_FEW if images < FEW_IMAGES else DRAWS


def augment(images: Tensor, draws: Tensor) -> Tensor:
    """Change the gray levels of images and move them, each by its own random numbers.

    Args:
        images: (B, C, S, S) in about −1..1.
        draws: (B, DRAWS) from U(0, 1); with DRAWS_OF_FEW images are zoomed, stretched and mirrored
            as well.

    Returns:
        (B, C, S, S), differentiable by the images.
    """
    brightness, contrast = draws[:, 0], draws[:, 1]  # (B,), (B,)
    return _move(_change_gray_levels(images, brightness, contrast), draws[:, 2:])


def _change_gray_levels(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    brightness, contrast = brightness.view(-1, 1, 1, 1), contrast.view(-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    low, high = CONTRAST
    factor = low + (high - low) * contrast
    return (images - mean) * factor + mean + BRIGHTNESS * (2 * brightness - 1)


def _move(images: Tensor, draws: Tensor) -> Tensor:
    """Shift, and zoom, stretch and mirror, images (B, C, S, S) by draws (B, 2) or (B, 5).

    What comes in from outside is mirrored. With gray from outside the discriminator saw the borders
    of half of the images only, beside an edge of our own, and generators tore them.
    """
    size, is_more = images.shape[-1], draws.shape[1] > 2
    reach = int(size * TRANSLATION)
    shift = (draws[:, :2] * (2 * reach + 1)).long().clamp(max=2 * reach) - reach  # (B, 2)
    factor = torch.ones_like(draws[:, :2])  # (B, 2), of the distance from the centre
    if is_more:
        zoom, stretch = ZOOM * (2 * draws[:, 2] - 1), STRETCH * (2 * draws[:, 3] - 1)
        factor = torch.stack([zoom + stretch, zoom - stretch], dim=1).exp()
    rows, columns = (
        _lines(*of_side, size).to(images.dtype)
        for of_side in zip(shift.unbind(1), factor.unbind(1), strict=True)
    )
    if is_more:
        columns = torch.where((draws[:, 4] < MIRRORED).view(-1, 1, 1, 1), columns.flip(2), columns)
    return rows @ images @ columns.transpose(2, 3)


def _lines(shift: Tensor, factor: Tensor, size: int) -> Tensor:
    """Return what share of which line stands where in an image: (B, 1, S, S) of 0 to 1.

    The image is shifted by shift (B,) whole lines and is 1/factor (B,) times as large; between two
    lines it is interpolated. The product with it moves lines, and its gradient is summed in one
    order; that of indexing is not.
    """
    last = size - 1
    lines = torch.arange(size, device=shift.device)
    from_centre = (lines - last / 2) * factor.unsqueeze(1)  # (B, S)
    moved = from_centre + last / 2 + shift.unsqueeze(1)
    inside = last - (last - moved.abs()).abs()
    return (1 - (inside.unsqueeze(2) - lines).abs()).clamp(min=0).unsqueeze(1)
