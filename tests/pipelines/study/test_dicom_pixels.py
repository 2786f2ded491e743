"""The film that was written as DICOM, whatever it states of its pixels; or a refusal by name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.study.image_io import read_gray, read_picture
from tests.containers import dicom
from tests.containers.dicom import lookup_table, palette_elements, write_dicom
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

pydicom = pytest.importorskip("pydicom")
FILM = draw_film()
LEVELS = as_levels(FILM, 8)
DEEP = as_levels(FILM, 12)
BORDER = np.zeros(FILM.shape, bool)  # a corner and an edge that are no part of the picture
BORDER[:20, :30] = BORDER[:, -10:] = True
DEPTHS = ((8, 8), (8, 7), (16, 10), (16, 12), (16, 14), (16, 16))  # bits allocated, bits stored


def written_dicom(what: str, film: np.ndarray, pixels: np.ndarray, **elements: Any) -> Written:
    """Return the bytes of a DICOM file that holds a film."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_dicom(Path(folder) / "film", pixels, **elements)
        return Written(what, path.read_bytes(), film)


@st.composite
def gray_dicoms(draw: st.DrawFn) -> Written:
    """Draw a film of any depth, sign, place of its bits, rescale, window and end that is white."""
    film = draw_film(draw(st.integers(0, 9)))
    allocated, stored = draw(st.sampled_from(DEPTHS))
    high = draw(st.sampled_from((stored - 1, allocated - 1)))
    signed = draw(st.booleans())
    photometric = draw(st.sampled_from(("MONOCHROME1", "MONOCHROME2")))
    shape = draw(st.sampled_from(("", "IDENTITY", "INVERSE")))
    slope, intercept = draw(st.sampled_from(((None, None), (1, 0), (1, -1024), (-1, 4095))))
    if draw(st.booleans()) and slope is not None:
        slope, intercept = slope * 0.37, draw(st.sampled_from((None, 12.5)))
    is_inverse = (photometric == "MONOCHROME1") or shape == "INVERSE"
    shown = film if is_inverse == ((slope or 1) < 0) else 1 - film
    values = as_levels(shown, stored).astype(int) - (2 ** (stored - 1) if signed else 0)
    elements: dict[str, Any] = {
        "syntax": draw(st.sampled_from((dicom.EXPLICIT_LITTLE, dicom.IMPLICIT_LITTLE))),
        "BitsStored": stored,
        "HighBit": high,
        "PhotometricInterpretation": photometric,
        "PresentationLUTShape": shape,
        "RescaleSlope": slope,
        "RescaleIntercept": intercept,
    }
    elements = {name: value for name, value in elements.items() if value not in (None, "")}
    display = values * (slope or 1) + (intercept or 0)
    window = draw(st.sampled_from(("", "LINEAR", "LINEAR_EXACT", "SIGMOID", "TABLE", "OTHER")))
    if window == "TABLE":
        low, high_value = int(display.min()), int(np.ceil(display.max()))
        if low >= 0:
            entries = np.linspace(0, 4095, high_value - low + 1)
            elements["VOILUTSequence"] = lookup_table(entries, 12, low)
    elif window:
        centre, width = (display.min() + display.max()) / 2, np.ptp(display) * 1.2 + 2
        elements |= {
            "WindowCenter": [f"{centre:.2f}", "1"],
            "WindowWidth": [f"{width:.2f}", "2"],
            "VOILUTFunction": window,
        }
    cells = (values << (high - stored + 1)).astype(f"{'i' if signed else 'u'}{allocated // 8}")
    what = ", ".join(f"{name}={value}" for name, value in elements.items() if "VOI" not in name)
    return written_dicom(f"{cells.dtype}, {window=}, {what}", film, cells, **elements)


@settings(max_examples=100, deadline=None)
@given(gray_dicoms())
def test_gray_dicom_is_the_film_or_refused(written: Written) -> None:
    assert is_film_or_refused(written) in ("read", "refused")


# The elements that a file states, and its pixels of the film.
STATED: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "MONOCHROME1": (4095 - DEEP, {"PhotometricInterpretation": "MONOCHROME1"}),
    "an inverse presentation LUT": (4095 - DEEP, {"PresentationLUTShape": "INVERSE"}),
    "MONOCHROME1 and an inverse presentation LUT": (
        4095 - DEEP,
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ),
    "a negative slope": (4095 - DEEP, {"RescaleSlope": -1, "RescaleIntercept": 4095}),
    "a slope without an intercept": (4095 - DEEP, {"RescaleSlope": -2}),
    "a negative slope and a window": (
        4095 - DEEP,
        {
            "RescaleSlope": -1,
            "RescaleIntercept": 4095,
            "WindowCenter": 2048,
            "WindowWidth": 4096,
        },
    ),
    "a slope that makes 8 bits fractions": (
        LEVELS,
        {"RescaleSlope": "0.0039", "RescaleIntercept": 0},
    ),
    "a window of two": (DEEP, {"WindowCenter": [2048, 1], "WindowWidth": [4096, 2]}),
    "an empty window": (DEEP, {"WindowCenter": None, "WindowWidth": None}),
    "a sigmoid": (
        DEEP,
        {"WindowCenter": 2048, "WindowWidth": 6000, "VOILUTFunction": "SIGMOID"},
    ),
    "an exact window": (
        DEEP,
        {"WindowCenter": 2048, "WindowWidth": 4095, "VOILUTFunction": "LINEAR_EXACT"},
    ),
    "a table and a rescale that changes nothing": (
        DEEP,
        {
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
            "VOILUTSequence": lookup_table(np.arange(4096) * 16, 16),
        },
    ),
    "a modality table": (
        4095 - DEEP,
        {"ModalityLUTSequence": lookup_table(np.arange(4095, -1, -1), 16)},
    ),
    "bits at the upper end": (DEEP << 4, {"HighBit": 15}),
    "7 bits": (LEVELS >> 1, {"BitsStored": 7, "HighBit": 6}),
    "signed pixels": (DEEP.astype(np.int16) - 2048, {}),
    "signed pixels of 16 bits": (
        (DEEP.astype(np.int32) * 16 - 32768).astype(np.int16),
        {"BitsStored": 16, "HighBit": 15},
    ),
    "big-endian": (DEEP.astype(">u2"), {"syntax": dicom.EXPLICIT_BIG}),
    "RGB": (tinted(FILM), {"PhotometricInterpretation": "RGB"}),
    "RGB of 16 bits": (
        tinted(FILM, 65535),
        {"PhotometricInterpretation": "RGB", "BitsStored": 16, "HighBit": 15},
    ),
    "RGB of 12 bits": (tinted(FILM, 4095), {"PhotometricInterpretation": "RGB"}),
    "RGB in planes": (
        np.moveaxis(tinted(FILM), 2, 0).copy().reshape(*FILM.shape, 3),
        {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 1},
    ),
    "YBR_FULL": (
        np.asarray(Image.fromarray(tinted(FILM)).convert("YCbCr")),
        {"PhotometricInterpretation": "YBR_FULL"},
    ),
    "a palette": (
        255 - LEVELS,
        {
            "PhotometricInterpretation": "PALETTE COLOR",
            **palette_elements(tinted(np.linspace(1, 0, 256)), 8),
        },
    ),
    "a palette of 16 bits": (
        255 - LEVELS,
        {
            "PhotometricInterpretation": "PALETTE COLOR",
            **palette_elements(tinted(np.linspace(1, 0, 256), 65535), 16),
        },
    ),
    "JPEG": (LEVELS, {"syntax": dicom.JPEG_BASELINE, "PixelData": "L"}),
    "JPEG of MONOCHROME1": (
        255 - LEVELS,
        {
            "syntax": dicom.JPEG_BASELINE,
            "PixelData": "L",
            "PhotometricInterpretation": "MONOCHROME1",
        },
    ),
    "JPEG of YBR_FULL_422": (
        tinted(FILM),
        {
            "syntax": dicom.JPEG_BASELINE,
            "PixelData": "RGB",
            "PhotometricInterpretation": "YBR_FULL_422",
        },
    ),
}


@pytest.mark.parametrize("what", STATED)
def test_what_a_file_states_is_honoured(tmp_path: Path, what: str) -> None:
    pixels, elements = STATED[what]
    if isinstance(elements.get("PixelData"), str):
        elements = elements | {"PixelData": dicom.jpeg_frame(Image.fromarray(pixels))}
    path = write_dicom(tmp_path / "a.dcm", pixels, **elements)
    assert correlate(path, FILM) > 0.998
    assert np.ptp(read_gray(path)) > 150


@pytest.mark.parametrize("what", ["MONOCHROME1", "RGB", "bits at the upper end", "signed pixels"])
def test_run_lengths_are_pixels(tmp_path: Path, what: str) -> None:
    pixels, elements = STATED[what]
    path = write_dicom(tmp_path / "a.dcm", pixels, **elements)
    plain = read_gray(path)
    file = pydicom.dcmread(path)
    file.compress(pydicom.uid.RLELossless)
    file.save_as(path)
    assert np.array_equal(read_gray(path), plain)


PADDED: dict[str, tuple[int, dict[str, Any]]] = {
    "the highest value": (65535, {"PixelPaddingValue": 65535}),
    "the lowest value": (0, {"PixelPaddingValue": 0}),
    "a range": (65000, {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 64000}),
    "a range, from below": (65000, {"PixelPaddingValue": 64000, "PixelPaddingRangeLimit": 65535}),
}


@pytest.mark.parametrize("what", PADDED)
@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": 6000, "WindowWidth": 8000},
        {"RescaleSlope": -1, "RescaleIntercept": 0},
    ],
    ids=["plain", "MONOCHROME1", "window", "negative slope"],
)
def test_padding_is_black_and_no_part_of_the_picture(
    tmp_path: Path, elements: dict[str, Any], what: str
) -> None:
    value, padding = PADDED[what]
    is_turned = "WindowCenter" not in elements and bool(elements)
    levels = (4095 - DEEP if is_turned else DEEP) + 3000
    levels[BORDER] = value
    path = write_dicom(tmp_path / "a.dcm", levels, BitsStored=16, HighBit=15, **elements, **padding)
    gray = read_gray(path)
    assert (gray[BORDER] == 0).all()
    assert correlate(path, FILM, ~BORDER) >= LOWEST_CORRELATION
    assert gray[~BORDER].std() > 40


def test_padding_may_use_bits_that_are_not_stored(tmp_path: Path) -> None:
    levels = DEEP.copy()
    levels[BORDER] = 65535
    path = write_dicom(tmp_path / "a.dcm", levels, PixelPaddingValue=65535)
    assert (read_gray(path)[BORDER] == 0).all()
    assert (read_gray(path)[~BORDER] > 0).mean() > 0.98


def test_padding_of_signed_pixels_is_told_with_or_without_its_sign(tmp_path: Path) -> None:
    levels = DEEP.astype(np.int16)
    levels[BORDER] = -2000
    path = write_dicom(tmp_path / "a.dcm", levels, BitsStored=16, HighBit=15)
    file = pydicom.dcmread(path)
    for kind, value in (("SS", -2000), ("US", 65536 - 2000)):
        file.add_new("PixelPaddingValue", kind, value)
        file.save_as(path)
        assert (read_gray(path)[BORDER] == 0).all(), kind
        assert correlate(path, FILM, ~BORDER) >= LOWEST_CORRELATION


def test_padding_that_does_not_occur_changes_nothing(tmp_path: Path) -> None:
    plain = write_dicom(tmp_path / "a.dcm", DEEP // 2 + 1)
    padded = write_dicom(tmp_path / "b.dcm", DEEP // 2 + 1, PixelPaddingValue=0)
    assert np.array_equal(read_gray(plain), read_gray(padded))


def functional_groups(name: str) -> Any:
    """Return groups of which one states something for each frame."""
    group = pydicom.Dataset()
    setattr(group, name, pydicom.Sequence([pydicom.Dataset()]))
    return pydicom.Sequence([group])


REFUSED: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "two frames": (DEEP, {"NumberOfFrames": 2, "PixelData": DEEP.tobytes() * 2}, "more than one"),
    "two frames that it does not state": (DEEP, {"PixelData": DEEP.tobytes() * 2}, "several"),
    "16 bits that it calls 8": (
        DEEP,
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        "several pictures, or deeper ones",
    ),
    "another photometric interpretation": (
        tinted(FILM),
        {"PhotometricInterpretation": "HSV"},
        "photometric interpretation HSV",
    ),
    "no photometric interpretation": (DEEP, {"PhotometricInterpretation": ""}, "not stated"),
    "colours called gray": (tinted(FILM), {}, "3 samples a pixel"),
    "gray called colours": (DEEP, {"PhotometricInterpretation": "RGB"}, "1 samples a pixel"),
    "YBR of 16 bits": (
        tinted(FILM, 4095),
        {"PhotometricInterpretation": "YBR_FULL"},
        "YBR_FULL of 16 bits",
    ),
    "values below the stored bits": (DEEP, {"HighBit": 15}, "values in the 4 bits below"),
    "a high bit that cannot be": (DEEP, {"HighBit": 5}, "cannot be"),
    "no slope": (DEEP, {"RescaleSlope": 0, "RescaleIntercept": 5}, "RescaleSlope 0"),
    "a window of nothing": (DEEP, {"WindowCenter": 5, "WindowWidth": 0}, "window of width 0"),
    "another window function": (
        DEEP,
        {"WindowCenter": 5, "WindowWidth": 10, "VOILUTFunction": "CUBIC"},
        "function CUBIC",
    ),
    "another presentation": (DEEP, {"PresentationLUTShape": "LIN OD"}, "shape LIN OD"),
    "a presentation LUT": (
        DEEP,
        {"PresentationLUTSequence": lookup_table(np.arange(4096), 12)},
        "a presentation LUT",
    ),
    "a rescale by frame": (
        DEEP,
        {"SharedFunctionalGroupsSequence": functional_groups("PixelValueTransformationSequence")},
        "rescale by frame",
    ),
    "padding alone": (DEEP * 0, {"PixelPaddingValue": 0}, "nothing but padding"),
    "half a range of padding": (DEEP, {"PixelPaddingRangeLimit": 9}, "not where it begins"),
    "a palette without colours": (
        LEVELS,
        {"PhotometricInterpretation": "PALETTE COLOR"},
        "damaged",
    ),
    "floating point": (
        DEEP,
        {"FloatPixelData": DEEP.astype("<f4").tobytes()},
        "floating point",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_understood_is_refused_by_name(tmp_path: Path, what: str) -> None:
    pixels, elements, message = REFUSED[what]
    path = write_dicom(tmp_path / "a.dcm", pixels, **elements)
    words = refusal_of(path)
    assert words.startswith(str(path))
    assert message in words


def test_colours_of_dicom_are_measured(tmp_path: Path) -> None:
    hue = (np.dstack([FILM, np.flipud(FILM), np.fliplr(FILM)]) * 255).astype(np.uint8)
    path = write_dicom(tmp_path / "a.dcm", hue, PhotometricInterpretation="RGB")
    assert read_picture(path).colour > 10
    path = write_dicom(tmp_path / "b.dcm", tinted(FILM), PhotometricInterpretation="RGB")
    assert read_picture(path).colour < 3
