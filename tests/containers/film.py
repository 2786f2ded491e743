"""The film that is written, and how near what is read comes to it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from pipelines.study.image_io import read_gray

HEIGHT, WIDTH = 72, 96
LOWEST_CORRELATION = 0.99


@cache
def draw_film(seed: int = 0) -> np.ndarray:
    """Draw a film with two dark lungs on a bright body, float (HEIGHT, WIDTH), from 0 to 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    film = 0.25 + 0.5 * np.exp(-(x**2) * 3) + 0.15 * y
    for side in (-0.45, 0.45):
        film -= 0.35 * np.exp(-(((x - side) / 0.25) ** 2) - ((y / 0.6) ** 2))
    film += 0.08 * np.sin(x * 9 + rng.uniform(0, 6)) * np.cos(y * 7 + rng.uniform(0, 6))
    return (film - film.min()) / (film.max() - film.min())


def as_levels(film: np.ndarray, bits: int, used: int | None = None) -> np.ndarray:
    """Return the film as integers that fill `used` bits, of so many."""
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return (film * (2 ** (used or bits) - 1)).round().astype(dtype)


def tinted(film: np.ndarray, top: int = 255) -> np.ndarray:
    """Return the film in colours (H, W, 3) of one hue, from 0 to `top`."""
    dtype = np.uint8 if top < 256 else np.uint16
    return (film[..., None] * np.array([0.8, 1.0, 0.6]) * top).round().astype(dtype)


def correlate(path: Path, film: np.ndarray, inside: np.ndarray | None = None) -> float:
    """Return the correlation of what is read with the film, over what is inside."""
    gray = read_gray(path)
    assert gray.shape == film.shape
    inside = np.ones(film.shape, bool) if inside is None else inside
    return float(np.corrcoef(gray[inside].astype(float), film[inside])[0, 1])


def refusal_of(path: Path) -> str:
    """Return with what words a file is refused; empty where it is read."""
    try:
        read_gray(path)
    except ValueError as error:
        return str(error)
    return ""


def refuses_by_name(path: Path) -> bool:
    """Return whether a file is refused, in one line that begins with its name."""
    words = refusal_of(path)
    if words:
        assert words.startswith(str(path))
        assert "\n" not in words
    return bool(words)


@dataclass(frozen=True)
class Written:
    """A file that holds a film.

    Attributes:
        what: Says for a failing test how it was written.
    """

    what: str
    content: bytes = field(repr=False)
    film: np.ndarray = field(repr=False)


def is_film_or_refused(written: Written, suffix: str = "") -> str:
    """Return "read" or "refused"; "wrong" where what is read is not the film."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film{suffix}"
        path.write_bytes(written.content)
        if refuses_by_name(path):
            return "refused"
        return "read" if correlate(path, written.film) >= LOWEST_CORRELATION else "wrong"
