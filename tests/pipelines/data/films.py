"""Pictures drawn for tests of importing, and sources of them that need no files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.data.importing import import_listings
from pipelines.data.listing import Listing, SourceImage
from pipelines.study.image_io import Picture
from pipelines.study.import_log import ImportSummary
from pipelines.study.workspace import Workspace

RATIOS = (0.7, 0.1, 0.2)
VERSIONS = 4  # of one film: numbers that differ in less than that are of one film

Offer = tuple[int, str, str, tuple[str, ...]]  # number, label, patient, splits it may go to


def noise(seed: int, height: int = 80, width: int = 100) -> np.ndarray:
    """Draw a picture unlike all others, uint8 (height, width)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def blocks(seed: int, rows: int = 10, columns: int = 9, highest: int = 256) -> np.ndarray:
    """Draw a picture of blocks, unlike all others also to a perceptual hash."""
    gray = np.random.default_rng(seed).integers(0, highest, (rows, columns), dtype=np.uint8)
    return gray.repeat(8, 0).repeat(8, 1)


def save_blocks(path: Path, seed: int | None = None) -> Path:
    """Write a picture of blocks as a PNG; without a seed, one that its path tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, str(path))) * 7919 + len(str(path)) if seed is None else seed
    Image.fromarray(blocks(seed)).save(path, "PNG")
    return path


def film(number: int) -> Picture:
    """Draw a film; numbers 4 k to 4 k + 3 are versions of one film."""
    brightness = np.uint8(10 * (number % VERSIONS))
    gray = blocks(number // VERSIONS, columns=8, highest=200) + brightness
    height, width = gray.shape
    return Picture(gray, height, width)


def films_in_memory(offers: Sequence[Offer], source: str = "memory") -> Listing:
    """List films that are drawn when they are asked for."""
    images = [
        SourceImage(
            f"{source} {place} {number}",
            partial(film, number),
            label,
            source,
            patient,
            splits=splits,
        )
        for place, (number, label, patient, splits) in enumerate(offers)
    ]
    return Listing(source, "in memory", images)


def import_films(
    workspace: Workspace, offers: Sequence[Offer], *, seed: int = 0, folds: int | None = None
) -> ImportSummary:
    """Import films that are drawn when they are asked for."""
    return import_listings(
        workspace, [films_in_memory(offers)], ratios=RATIOS, seed=seed, folds=folds
    )
