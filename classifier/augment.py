"""Classical augmentation of a batch of radiographs, as tensor operations on the device.

Rotation, scale, translation (and with them the crop), brightness, contrast, blur or sharpening, and
noise; each image by its own random numbers. Flips are apart and off: the heart has a side.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

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

    grid = affine_grid(_affine_matrices(draws, side), list(images.shape), align_corners=False)
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
    binomial = torch.tensor([1.0, 2.0, 1.0], device=device)
    kernel = (binomial[:, None] * binomial / 16).view(1, 1, 3, 3)
    x = x + SHARPNESS * sharpness * (x - conv2d(pad(x, (1, 1, 1, 1), mode="replicate"), kernel))
    return (x + NOISE * grain.abs() * noise).clamp(0, 255)


def _affine_matrices(draws: Tensor, side: Tensor) -> Tensor:
    """Make the matrices (B, 2, 3) of rotation, scale, flip and translation from draws in −1..1.

    side: (B,), −1 where an image is flipped, else 1.
    """
    angle, scale = draws[:, 0] * math.radians(ROTATION), 1 + draws[:, 1] * SCALE
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    entries = (
        cosine * side,
        -sine,
        draws[:, 2] * 2 * MAX_SHIFT,
        sine * side,
        cosine,
        draws[:, 3] * 2 * MAX_SHIFT,
    )
    return torch.stack(entries, dim=1).view(-1, 2, 3)
