"""Polygons and run lengths to masks.

Coordinates are pixels from the upper left corner of the picture, as Darwin and COCO count them. A
pixel is inside when its centre is: that in row r and column c has it at x = c + ½, y = r + ½.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

RUN_BITS, RUN_MORE, RUN_SIGN = 0x1F, 0x20, 0x10  # of a character of COCO's run lengths
RUN_ZERO = 48  # code of the character that stands for 0


def fill_paths(paths: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Fill closed paths, float (n, 2) of x and y each, by the even-odd rule: bool (H, W).

    A path within another is a hole, and what two of them cover is outside.
    """
    edges = np.zeros((height, width + 1), np.uint8)  # paths that begin or end before each pixel
    for path in paths:
        for (x, y), (next_x, next_y) in pairwise([*path, path[0]]):
            top, bottom = np.ceil(np.array(sorted((y, next_y))) - 0.5).clip(0, height).astype(int)
            rows = np.arange(top, bottom)  # whose centres the edge passes
            if len(rows):
                crossings = x + (rows + 0.5 - y) * (next_x - x) / (next_y - y)
                columns = np.ceil(crossings - 0.5).clip(0, width).astype(int)
                edges[rows, columns] ^= 1
    return np.bitwise_xor.accumulate(edges, axis=1)[:, :width].astype(bool)


def fill_runs(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """Fill COCO's run lengths: outside and inside in turn, column by column: bool (H, W).

    Raises ValueError when a run is negative or they do not fill the picture.
    """
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(
            f"the run lengths add up to {sum(counts):,} pixels, the picture has {height}·{width}"
        )
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def parse_runs(text: str) -> list[int]:
    """Parse compressed run lengths, as COCO's maskApi.c writes them.

    Each is a number of 5-bit digits, the lowest first, with a bit that says whether more follow;
    from the fourth on it is the difference to the last but one. Raises ValueError for other text.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - RUN_ZERO
        if not 0 <= digit <= (RUN_BITS | RUN_MORE):
            raise ValueError(f"{character!r} is no character of run lengths")
        value |= (digit & RUN_BITS) << shift
        shift += 5
        if digit & RUN_MORE:
            continue
        if digit & RUN_SIGN:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the run lengths end within a number")
    return counts
