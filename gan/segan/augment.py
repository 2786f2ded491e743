"""Heavy augmentation of X-rays with their lung masks.

Rotation, scale (of each axis), shift and mirror move image and mask alike; gamma, contrast,
brightness and noise change the image alone. A mirrored chest has its heart on the other side, which
a network that only outlines lungs may as well learn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

MAX_ROTATION = 15  # degrees, each way
MAX_LOG_SCALE = 0.25  # of the logarithm, each way, of the film
MAX_LOG_ASPECT = 0.12  # of the logarithm, each way, between its sides
MAX_OFFSET = 0.12  # of the side, each way
MAX_LOG_GAMMA = 0.6  # of the logarithm, each way
MAX_LOG_CONTRAST = 0.4  # of the logarithm, each way
MAX_GRAY_SHIFT = 0.15  # of the whole range, each way
MAX_NOISE = 0.04  # of the whole range, the largest standard deviation
AUGMENTATION_DRAWS = 10  # random numbers per image, next to those of the noise


def augment(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return changed copies of images and masks, both float (B, 1, S, S) in 0..1.

    What comes in from outside of the picture is black and no lung. generator: on the CPU.
    """
    draws = torch.rand(len(images), AUGMENTATION_DRAWS, generator=generator) * 2 - 1
    noise = torch.randn(images.shape, generator=generator)
    draws, noise = draws.to(images.device), noise.to(images.device)
    both = torch.cat([images, masks], dim=1)  # (B, 2, S, S)
    grid = affine_grid(_affine_matrices(draws), list(both.shape), align_corners=False)
    moved = grid_sample(both, grid, padding_mode="zeros", align_corners=False)
    return _change_grays(moved[:, :1], draws, noise), moved[:, 1:]


def _change_grays(images: Tensor, draws: Tensor, noise: Tensor) -> Tensor:
    gamma, contrast, brightness, grain = (draws[:, i].view(-1, 1, 1, 1) for i in range(6, 10))
    x = images.clamp(1e-4, 1) ** (MAX_LOG_GAMMA * gamma).exp()
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * (MAX_LOG_CONTRAST * contrast).exp() + mean + MAX_GRAY_SHIFT * brightness
    return (x + MAX_NOISE * grain.abs() * noise).clamp(0, 1)


def _affine_matrices(draws: Tensor) -> Tensor:
    """Make the matrices (B, 2, 3) of rotation, scale, mirror and shift from draws in −1..1."""
    angle = draws[:, 0] * math.radians(MAX_ROTATION)
    across = (draws[:, 1] * MAX_LOG_SCALE + draws[:, 2] * MAX_LOG_ASPECT).exp()
    down = (draws[:, 1] * MAX_LOG_SCALE - draws[:, 2] * MAX_LOG_ASPECT).exp()
    side = torch.where(draws[:, 3] < 0, -1.0, 1.0)
    cosine, sine = angle.cos(), angle.sin()
    entries = (
        *(cosine * across * side, -sine * across, draws[:, 4] * 2 * MAX_OFFSET),
        *(sine * down * side, cosine * down, draws[:, 5] * 2 * MAX_OFFSET),
    )
    return torch.stack(entries, dim=1).view(-1, 2, 3)
