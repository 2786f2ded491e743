"""The filter by which Pillow reads images at another size, as a fixed linear operator.

Pillow's bicubic (Keys 1981, a = −1/2), widened by the factor of a reduction so that nothing finer
than the result can hold is left over. An image that a network draws at twice its size is halved by
the very filter that the reals went through.
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
