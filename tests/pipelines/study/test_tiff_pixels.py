"""The film that was written as TIFF, whatever its flags; or a refusal by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.study.image_io import read_gray
from tests.containers import tiff
from tests.containers.film import (
    LOWEST_CORRELATION,
    Written,
    as_levels,
    correlate,
    draw_film,
    is_film_or_refused,
    refusal_of,
    tinted,
)

FILM = draw_film()
LEVELS = as_levels(FILM, 8)
BORDER = np.zeros(FILM.shape, bool)  # a corner and an edge that are no part of the picture
BORDER[:20, :30] = BORDER[:, -10:] = True


@st.composite
def gray_tiffs(draw: st.DrawFn) -> Written:
    """Draw a file of gray TIFF at any depth, sign, byte order and end that is white."""
    film = draw_film(draw(st.integers(0, 9)))
    photometric = draw(st.sampled_from((0, 1)))
    shown = 1 - film if photometric == 0 else film
    kind, bits = draw(
        st.sampled_from([("u", b) for b in (4, 8, 12, 16, 32)] + [("i", b) for b in (8, 16, 32)])
        | st.sampled_from([("f", b) for b in (16, 32, 64)])
    )
    if kind == "f":
        samples = (shown * draw(st.sampled_from((1, 4095, -2)))).astype(f"f{bits // 8}")
        film = film if samples.max() > 0 else -film
    else:
        top = 2.0 ** draw(st.integers(min(bits, 8), bits)) - 1
        samples = (shown * top).round() - (2.0 ** (bits - 1) if kind == "i" else 0)
        samples = samples.astype(f"{kind}{max(1, (bits + 7) // 8)}".replace("3", "4"))
    layout: dict[str, Any] = {
        "big_endian": draw(st.booleans()),
        "compression": draw(st.sampled_from((tiff.UNCOMPRESSED, tiff.DEFLATE))),
        "separate": draw(st.booleans()),
    }
    content = tiff.tiff_bytes(samples, bits, photometric, **layout)
    return Written(f"{samples.dtype}, {bits=}, {photometric=}, {layout}", content, film)


@settings(max_examples=80, deadline=None)
@given(gray_tiffs())
def test_gray_tiff_is_the_film_or_refused(written: Written) -> None:
    assert is_film_or_refused(written) in ("read", "refused")


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("big_endian", [False, True], ids=["II", "MM"])
@pytest.mark.parametrize("compression", [tiff.UNCOMPRESSED, tiff.DEFLATE], ids=["raw", "deflate"])
@pytest.mark.parametrize(
    ("dtype", "bits"),
    [("u1", 4), ("u1", 8), ("u2", 16), ("u4", 32), ("i1", 8), ("i2", 16), ("i4", 32), ("f4", 32)],
    ids=["4", "8", "16", "32", "signed 8", "signed 16", "signed 32", "float"],
)
def test_white_or_black_is_zero_at_any_depth(
    tmp_path: Path, dtype: str, bits: int, compression: int, big_endian: bool, photometric: int
) -> None:
    shown = 1 - FILM if photometric == 0 else FILM
    values = shown if dtype == "f4" else (shown * (2.0**bits - 1)).round()
    values = values - (2.0 ** (bits - 1) if dtype[0] == "i" else 0)
    (tmp_path / "a.tif").write_bytes(
        tiff.tiff_bytes(
            values.clip(-(2.0**31), 2.0**32 - 1).astype(dtype),
            bits,
            photometric,
            big_endian=big_endian,
            compression=compression,
        )
    )
    assert correlate(tmp_path / "a.tif", FILM) >= LOWEST_CORRELATION


@pytest.mark.parametrize("photometric", [0, 1])
def test_one_bit_tiff_has_its_white_where_it_says(tmp_path: Path, photometric: int) -> None:
    dots = (FILM > 0.5).astype(np.uint8)
    content = tiff.tiff_bytes(1 - dots if photometric == 0 else dots, 1, photometric)
    (tmp_path / "a.tif").write_bytes(content)
    assert np.array_equal(read_gray(tmp_path / "a.tif") > 0, dots > 0)


@st.composite
def colour_tiffs(draw: st.DrawFn) -> Written:
    """Draw a file of TIFF with colours, opacity or a palette, of any layout."""
    film = draw_film(draw(st.integers(0, 9)))
    layout: dict[str, Any] = {
        "big_endian": draw(st.booleans()),
        "compression": draw(st.sampled_from((tiff.UNCOMPRESSED, tiff.DEFLATE))),
    }
    kind = draw(st.sampled_from(("gray with more", "RGB", "palette", "YCbCr", "CMYK", "CIELAB")))
    bits = draw(st.sampled_from((8, 16)))
    top = 2 ** (bits if bits == 8 else draw(st.integers(9, 16))) - 1
    samples, full = tinted(film, top), np.full((*film.shape, 1), 2**bits - 1)
    dtype = np.uint8 if bits == 8 else np.uint16
    if kind == "palette":
        colours = tinted(np.linspace(0, 1, 256), 65535)
        tags = tiff.palette_tag(colours)
        content = tiff.tiff_bytes(as_levels(film, 8), 8, 3, tags=tags, **layout)
        return Written(f"{kind}, {layout}", content, film)
    layout["separate"] = draw(st.booleans())
    extra = draw(st.sampled_from(((), (0,), (1,), (2,))))
    photometric = 2
    if kind == "gray with more":
        photometric = draw(st.sampled_from((0, 1)))
        samples = (film * top if photometric else (1 - film) * top)[..., None]
    elif kind == "CMYK":
        photometric = 5
        samples = np.concatenate([2**bits - 1 - tinted(film, 2**bits - 1), full * 0], axis=-1)
    elif kind != "RGB":
        photometric = 6 if kind == "YCbCr" else 8
        samples = np.dstack([film * (2**bits - 1), full // 2 + 1, full // 2 + 1])
    tags = {530: (tiff.SHORT, (1, 1))} if photometric == 6 else {}  # no subsampling
    if extra:
        samples = np.concatenate([samples, full], axis=-1)
    content = tiff.tiff_bytes(
        samples.astype(dtype), bits, photometric, extra=extra, tags=tags, **layout
    )
    return Written(f"{kind}, {bits=}, {photometric=}, {extra=}, {layout}", content, film)


@settings(max_examples=100, deadline=None)
@given(colour_tiffs())
def test_colour_tiff_is_the_film_or_refused(written: Written) -> None:
    assert is_film_or_refused(written) in ("read", "refused")


@pytest.mark.parametrize("compression", [tiff.UNCOMPRESSED, tiff.DEFLATE], ids=["raw", "deflate"])
@pytest.mark.parametrize("big_endian", [False, True], ids=["II", "MM"])
@pytest.mark.parametrize("extra", [(), (0,), (2,)], ids=["RGB", "RGBX", "RGBA"])
def test_16_bit_colours_of_tiff_keep_both_bytes(
    tmp_path: Path, extra: tuple[int, ...], big_endian: bool, compression: int
) -> None:
    deep = as_levels(FILM, 16, 11)
    channels = [deep] * 3 + [np.full_like(deep, 65535)] * len(extra)
    (tmp_path / "a.tif").write_bytes(
        tiff.tiff_bytes(
            np.dstack(channels),
            16,
            2,
            extra=extra,
            big_endian=big_endian,
            compression=compression,
        )
    )
    assert correlate(tmp_path / "a.tif", FILM) > 0.9998


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tiff.tiff_bytes(LEVELS, 8, None), "does not say whether 0 is black or white"),
        (tiff.tiff_bytes(FILM.astype("f8"), 64, 1), "TIFF of samples of 64 bits, float"),
        (tiff.tiff_bytes(np.dstack([LEVELS] * 3), 8, 8), "CIELAB"),
        (
            tiff.tiff_bytes(np.dstack([as_levels(FILM, 16)] * 3), 16, 2, separate=True),
            "16 bits in separate planes",
        ),
        (
            tiff.tiff_bytes(np.dstack([as_levels(FILM, 16)] * 4), 16, 2, extra=(1,)),
            "opacity multiplied",
        ),
        (
            tiff.tiff_bytes(LEVELS, 8, 3, tags=tiff.palette_tag(tinted(np.linspace(0, 1, 256)))),
            "palette whose colours are all below 256",
        ),
    ],
    ids=["no photometric", "double", "CIELAB", "separate planes", "premultiplied", "dark palette"],
)
def test_tiff_that_is_not_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert message in refusal_of(tmp_path / "a.tif")


@pytest.mark.parametrize(("photometric", "bits"), [(1, 16), (0, 16), (0, 8), (1, 8)])
def test_what_tiff_calls_no_data_is_padding(tmp_path: Path, photometric: int, bits: int) -> None:
    top = 2**bits - 1
    shown = FILM if photometric else 1 - FILM
    levels = as_levels(shown * 0.9, bits)
    levels[BORDER] = top
    tags = {42113: (tiff.ASCII, f"{top}\0".encode())}
    (tmp_path / "a.tif").write_bytes(tiff.tiff_bytes(levels, bits, photometric, tags=tags))
    assert (read_gray(tmp_path / "a.tif")[BORDER] == 0).all()
    assert correlate(tmp_path / "a.tif", FILM, ~BORDER) >= LOWEST_CORRELATION


def test_no_data_may_be_no_number(tmp_path: Path) -> None:
    values = np.where(BORDER, np.nan, FILM).astype(np.float32)
    plain = tiff.tiff_bytes(values, 32, 1)
    stated = tiff.tiff_bytes(values, 32, 1, tags={42113: (tiff.ASCII, b"nan\0")})
    (tmp_path / "a.tif").write_bytes(plain)
    assert "no numbers" in refusal_of(tmp_path / "a.tif")
    (tmp_path / "a.tif").write_bytes(stated)
    assert (read_gray(tmp_path / "a.tif")[BORDER] == 0).all()
    assert correlate(tmp_path / "a.tif", FILM, ~BORDER) >= LOWEST_CORRELATION
