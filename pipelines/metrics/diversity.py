"""How unlike each other the images of a set are: one minus the mean multi-scale structural similarity of two of them (Odena et al. 2017).

The similarity is that of Wang, Simoncelli & Bovik 2003, eq. 7, with their weights and 11×11 Gaussian windows. Its five scales need images
of 176 pixels; smaller ones have as many scales as windows fit in, with the weights of those scales brought to a sum of 1. Images are
averaged down to at most 128 pixels first. Negative products of contrast and structure count as 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # by scale, from fine to coarse
WINDOW, SIGMA = 11, 1.5  # pixels
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the constants C₁ and C₂
LARGEST = 128  # pixels
SMALLEST = WINDOW


def ms_ssim(images: np.ndarray) -> np.ndarray:
    """The similarity (N, N) of every two of the uint8 images (N, H, W), 0 to 1. Raises ValueError when they are smaller than a window."""
    if images.ndim != 3 or min(images.shape[1:]) < SMALLEST:
        raise ValueError(
            f"images have shape {images.shape}, expected (N, H, W) of at least {SMALLEST} pixels a side"
        )
    x = torch.from_numpy(np.ascontiguousarray(images)).float()
    while min(x.shape[1:]) > LARGEST:
        x = avg_pool2d(x, 2)
    scales = 1
    while scales < len(WEIGHTS) and min(x.shape[1:]) >> scales >= WINDOW:
        scales += 1
    similarity = torch.ones(len(x), len(x))
    for scale in range(scales):
        whole, structure = _similarities(x)
        value = whole if scale == scales - 1 else structure
        similarity *= value.clamp(min=0) ** (WEIGHTS[scale] / sum(WEIGHTS[:scales]))
        x = avg_pool2d(x, 2)
    return similarity.double().numpy()


def _similarities(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of every two of the images (N, H, W) the mean over windows of luminance × structure, and of structure alone (their contrast with it)."""
    rows, columns = (_window(side) for side in x.shape[1:])

    def blurred(values: Tensor) -> Tensor:
        along = (values.reshape(-1, values.shape[-1]) @ columns.T).view(*values.shape[:-1], -1)
        return rows @ along

    mean, count = blurred(x), len(x)
    variance = blurred(x * x) - mean * mean
    whole, structure = torch.ones(count, count), torch.ones(count, count)
    for i in range(count - 1):
        others = slice(i + 1, count)
        covariance = blurred(x[i] * x[others]) - mean[i] * mean[others]
        of_structure = (2 * covariance + CONTRAST) / (variance[i] + variance[others] + CONTRAST)
        of_luminance = (2 * mean[i] * mean[others] + LUMINANCE) / (
            mean[i] ** 2 + mean[others] ** 2 + LUMINANCE
        )
        structure[i, others] = structure[others, i] = of_structure.mean(dim=(1, 2))
        whole[i, others] = whole[others, i] = (of_structure * of_luminance).mean(dim=(1, 2))
    return whole, structure


def _window(side: int) -> Tensor:
    """The matrix (side − 10, side) that takes Gaussian-weighted means along an axis, only where the window fits in."""
    weights = torch.exp(-((torch.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    matrix = torch.zeros(side - WINDOW + 1, side)
    for row in range(len(matrix)):
        matrix[row, row : row + WINDOW] = weights
    return matrix
