"""How unlike each other the images of a set are, by their multi-scale structural similarity.

Diversity is one minus the mean similarity of two images (Odena et al. 2017). The similarity is that
of Wang, Simoncelli & Bovik 2003, eq. 7, with their weights and 11×11 Gaussian windows. Its five
scales need images of 176 pixels; smaller ones have as many scales as windows fit in, with the
weights of those scales brought to a sum of 1. Images are averaged down to at most 128 pixels first.
Negative products of contrast and structure count as 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pipelines.metrics.confidence_intervals import Measure, estimate_by_half_samples
from pipelines.metrics.image_selection import check_enough, thin
from pipelines.metrics.kernel import mean_of_pairs
from pipelines.metrics.scores import LeftOut, Measurement, Measurements, Parts

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # from fine to coarse
WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the constants of luminance and of contrast
LARGEST_SIDE = 128  # pixels
SMALLEST_SIDE = WINDOW
COMPARED_IMAGES = 48  # of a set, whose pairwise similarity is taken
MIN_IMAGES = 8  # of each set


def measure_pixel_diversity(images: Parts, patients: Parts) -> Measurements:
    """Say how unlike two images (N, H, W) of a set are, over how unlike two training reals are."""
    side = min(images["train"].shape[1:])
    left_out = check_enough(images, MIN_IMAGES)
    if left_out is None and side < SMALLEST_SIDE:
        left_out = LeftOut(f"images of {side} px; it needs {SMALLEST_SIDE}")
    if left_out is not None:
        return {"ms_ssim_diversity": left_out}

    n = min(COMPARED_IMAGES, len(images["synthetic"]), len(images["held_out"]))
    kept = {
        name: thin(len(part), COMPARED_IMAGES if name == "train" else n)
        for name, part in images.items()
    }
    unlike = {name: 1 - ms_ssim(part[kept[name]]) for name, part in images.items()}
    estimates = {
        name: estimate_by_half_samples(
            patients["train"][kept["train"]],
            patients[name][kept[name]],
            n,
            _relative_diversity(unlike["train"], unlike[name]),
            name,
        )["diversity"]
        for name in ("synthetic", "held_out")
    }
    similar = {name: 1 - mean_of_pairs(part) for name, part in unlike.items()}
    detail = (
        f"mean MS-SSIM {similar['synthetic']:.3f}; training reals {similar['train']:.3f}, "
        f"held-out {similar['held_out']:.3f}"
    )
    return {
        "ms_ssim_diversity": Measurement(
            synthetic=estimates["synthetic"], floor=estimates["held_out"], detail=detail
        )
    }


def ms_ssim(images: np.ndarray) -> np.ndarray:
    """Return the similarity (N, N) of every two of the uint8 images (N, H, W), 0 to 1.

    Raises ValueError when they are smaller than a window.
    """
    if images.ndim != 3 or min(images.shape[1:]) < SMALLEST_SIDE:
        raise ValueError(
            f"images have shape {images.shape}, expected (N, H, W) of at least {SMALLEST_SIDE} "
            "pixels a side"
        )
    x = torch.from_numpy(np.ascontiguousarray(images)).float()
    while min(x.shape[1:]) > LARGEST_SIDE:
        x = avg_pool2d(x, 2)
    scales = 1
    while scales < len(SCALE_WEIGHTS) and min(x.shape[1:]) >> scales >= WINDOW:
        scales += 1
    similarity = torch.ones(len(x), len(x))
    for scale in range(scales):
        ssim, structure = _similarities(x)
        value = ssim if scale == scales - 1 else structure
        similarity *= value.clamp(min=0) ** (SCALE_WEIGHTS[scale] / sum(SCALE_WEIGHTS[:scales]))
        x = avg_pool2d(x, 2)
    return similarity.double().numpy()


def _relative_diversity(reals: np.ndarray, candidates: np.ndarray) -> Measure:
    """Make the measure of how unlike candidates are to each other, relative to reals.

    reals (N, N), candidates (M, M): how unlike every two are.
    """

    def measure(i: np.ndarray, j: np.ndarray) -> dict[str, float]:
        of_reals = mean_of_pairs(reals[np.ix_(i, i)])
        return {"diversity": mean_of_pairs(candidates[np.ix_(j, j)]) / max(of_reals, 1e-12)}

    return measure


def _similarities(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compare every two of the images (N, H, W), each comparison a mean over windows.

    Returns their SSIM (N, N), luminance × contrast × structure, and contrast × structure alone.
    """
    rows, columns = (_window_matrix(side) for side in x.shape[1:])

    def blur(values: Tensor) -> Tensor:
        along = (values.reshape(-1, values.shape[-1]) @ columns.T).view(*values.shape[:-1], -1)
        return rows @ along

    mean, count = blur(x), len(x)
    variance = blur(x * x) - mean * mean
    ssim, structure = torch.ones(count, count), torch.ones(count, count)
    for i in range(count - 1):
        others = slice(i + 1, count)
        covariance = blur(x[i] * x[others]) - mean[i] * mean[others]
        by_structure = (2 * covariance + C2) / (variance[i] + variance[others] + C2)
        by_luminance = (2 * mean[i] * mean[others] + C1) / (mean[i] ** 2 + mean[others] ** 2 + C1)
        structure[i, others] = structure[others, i] = by_structure.mean(dim=(1, 2))
        ssim[i, others] = ssim[others, i] = (by_structure * by_luminance).mean(dim=(1, 2))
    return ssim, structure


def _window_matrix(side: int) -> Tensor:
    """Make the matrix (side − 10, side) of Gaussian-weighted means over windows along an axis."""
    weights = torch.exp(-((torch.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    matrix = torch.zeros(side - WINDOW + 1, side)
    for row in range(len(matrix)):
        matrix[row, row : row + WINDOW] = weights
    return matrix
