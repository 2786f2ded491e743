"""The film that was written as PNG, of any colour, depth and transparency."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.study.image_io import read_gray, read_picture
from tests.containers import png
from tests.containers.film import (
    LOWEST_CORRELATION,
    Written,
    as_levels,
    correlate,
    draw_film,
    is_film_or_refused,
    tinted,
)

FILM = draw_film()
BORDER = np.zeros(FILM.shape, bool)  # a corner and an edge that are no part of the picture
BORDER[:20, :30] = BORDER[:, -10:] = True


@st.composite
def png_films(draw: st.DrawFn) -> Written:
    """Draw a file of any colour and depth, without padding."""
    film = draw_film(draw(st.integers(0, 9)))
    interlaced = draw(st.booleans())
    colour = draw(st.sampled_from((png.GRAY, png.RGB, png.PALETTE, png.GRAY_ALPHA, png.RGBA)))
    if colour == png.PALETTE:
        turn = draw(st.sampled_from((1, -1)))
        levels = as_levels(film, 8)
        palette = tinted(np.linspace(0, 1, 256))[::turn].tobytes()
        indices = levels if turn == 1 else 255 - levels
        content = png.png_bytes(indices, 8, colour, interlaced=interlaced, palette=palette)
        return Written(f"palette that goes by {turn}, {interlaced=}", content, film)
    if colour == png.GRAY:
        bits = draw(st.sampled_from((8, 16)))
        used = draw(st.integers(min(bits, 7 + bits // 8), bits))
        content = png.png_bytes(as_levels(film, bits, used), bits, colour, interlaced=interlaced)
        return Written(f"gray, {bits=}, {used=}, {interlaced=}", content, film)
    bits = draw(st.sampled_from((8, 16)))
    used = bits if bits == 8 else draw(st.integers(9, 16))
    top = 2**used - 1
    samples = tinted(film, top) if colour in (png.RGB, png.RGBA) else None
    if samples is None:
        samples = as_levels(film, bits, used)[..., None]
    if colour in (png.GRAY_ALPHA, png.RGBA):
        samples = np.concatenate([samples, np.full_like(samples[..., :1], 2**bits - 1)], axis=-1)
    samples = samples.astype(np.uint8 if bits == 8 else np.uint16)
    content = png.png_bytes(samples, bits, colour, interlaced=interlaced)
    return Written(f"{colour=}, {bits=}, {used=}, {interlaced=}", content, film)


@settings(max_examples=40, deadline=None)
@given(png_films())
def test_png_is_the_film(written: Written) -> None:
    assert is_film_or_refused(written) == "read"


@pytest.mark.parametrize("colour", [png.GRAY_ALPHA, png.RGB, png.RGBA])
def test_a_film_of_12_bits_in_16_bit_colours_keeps_them(tmp_path: Path, colour: int) -> None:
    """The high byte alone has 16 levels of it."""
    deep = as_levels(FILM, 16, 12)
    channels = [deep] * (1 if colour == png.GRAY_ALPHA else 3)
    channels += [np.full_like(deep, 65535)] * (colour in (png.GRAY_ALPHA, png.RGBA))
    (tmp_path / "a.png").write_bytes(png.png_bytes(np.dstack(channels), 16, colour))
    (tmp_path / "gray.png").write_bytes(png.png_bytes(deep, 16, png.GRAY))
    difference = read_gray(tmp_path / "a.png").astype(int) - read_gray(tmp_path / "gray.png")
    assert np.abs(difference).max() <= 1


def transparent_png(kind: str) -> bytes:
    """Return the film with BORDER transparent, or of a value that is."""
    deep = as_levels(FILM * 0.9 + 0.05, 16)
    opacity = np.where(BORDER, 0, 65535).astype(np.uint16)
    marked = np.where(BORDER, 65535, deep).astype(np.uint16)
    white = struct.pack(">H", 65535)
    colours = np.dstack([marked] * 3)
    return {
        "gray": lambda: png.png_bytes(marked >> 8, 8, png.GRAY, transparent=struct.pack(">H", 255)),
        "4-bit gray": lambda: png.png_bytes(
            marked >> 12, 4, png.GRAY, transparent=struct.pack(">H", 15)
        ),
        "deep gray": lambda: png.png_bytes(marked, 16, png.GRAY, transparent=white),
        "deep colour": lambda: png.png_bytes(colours, 16, png.RGB, transparent=white * 3),
        "gray with alpha": lambda: png.png_bytes(
            np.dstack([marked, opacity]) >> 8, 8, png.GRAY_ALPHA
        ),
        "deep gray with alpha": lambda: png.png_bytes(
            np.dstack([marked, opacity]), 16, png.GRAY_ALPHA
        ),
        "deep colour with alpha": lambda: png.png_bytes(
            np.dstack([colours, opacity]), 16, png.RGBA
        ),
    }[kind]()


@pytest.mark.parametrize(
    "kind",
    [
        "gray",
        "4-bit gray",
        "deep gray",
        "deep colour",
        "gray with alpha",
        "deep gray with alpha",
        "deep colour with alpha",
    ],
)
def test_what_is_transparent_is_black_and_no_part_of_the_picture(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(transparent_png(kind))
    gray = read_gray(tmp_path / "a.png")
    assert (gray[BORDER] == 0).all()
    lowest = 0.98 if kind == "4-bit gray" else LOWEST_CORRELATION  # of 16 levels
    assert correlate(tmp_path / "a.png", FILM, ~BORDER) >= lowest
    assert gray[~BORDER].std() > 40


def test_deep_colours_are_colours(tmp_path: Path) -> None:
    hue = np.dstack([FILM, np.flipud(FILM), np.fliplr(FILM)])
    pixels = (hue * 65535).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png.png_bytes(pixels, 16, png.RGB))
    (tmp_path / "b.png").write_bytes(png.png_bytes(pixels >> 8, 8, png.RGB))
    deep, plain = read_picture(tmp_path / "a.png"), read_picture(tmp_path / "b.png")
    assert deep.colour == pytest.approx(plain.colour, rel=0.3)
    assert deep.colour > 10
