"""Classical augmentation of a batch of radiographs, as tensor operations on the device.

Rotation, scale, translation (and with them the crop), brightness, contrast, blur or sharpening, and
noise; each image by its own random numbers. Flips are apart and off: the heart has a side.
"""

from __future__ import annotations

import math

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
DRAWS_PER_IMAGE = 8  # random numbers, next to those of the noise


def augment(images: Tensor, generator: torch.Generator, *, flip: bool = False) -> Tensor:
    """Return changed copies of images uint8 (B, 1, S, S), as float (B, 1, S, S) in 0..255.

    What comes in from outside of the picture repeats its edge. generator: on the device of the
    images.
    """
    batch, device = len(images), images.device
    draws = torch.rand(batch, DRAWS_PER_IMAGE, generator=generator, device=device) * 2 - 1
    noise = torch.randn(images.shape, generator=generator, device=device)
    is_flipped = torch.rand(batch, generator=generator, device=device) < 0.5
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
