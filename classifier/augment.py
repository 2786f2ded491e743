"""Classical augmentation of a batch of radiographs, as tensor operations on the device.

Rotation, scale, translation (and with them the crop), brightness, contrast, blur or sharpening, and
noise; each image by its own random numbers. Flips are apart and off: the heart has a side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

ROTATION = 10  # degrees, each way
SCALE = 0.1  # of the side, each way
MAX_SHIFT = 0.08  # of the side, each way
MAX_BRIGHTNESS_CHANGE = 25  # gray levels, each way
MAX_CONTRAST_CHANGE = 0.25  # of the distance from the image's mean, each way
SHARPNESS = 0.7  # −1 is a blur with a 3×3 binomial, +1 its opposite
NOISE = 5  # gray levels, the largest standard deviation
DRAWS_PER_IMAGE = 8  # random numbers, next to those of the flip and of the noise


def augment(images: Tensor, generator: torch.Generator, *, flip: bool = False) -> Tensor:
    """Return changed copies of images uint8 (B, 1, S, S), as float (B, 1, S, S) in 0..255.

    generator: on the device of the images.
    """
    return apply_draws(images, *draw_numbers(images.shape, generator), flip=flip)


def draw_numbers(shape: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw what `apply_draws` needs for images of a shape (B, 1, S, S), on the generator's device.

    Returns numbers (B, DRAWS_PER_IMAGE + 1), the last of them of the flip, and noise (B, 1, S, S).
    """
    batch, device = shape[0], generator.device
    draws = torch.rand(batch, DRAWS_PER_IMAGE, generator=generator, device=device) * 2 - 1
    noise = torch.randn(*shape, generator=generator, device=device)
    flips = torch.rand(batch, 1, generator=generator, device=device)
    return torch.cat([draws, flips], dim=1), noise


def apply_draws(images: Tensor, draws: Tensor, noise: Tensor, *, flip: bool) -> Tensor:
    """Change images uint8 (B, 1, S, S) by numbers of `draw_numbers`, to float (B, 1, S, S).

    What comes in from outside of the picture repeats its edge.
    """
    is_flipped = draws[:, DRAWS_PER_IMAGE] < 0.5
    side = torch.where(is_flipped, -1.0, 1.0) if flip else torch.ones_like(draws[:, 0])

    grid = _affine_grid(draws, side, images.shape[-1])
    x = grid_sample(images.float(), grid, padding_mode="border", align_corners=False)

    brightness, contrast, sharpness, grain = (
        draws[:, column].view(-1, 1, 1, 1) for column in range(4, 8)
    )
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (
        (x - mean) * (1 + MAX_CONTRAST_CHANGE * contrast)
        + mean
        + MAX_BRIGHTNESS_CHANGE * brightness
    )
    x = x + SHARPNESS * sharpness * (x - _blur(x))
    return (x + NOISE * grain.abs() * noise).clamp(0, 255)


def _affine_grid(draws: Tensor, side: Tensor, size: int) -> Tensor:
    """Return where each pixel comes from, (B, S, S, 2) in −1..1, x first.

    Args:
        draws: Of rotation, scale and translation, in −1..1, (B, 4) or more.
        side: −1 where an image is flipped, else 1, (B,).
        size: S.
    """
    angle, scale = draws[:, 0] * math.radians(ROTATION), 1 + draws[:, 1] * SCALE
    cosine, sine = ((function(angle) * scale).view(-1, 1, 1) for function in (torch.cos, torch.sin))
    shift_x, shift_y = (draws[:, column].view(-1, 1, 1) * 2 * MAX_SHIFT for column in (2, 3))
    places = (2 * torch.arange(size, device=draws.device) + 1) / size - 1  # of pixels' middles
    x, y = places * side.view(-1, 1, 1), places.unsqueeze(1)  # (B, 1, S), (S, 1)
    return torch.stack(
        [cosine * x + (shift_x - sine * y), sine * x + (shift_y + cosine * y)], dim=-1
    )


def _blur(x: Tensor) -> Tensor:
    """Return images (B, 1, S, S) after a 3×3 binomial filter; beyond the edge it is repeated."""
    x = pad(x, (1, 1, 1, 1), mode="replicate")
    x = x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]
    return (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 16
