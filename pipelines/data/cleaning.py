"""What does not belong into a study: pictures that are none, and pictures that it has already.

Perceptual hash: the signs of the lowest 16×16 cosine coefficients of a 32×32 thumbnail against
their median (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", DCT
hash, with 256 bits in place of 64, since chest X-rays are alike). On 1427 public chest X-rays,
re-encoding, halving, and changes of gamma and contrast move at most 24 bits in 95 of 100 cases; the
nearest of a million pairs of different films differ in 56, and every pair of 50 or fewer was one
film, but for one (42 bits, two films of one patient); seven of them stand under two patient
numbers, besides an exact duplicate.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dctn

from pipelines.study.image_io import Picture

# Within so many bits two pictures are one beyond doubt, so that they cannot bear two labels.
SAME_BITS = 24
MAX_COLOUR = 10.0  # gray levels, see image_io.colourfulness
# Standard deviation in gray levels; the flattest public X-ray at hand has 22.
MIN_CONTRAST = 4.0
# Share of the pixels that the four commonest gray levels may have, give or take two levels each.
# Masks reach 0.98, as JPEG and resized too; of 1430 public X-rays the highest has 0.92.
MAX_FEW_LEVELS = 0.96


def find_fault(picture: Picture, min_side: int) -> str | None:
    """Return why a decoded picture is no chest radiograph to train on, or None.

    It is written as "kind: details".
    """
    if "synthetic" in picture.comment:
        return f"not real: {picture.comment}"
    if min(picture.height, picture.width) < min_side:
        return (
            f"too small: {picture.width}×{picture.height} px, "
            f"expected at least {min_side} on each side"
        )
    if picture.gray.std() < MIN_CONTRAST:
        return f"blank: gray levels vary by {picture.gray.std():.1f}"
    if (share := _share_of_few_levels(picture.gray)) > MAX_FEW_LEVELS:
        return (
            "not a radiograph by its gray levels: "
            f"two to four of them make up {100 * share:.0f} % of it, as in a mask"
        )
    if picture.colour > MAX_COLOUR:
        return (
            "not a radiograph by its colours: "
            f"they vary by {picture.colour:.0f} levels at equal brightness"
        )
    return None


def _share_of_few_levels(gray: np.ndarray) -> float:
    """Return the share of the pixels (H, W) that have one of the four commonest gray levels."""
    counts = np.bincount(gray.ravel(), minlength=256)
    share = 0.0
    for _ in range(4):
        near = np.convolve(counts, np.ones(5, int), "same")  # (256,)
        level = int(near.argmax())
        share += near[level] / gray.size
        counts[max(0, level - 2) : level + 3] = 0
    return share


def perceptual_hash(gray: np.ndarray) -> str:
    """Return 256 bits of a uint8 image (H, W), as 64 hexadecimal digits."""
    thumbnail = np.asarray(Image.fromarray(gray).resize((32, 32), Image.Resampling.BOX), np.float32)
    low = dctn(thumbnail, norm="ortho")[:16, :16].ravel()  # (256,)
    return np.packbits(low > np.median(low[1:])).tobytes().hex()
