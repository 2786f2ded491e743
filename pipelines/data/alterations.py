"""Films that were altered: mirrored, inverted, framed, turned or cropped copies of one another.

A perceptual hash (see `cleaning`) changes with every such alteration. So each image has the hashes
of many altered versions of itself, and they are held against the hashes of all other images as they
are. Versions: turned by up to 3 degrees, in windows from 6 % smaller to 6 % larger, each also
mirrored; all of these again without the border, where the picture has one of a single gray level.
An inverted picture has the opposite hash, bit for bit.

`benchmarks/near_duplicates.py` measures what is found, and how often films of two patients are
taken for one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import csr_matrix, vstack

ALTERED_BITS = 46  # of 256 that may differ between a film and an altered version of another
ANGLES = (-3.0, -1.5, 0.0, 1.5, 3.0)  # degrees
SCALES = (0.94, 0.97, 1.0, 1.03, 1.06)  # of the window's side
FLAT_LEVELS = 6  # gray levels that the lines of a border may span, but for 2 % at either end
LOOKED_FOR = (
    "near-duplicates are looked for as they are (other size, contrast, compression), mirrored, "
    "inverted, with a border of one gray level, turned by up to 3 degrees or cropped by up to 3 % "
    "on every side; not looked for, so found in part at most: larger turns and crops, crops of one "
    "corner, and pictures drawn over"
)
_SIDE = 64  # pixels of the thumbnail that versions are made of
_HASH_SIDE = 32
_VERSIONS = list(itertools.product(ANGLES, SCALES, (False, True)))
_UNALTERED = _VERSIONS.index((0.0, 1.0, False))
_BLOCK = 16  # images whose versions are compared at once: 64 MB for 10,000 others


def altered_hashes(gray: np.ndarray) -> str:
    """Return the hashes of all versions of a uint8 image (H, W), 64 hexadecimal digits each.

    First those of the whole picture, then, where it has a border, those without it.
    """
    inner = trim_border(gray)
    pictures = [gray] if inner.shape == gray.shape else [gray, inner]
    return b"".join(_hash_versions(picture).tobytes() for picture in pictures).hex()


def trim_border(gray: np.ndarray) -> np.ndarray:
    """Cut off outer rows and columns of one gray level; leave an image that is flat in the middle.

    gray: uint8 (H, W).
    """
    for _ in range(2):  # a border at the sides hides one above and below
        gray = _trim_rows(_trim_rows(gray).T).T
    return gray


def find_altered_pairs(
    hashes: Sequence[str], altered: Sequence[str]
) -> Iterator[tuple[int, int, int]]:
    """Yield all (i, j, bits that differ), i < j, of which one looks like the other one altered.

    Args:
        hashes: The perceptual hash of each image.
        altered: What `altered_hashes` returns of it; empty of images that are only compared with.
    """
    owners, references = _list_references(hashes, altered)  # (R,), (R, 256)
    least: dict[tuple[int, int], int] = {}
    fresh = [place for place, text in enumerate(altered) if text]
    for start in range(0, len(fresh), _BLOCK):
        places = fresh[start : start + _BLOCK]
        own = [_signs(altered[place]) for place in places]
        alike = np.concatenate(own) @ references.T
        np.abs(alike, out=alike)  # 256 less twice the bits that differ, of an inverted picture too
        ends = np.cumsum([len(versions) for versions in own])[:-1]
        for place, of_place in zip(places, np.split(alike, ends), strict=True):
            most = of_place.max(axis=0)  # (R,)
            for reference in np.flatnonzero(most >= 256 - 2 * ALTERED_BITS):
                other, bits = int(owners[reference]), int(256 - most[reference]) // 2
                pair = (min(place, other), max(place, other))
                if place != other:
                    least[pair] = min(bits, least.get(pair, bits))
    yield from ((first, second, bits) for (first, second), bits in sorted(least.items()))


def _list_references(
    hashes: Sequence[str], altered: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what versions are held against, as signs (R, 256), and whose it is (R,).

    Every image as it is, and those with a border without it.
    """
    whole = len(_VERSIONS) * 64
    inner = {
        place: text[whole + 64 * _UNALTERED :][:64]
        for place, text in enumerate(altered)
        if len(text) > whole
    }
    owners = np.array([*range(len(hashes)), *inner], int)
    return owners, _signs("".join([*hashes, *inner.values()]))


def _signs(hashes: str) -> np.ndarray:
    """Turn hashes of 64 hexadecimal digits each into signs (N, 256), −1 or 1."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(hashes), np.uint8)).reshape(-1, 256)
    return 2 * bits.astype(np.float32) - 1


def _hash_versions(gray: np.ndarray) -> np.ndarray:
    """Return the bits of all versions of an image, packed (V, 32)."""
    small = Image.fromarray(gray).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32).ravel()
    versions = (_sampling_matrix() @ pixels).reshape(-1, _HASH_SIDE, _HASH_SIDE)
    low = dctn(versions, axes=(1, 2), norm="ortho")[:, :16, :16].reshape(len(versions), 256)
    return np.packbits(low > np.median(low[:, 1:], axis=1, keepdims=True), axis=1)


@cache
def _sampling_matrix() -> csr_matrix:
    """Make the matrix (V·32², 64²) that takes a thumbnail to all its versions."""
    return vstack([_sample(*version) for version in _VERSIONS], format="csr")


def _sample(angle: float, scale: float, mirrored: bool) -> csr_matrix:
    """Make the matrix (32², 64²) of one version: means of 2×2 bilinear samples.

    What lies outside of the thumbnail has the value of its edge.
    """
    middle = (np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
    y, x = np.meshgrid(middle, middle, indexing="ij")  # (64, 64), −1 to 1
    if mirrored:
        x = -x
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = (cosine * x - sine * y) * scale, (sine * x + cosine * y) * scale
    across, down = (
        ((at + 1) / 2 * _SIDE - 0.5).clip(0, _SIDE - 1.001).ravel() for at in turned
    )  # pixels
    left, top = across.astype(int), down.astype(int)
    right_share, lower_share = across - left, down - top
    row, column = np.divmod(np.arange(_SIDE**2), _SIDE)
    targets = (row // 2) * _HASH_SIDE + column // 2
    corners = [
        (top, left, (1 - lower_share) * (1 - right_share)),
        (top, left + 1, (1 - lower_share) * right_share),
        (top + 1, left, lower_share * (1 - right_share)),
        (top + 1, left + 1, lower_share * right_share),
    ]
    weights = np.concatenate([share for _, _, share in corners]).astype(np.float32) / 4
    sources = np.concatenate([rows * _SIDE + columns for rows, columns, _ in corners])
    return csr_matrix((weights, (np.tile(targets, 4), sources)), (_HASH_SIDE**2, _SIDE**2))


def _trim_rows(gray: np.ndarray) -> np.ndarray:
    """Cut off flat rows above and below, unless half of the image (H, W) is flat."""
    low, high = np.percentile(gray, (2, 98), axis=1)
    rows = np.flatnonzero(high - low > FLAT_LEVELS)
    if len(rows) < len(gray) / 2:
        return gray
    return gray[rows[0] : rows[-1] + 1]
