"""What is no radiograph is told, and so are versions of one film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.cleaning import (
    SAME_BITS,
    find_fault,
    perceptual_hash,
)
from pipelines.study.image_io import Picture, read_gray
from pipelines.study.persons import NEAR_BITS, find_near_pairs
from tests.pipelines.data.films import noise

MIN_SIDE = 64
NOISE = noise(0, 80, 80)
SYNTHETIC_NOTE = "synthetic: drawn by a generative network, not a patient"


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (Picture(NOISE, 80, 63), "too small: 63×80"),
        (Picture(np.full((80, 80), 7, np.uint8), 80, 80), "blank"),
        (Picture(NOISE, 80, 80, colour=20.0), "not a radiograph by its colours"),
        (Picture(NOISE, 80, 80, comment=SYNTHETIC_NOTE), "not real"),
    ],
    ids=["small", "blank", "colourful", "synthetic"],
)
def test_what_is_no_radiograph_is_told(picture: Picture, fault: str) -> None:
    assert (find_fault(picture, MIN_SIDE) or "").startswith(fault)


def test_a_gray_picture_has_no_fault() -> None:
    assert find_fault(Picture(NOISE, 80, 80), MIN_SIDE) is None


def test_near_pairs_are_those_of_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (120, 256), dtype=np.uint8)
    bits[60:] = bits[:60]
    for row in bits[60:]:
        row[rng.permutation(256)[: rng.integers(0, 90)]] ^= 1
    hashes = [np.packbits(row).tobytes().hex() for row in bits]
    expected = {
        (i, j, int((bits[i] != bits[j]).sum()))
        for j in range(40, 120)
        for i in range(j)
        if (bits[i] != bits[j]).sum() <= NEAR_BITS
    }
    assert expected
    assert set(find_near_pairs(hashes, 80)) == expected


def hash_bits(gray: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(perceptual_hash(gray)), np.uint8))


@pytest.fixture(scope="module")
def films(shared: Path) -> list[np.ndarray]:
    """Sixty public X-rays."""
    folder = shared / "data" / "chestxray8-subset" / "No_findings"
    return [read_gray(path) for path in sorted(folder.iterdir())[:60]]


def test_versions_of_a_film_are_near(films: list[np.ndarray]) -> None:
    moved = []
    for film in films:
        resized = np.asarray(Image.fromarray(film).resize((150, 140)))
        changed = (255 * (resized / 255) ** 0.8).astype(np.uint8)
        moved.append((hash_bits(changed) != hash_bits(film)).sum())
    assert np.mean(np.array(moved) <= SAME_BITS) > 0.9
    assert max(moved) <= NEAR_BITS


def test_other_films_are_not_near(films: list[np.ndarray]) -> None:
    hashes = [hash_bits(film) for film in films]
    distances = [
        (hashes[i] != hashes[j]).sum()
        for i in range(len(films))
        for j in range(i)
        if not np.array_equal(films[i], films[j])
    ]
    assert min(distances) > NEAR_BITS
