"""Images at another size.

`resize` is the filter by which Pillow reads images, as a fixed linear operator: bicubic (Keys 1981,
a = −1/2), widened by the factor of a reduction so that nothing finer than the result can hold is
left over. An image that a network draws at twice its size is halved by the very filter that the
reals went through.

`enlarge` is bilinear, for pictures within a network. PyTorch's own interpolation has a gradient
that CUDA sums in any order.
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
    matrix = torch.from_numpy(_resize_matrix(before, side)).to(images)
    return matrix @ images @ matrix.T


def enlarge(images: Tensor, factor: int) -> Tensor:
    """Enlarge images (B, C, S, S) to (B, C, factor · S, factor · S), bilinearly.

    Pixels lie in the middle of their squares, and beyond the edge the edge is repeated.
    """
    for dim in (2, 3):
        last = images.shape[dim] - 1
        before = torch.cat([images.narrow(dim, 0, 1), images.narrow(dim, 0, last)], dim)
        after = torch.cat([images.narrow(dim, 1, last), images.narrow(dim, last, 1)], dim)
        places = [(number + 0.5) / factor - 0.5 for number in range(factor)]  # within a pixel
        parts = [torch.lerp(images, before if at < 0 else after, abs(at)) for at in places]
        images = torch.stack(parts, dim + 1).flatten(dim, dim + 1)
    return images


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
