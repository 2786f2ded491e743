"""The leak lock: who has seen a validation or test image may not make training images.

A generator carries the hashes of the images that it was trained on, and a synthetic set carries its
generator's. A set whose generator saw a held-out image of the study is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipelines.study.image_io import pixel_hash
from pipelines.study.manifest import EXTERNAL, Row
from pipelines.study.split import Split


def check_leak(trained_on: Iterable[str], rows: Sequence[Row], owner: str) -> None:
    """Raise ValueError when a generator saw an image that `rows` hold out from training.

    trained_on: hashes of the images that it saw. owner: the set or run it is of, for the message.
    """
    hashes = frozenset(trained_on)
    seen = [row for row in rows if row.split != "train" and row.sha256 in hashes]
    if seen:
        counts = ", ".join(
            f"{sum(row.split == split for row in seen)} {split}"
            for split in ("validation", "test", EXTERNAL)
        )
        raise ValueError(
            f"leak: the generator of {owner} was trained on held-out images of this study "
            f"({counts}; first {seen[0].file_name}); train one on this study's training split: "
            "cxr gan-train"
        )


def check_copies(images: np.ndarray, paths: Sequence[Path], splits: Mapping[str, Split]) -> None:
    """Raise ValueError when one of these images is, pixel for pixel, a held-out one.

    images: uint8 (N, S, S), read from `paths`. splits: the study's, at the same size.
    """
    held_out = {
        pixel_hash(image)
        for name, split in splits.items()
        if name != "train"
        for image in split.images
    }
    for path, image in zip(paths, images, strict=True):
        if pixel_hash(image) in held_out:
            raise ValueError(f"leak: {path} is a held-out image of this study, pixel for pixel")
