"""Pixels from every kind of file, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.cleaning import MAX_COLOUR, find_fault
from pipelines.study.image_io import (
    MAX_SIDE,
    Picture,
    read_gray,
    read_picture,
    to_square,
)
from pipelines.study.pixel_values import colourfulness

# 0 to 222, smooth, so that JPEG keeps it
RAMP = np.add.outer(np.arange(96), np.arange(128)).astype(np.uint8)
GRAY = Image.fromarray(RAMP)
DEEP = RAMP.astype(np.uint16) * 18 + 1000


def with_alpha(image: Image.Image, alpha: int) -> Image.Image:
    """Give a gray or colour image the same opacity everywhere."""
    opacity = Image.new("L", image.size, alpha)
    return Image.merge(f"{image.mode}A", (*image.split(), opacity))


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("gray.png", GRAY, {}),
        ("rgb.png", GRAY.convert("RGB"), {}),
        ("rgba.png", GRAY.convert("RGBA"), {}),
        ("la.png", with_alpha(GRAY, 255), {}),
        ("palette.png", GRAY.quantize(256), {}),
        ("really a png.jpg", GRAY, {"format": "PNG"}),
        ("gray.tif", GRAY, {}),
        ("gray.bmp", GRAY, {}),
        ("gray.jpg", GRAY, {"quality": 98}),
        ("gray.webp", GRAY, {"quality": 98}),
        ("rgb.jpg", GRAY.convert("RGB"), {"quality": 98}),
        ("cmyk.jpg", GRAY.convert("RGB").convert("CMYK"), {"quality": 98}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_and_container_gives_the_same_pixels(
    tmp_path: Path, name: str, image: Image.Image, options: dict[str, Any]
) -> None:
    image.save(tmp_path / name, **options)
    picture = read_picture(tmp_path / name)
    assert np.abs(picture.gray.astype(int) - RAMP).max() <= 4
    assert picture.colour < 3


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_is_transparent_is_black(tmp_path: Path, mode: str) -> None:
    with_alpha(GRAY.convert(mode), 0).save(tmp_path / "clear.png")
    assert read_gray(tmp_path / "clear.png").max() == 0


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(RAMP > 100).save(tmp_path / "one.png")
    assert set(np.unique(read_gray(tmp_path / "one.png"))) == {0, 255}


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_sixteen_bits_keep_their_contrast(tmp_path: Path, name: str) -> None:
    Image.fromarray(DEEP).save(tmp_path / name)
    gray = read_gray(tmp_path / name)
    assert (gray.min(), gray.max()) == (0, 255)
    assert len(np.unique(gray)) > 200


def test_a_burnt_in_marker_does_not_darken_the_rest(tmp_path: Path) -> None:
    marked = DEEP.copy()
    marked[0, :5] = 65535
    Image.fromarray(DEEP).save(tmp_path / "plain.png")
    Image.fromarray(marked).save(tmp_path / "marked.png")
    difference = read_gray(tmp_path / "marked.png").astype(int) - read_gray(tmp_path / "plain.png")
    assert np.abs(difference).mean() < 3


def test_a_photographed_film_is_turned_upright(tmp_path: Path) -> None:
    exif = GRAY.getexif()
    exif[0x0112] = 6
    GRAY.save(tmp_path / "turned.jpg", exif=exif, quality=98)
    assert read_gray(tmp_path / "turned.jpg").shape == (128, 96)


def cut_short(path: Path) -> None:
    GRAY.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def two_pictures(path: Path) -> None:
    GRAY.save(path, save_all=True, append_images=[GRAY.copy()])


def many_pixels(path: Path) -> None:
    Image.new("1", (11_000, 10_000)).save(path)  # 110 million in a few kilobytes


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("cut.png", cut_short, "damaged or truncated"),
        ("text.png", lambda path: path.write_text("hello"), "not an image"),
        ("empty.png", lambda path: path.write_bytes(b""), "not an image"),
        ("two.tif", two_pictures, "more than one picture"),
        ("bomb.png", many_pixels, "more pixels than the 100,000,000 that are read: 11000×10000"),
    ],
    ids=["cut short", "text", "empty", "two pictures", "decompression bomb"],
)
def test_what_cannot_be_read_says_which_file_and_why(
    tmp_path: Path, name: str, write: Callable[[Path], object], message: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(ValueError, match=message) as caught:
        read_gray(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_an_absent_file_is_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_gray(tmp_path / "absent.png")


def test_large_images_are_made_smaller(tmp_path: Path) -> None:
    GRAY.resize((1400, 700)).save(tmp_path / "large.png")
    picture = read_picture(tmp_path / "large.png")
    assert picture.gray.shape == (MAX_SIDE // 2, MAX_SIDE)
    assert (picture.width, picture.height) == (1400, 700)


def test_the_square_is_the_middle() -> None:
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 200
    assert (to_square(wide, 10) == 200).all()


def test_a_square_of_the_size_is_untouched() -> None:
    assert np.array_equal(to_square(RAMP[:, :96], 96), RAMP[:, :96])


def test_a_tint_is_no_colour() -> None:
    darker, dark = (GRAY.point(lambda v, part=part: int(v * part)) for part in (0.5, 0.8))
    assert colourfulness(Image.merge("RGB", (darker, dark, GRAY))) < 2


def test_a_photograph_is_told_by_its_colours(tmp_path: Path) -> None:
    hue = Image.fromarray(RAMP.T).resize(GRAY.size)
    photo = Image.merge("HSV", (hue, Image.new("L", GRAY.size, 150), GRAY)).convert("RGB")
    photo.save(tmp_path / "photo.png")
    picture = read_picture(tmp_path / "photo.png")
    assert picture.colour > MAX_COLOUR
    assert "by its colours" in (find_fault(picture, 64) or "")


@pytest.fixture(scope="module")
def raw_originals(shared: Path) -> dict[str, Picture]:
    """Originals as published, two DICOM files among them."""
    pytest.importorskip("pydicom")
    return {path.name: read_picture(path) for path in sorted((shared / "data" / "raw").iterdir())}


def test_raw_originals_are_radiographs(raw_originals: dict[str, Picture]) -> None:
    assert len(raw_originals) == 24
    for name, picture in raw_originals.items():
        assert max(picture.gray.shape) <= MAX_SIDE, name
        assert find_fault(picture, 64) is None, name


def test_the_same_pixels_called_monochrome1_and_2(raw_originals: dict[str, Picture]) -> None:
    plain = raw_originals["1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm"]
    inverted = raw_originals["Fake_MONOHR1.dcm"]
    assert np.abs(plain.gray.astype(int) + inverted.gray - 255).max() <= 2
    assert plain.header is not None
    assert plain.header.patient == "16d7f894-55d7-4d95-8957-d18987f0e981"
    assert plain.header.view == "PA"
