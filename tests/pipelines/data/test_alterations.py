"""Altered copies of a film are found, other films are not, and patients who share one are one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.data.alterations import (
    ALTERED_BITS,
    LOOKED_FOR,
    altered_hashes,
    find_altered_pairs,
    trim_border,
)
from pipelines.data.cleaning import perceptual_hash
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, ok

SIDE = 120  # pixels


def cloud(seed: int) -> np.ndarray:
    """Draw a picture with coarse and fine form, unlike all others, uint8 (SIDE, SIDE)."""
    rng, picture = np.random.default_rng(seed), np.zeros((SIDE, SIDE))
    for cells in (3, 6, 12, 24):
        layer = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        picture += np.asarray(layer.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / cells**0.5
    return (128 + 60 * picture / picture.std()).clip(20, 235).astype(np.uint8)


def mirror(gray: np.ndarray, amount: float) -> np.ndarray:
    return np.ascontiguousarray(gray[:, ::-1])


def invert(gray: np.ndarray, amount: float) -> np.ndarray:
    return 255 - gray


def frame(gray: np.ndarray, amount: float) -> np.ndarray:
    """Add a black border of up to 12 % of the side."""
    return np.pad(gray, 1 + round(0.12 * amount * SIDE))


def turn(gray: np.ndarray, amount: float) -> np.ndarray:
    """Turn by up to 3 degrees either way."""
    turned = Image.fromarray(gray).rotate(6 * amount - 3, Image.Resampling.BILINEAR)
    return np.asarray(turned)


def crop(gray: np.ndarray, amount: float) -> np.ndarray:
    """Cut off up to 2.5 % on every side."""
    cut = round(0.025 * amount * SIDE)
    return gray[cut : SIDE - cut, cut : SIDE - cut]


ALTERATIONS = (mirror, invert, frame, turn, crop)


def pairs_of(*grays: np.ndarray) -> dict[tuple[int, int], int]:
    hashes, altered = [perceptual_hash(gray) for gray in grays], map(altered_hashes, grays)
    return {(i, j): bits for i, j, bits in find_altered_pairs(hashes, list(altered))}


@pytest.mark.parametrize("alter", ALTERATIONS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), amount=st.floats(0, 1), copy_first=st.booleans())
def test_an_altered_copy_is_found_and_another_film_is_not(
    alter: Callable[[np.ndarray, float], np.ndarray], seed: int, amount: float, copy_first: bool
) -> None:
    film, copy = cloud(seed), alter(cloud(seed), amount)
    films = [copy, film] if copy_first else [film, copy]
    found = pairs_of(*films, cloud(seed + 1))
    assert list(found) == [(0, 1)]
    assert found[0, 1] <= ALTERED_BITS


def test_films_that_are_only_compared_with_are_found_too() -> None:
    """As those of a study are, of which only the hash is on record."""
    film = cloud(0)
    hashes = [perceptual_hash(film), perceptual_hash(mirror(film, 1))]
    (pair,) = find_altered_pairs(hashes, ["", altered_hashes(mirror(film, 1))])
    assert pair[:2] == (0, 1)
    assert not list(find_altered_pairs(hashes, ["", ""]))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    border=st.tuples(*[st.integers(0, 15)] * 4),
    level=st.integers(0, 255),
)
def test_a_border_is_cut_off(seed: int, border: tuple[int, int, int, int], level: int) -> None:
    top, bottom, left, right = border
    film = cloud(seed)
    framed = np.pad(film, ((top, bottom), (left, right)), constant_values=level)
    assert np.array_equal(trim_border(framed), trim_border(film))
    assert trim_border(np.full((40, 40), level, np.uint8)).shape == (40, 40)


def test_patients_who_share_an_altered_film_share_a_split(tmp_path: Path) -> None:
    """Twelve films come under two patient numbers, the second time altered."""
    folder, rows = tmp_path / "films", ["file_name,label,patient"]
    folder.mkdir()
    alterations = [partial(alter, amount=0.8) for alter in ALTERATIONS]
    for number in range(36):
        film, patient, name = cloud(number % 24), f"p{number}", f"{number}.png"
        copy = alterations[number % len(alterations)](film) if number >= 24 else film
        Image.fromarray(copy).save(folder / name)
        rows.append(f"{name},{'ab'[number % 2]},{patient}")
    (folder / "films.csv").write_text("\n".join(rows))
    study = tmp_path / "study"
    assert "12 pairs look like one film" in ok(cxr("data", "import", folder, folder=study))
    workspace = Workspace(study)
    split_of = {row.file_name: row.split for row in workspace.rows()}
    (summary,) = workspace.imports()
    assert len(summary.near_duplicates) == 12
    for pair in summary.near_duplicates:
        assert len({split_of[name] for name in pair.images}) == 1
    assert LOOKED_FOR in ok(cxr("data", "check", folder=study))
