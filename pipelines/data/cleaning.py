"""What does not belong into a study: pictures that are none, and pictures that are there already.

Perceptual hash: the signs of the lowest 16×16 cosine coefficients of a 32×32 thumbnail against their median (Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions", DCT hash, with 256 bits in place of 64, since chest X-rays are alike).
On 1427 public chest X-rays, re-encoding, halving, and changes of gamma and contrast move at most 24 bits in 95 of 100 cases; the
nearest of a million pairs of different films differ in 56, and every pair of 50 or fewer was one film, but for one
(42 bits, two films of one patient); seven of them stand under two patient numbers, besides an exact duplicate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from scipy.fft import dctn

from pipelines.study.image_io import Picture

NEAR = 50  # bits of 256 that may differ between two versions of one film
SAME = (
    24  # bits within which two pictures are one beyond doubt, so that they cannot bear two labels
)
COLOUR = 10.0  # gray levels, see reading.colourfulness
BLANK = 4.0  # standard deviation in gray levels; the flattest public X-ray at hand has 22
_BLOCK = 2048  # hashes compared at once: 2048 × 2048 × 32 bytes


def fault(picture: Picture, min_side: int) -> str | None:
    """Why a decoded picture is not a chest radiograph to train on, as "kind: details", or None."""
    if "synthetic" in picture.comment:
        return f"not real: {picture.comment}"
    if min(picture.height, picture.width) < min_side:
        return f"too small: {picture.width}×{picture.height} px, expected at least {min_side} on each side"
    if picture.gray.std() < BLANK:
        return f"blank: gray levels vary by {picture.gray.std():.1f}"
    if picture.colour > COLOUR:
        return f"not a radiograph by its colours: they vary by {picture.colour:.0f} levels at equal brightness"
    return None


def perceptual_hash(gray: np.ndarray) -> str:
    """256 bits of a uint8 image (H, W), as 64 hexadecimal digits."""
    thumbnail = np.asarray(Image.fromarray(gray).resize((32, 32), Image.Resampling.BOX), np.float32)
    low = dctn(thumbnail, norm="ortho")[:16, :16].ravel()
    return np.packbits(low > np.median(low[1:])).tobytes().hex()


def near_pairs(hashes: Sequence[str], fresh: int) -> Iterator[tuple[int, int, int]]:
    """All (i, j, bits that differ), i < j, no more than NEAR apart, where j is among the last `fresh` hashes."""
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint64).reshape(-1, 4)
    for start in range(len(words) - fresh, len(words), _BLOCK):
        mine = words[start : start + _BLOCK]
        for other in range(0, start + len(mine), _BLOCK):
            theirs = words[other : other + _BLOCK]
            distance = sum(
                np.bitwise_count(mine[:, None, k] ^ theirs[None, :, k]).astype(np.uint16)
                for k in range(4)
            )
            for j, i in np.argwhere(distance <= NEAR).tolist():
                if other + i < start + j:
                    yield other + i, start + j, int(distance[j, i])
