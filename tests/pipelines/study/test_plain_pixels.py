"""The film that was written as JPEG, BMP or WebP; turned films; and what is refused by name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.study.image_io import read_gray
from tests.containers.film import (
    LOWEST_CORRELATION,
    Written,
    as_levels,
    correlate,
    draw_film,
    is_film_or_refused,
    refusal_of,
)

FILM = draw_film()
LEVELS = as_levels(FILM, 8)
GRAY = Image.fromarray(LEVELS)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the bytes that Pillow writes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@st.composite
def plain_films(draw: st.DrawFn) -> Written:
    """Draw a file as Pillow writes it, turned by EXIF in one of eight ways."""
    film = draw_film(draw(st.integers(0, 9)))
    orientation = draw(st.integers(1, 8))
    turned = {
        1: film,
        2: np.fliplr(film),
        3: np.rot90(film, 2),
        4: np.flipud(film),
        5: film.T,
        6: np.rot90(film),
        7: np.rot90(film, 2).T,
        8: np.rot90(film, -1),
    }[orientation]
    kind, mode = draw(
        st.sampled_from(
            [("JPEG", mode) for mode in ("L", "RGB", "CMYK")]
            + [("WEBP", mode) for mode in ("RGB", "RGBA")]
            + [("PNG", mode) for mode in ("L", "RGB", "I;16", "LA", "P")]
            + [("TIFF", mode) for mode in ("L", "RGB", "I;16", "F")]
        )
    )
    if mode in ("I;16", "F"):
        deep = as_levels(turned, 16, 12)
        image = Image.fromarray(deep.astype(np.float32) if mode == "F" else deep)
    else:
        image = Image.fromarray(as_levels(turned, 8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    content = saved(image, kind, exif=exif, **options)
    return Written(f"{kind}, {mode=}, {orientation=}", content, film)


@settings(max_examples=60, deadline=None)
@given(plain_films())
def test_a_turned_film_is_the_film(written: Written) -> None:
    assert is_film_or_refused(written) == "read"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_bmp_is_the_film(tmp_path: Path, mode: str) -> None:
    GRAY.convert(mode).save(tmp_path / "a.bmp")
    expected = np.asarray(GRAY.convert(mode).convert("L"))
    assert correlate(tmp_path / "a.bmp", expected.astype(float)) >= LOWEST_CORRELATION


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_a_palette_may_begin_with_white(tmp_path: Path, kind: str) -> None:
    image = Image.fromarray(255 - LEVELS)
    image.putpalette([level for gray in range(255, -1, -1) for level in (gray, gray, gray)])
    image.save(tmp_path / "a", kind)
    assert correlate(tmp_path / "a", FILM) >= LOWEST_CORRELATION


def test_cmyk_that_may_mean_two_things_is_refused(tmp_path: Path) -> None:
    content = saved(GRAY.convert("RGB").convert("CMYK"), "JPEG")
    start = content.index(b"\xff\xeeA"[:2])
    length = int.from_bytes(content[start + 2 : start + 4])
    (tmp_path / "a.jpg").write_bytes(content[:start] + content[start + 2 + length :])
    assert "no Adobe marker" in refusal_of(tmp_path / "a.jpg")


def test_jpeg_of_12_bits_is_named(tmp_path: Path) -> None:
    content = bytearray(saved(GRAY, "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    (tmp_path / "a.jpg").write_bytes(content)
    assert "is JPEG of 12 bits" in refusal_of(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["GIF", "JPEG2000", "PPM"])
def test_a_picture_of_another_format_is_named(tmp_path: Path, kind: str) -> None:
    GRAY.save(tmp_path / "a.png", kind)
    assert "which is not read; save it as PNG" in refusal_of(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.webp.png", "a.dcm", "a.jfif", "a", "a.txt"])
def test_the_suffix_says_nothing(tmp_path: Path, name: str) -> None:
    GRAY.save(tmp_path / name, "WEBP", lossless=True)
    assert np.array_equal(read_gray(tmp_path / name), LEVELS)
