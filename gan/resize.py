"""Images at another size.

`resize` is the filter by which Pillow reads images, as a fixed linear operator: bicubic (Keys 1981,
a = −1/2), widened by the factor of a reduction so that nothing finer than the result can hold is
left over. An image that a network draws at twice its size is halved by the very filter that the
reals went through.

`enlarge` is bilinear, for pictures within a network. PyTorch's own interpolation has a gradient
that CUDA sums in any order; that of a product with a matrix has one order.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

SUPPORT = 2  # pixels on either side, at the scale of the smaller image


def resize(images: Tensor, side: int, before: int | None = None) -> Tensor:
    """Resize images (B, C, S, S) to (B, C, side, side), as Pillow does but without rounding.

    An edge may overshoot the range of the images. before: S, where it should not be read from the
    images because a network is traced.
    """
    before = before or images.shape[-1]
    if side == before:
        return images
    return resample(images, torch.from_numpy(_resize_matrix(before, side)).to(images))


def enlarge(images: Tensor, factor: int) -> Tensor:
    """Enlarge images (B, C, S, S) to (B, C, factor · S, factor · S), bilinearly.

    Pixels lie in the middle of their squares, and beyond the edge the edge is repeated.
    """
    side = int(images.shape[-1])  # a tensor where a network is traced
    return resample(images, enlarging_matrix(side, factor).to(images))


def resample(images: Tensor, matrix: Tensor) -> Tensor:
    """Return images (B, C, S, S) as (B, C, S', S'), by weights (S', S) of each pixel of a line."""
    with torch.autocast(images.device.type, enabled=False):
        return matrix @ images @ matrix.T


def enlarging_matrix(side: int, factor: int) -> Tensor:
    """Return the weights by which `enlarge` makes each pixel of a line, (factor · side, side)."""
    places = (np.arange(factor * side) + 0.5) / factor - 0.5
    distances = np.abs(np.clip(places, 0, side - 1)[:, None] - np.arange(side))
    return torch.from_numpy(np.maximum(1 - distances, 0).astype(np.float32))


@lru_cache
def _resize_matrix(before: int, after: int) -> np.ndarray:
    """Return the weights (after, before) of each pixel of a line in each of the resized one."""
    # By NumPy, or a network that is traced would have this arithmetic in it.
    scale = before / after
    width = max(scale, 1.0)
    pixels = np.arange(before) + 0.5
    centres = (np.arange(after)[:, None] + 0.5) * scale
    # Pillow looks at whole pixels within the support, and no further.
    is_near = (pixels > np.floor(centres - SUPPORT * width + 0.5)) & (
        pixels < np.floor(centres + SUPPORT * width + 0.5)
    )
    weights = _cubic(np.abs(pixels - centres) / width) * is_near
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Return the kernel at these distances, in pixels of the smaller image."""
    a = -0.5
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance < 1, near, np.where(distance < SUPPORT, far, 0.0))
