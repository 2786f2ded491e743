"""Pixels from every kind of file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.cleaning import COLOUR, NEAR, SAME, fault, near_pairs, perceptual_hash
from pipelines.study.image_io import (
    MAX_SIDE,
    Picture,
    colourfulness,
    read_gray,
    read_picture,
    to_square,
)

RAMP = np.add.outer(np.arange(96), np.arange(128)).astype(
    np.uint8
)  # 0 to 222, smooth, so that JPEG keeps it


def test_pixels_of_every_mode_and_container(tmp_path: Path) -> None:
    plain = Image.fromarray(RAMP)
    plain.save(tmp_path / "gray.png")
    plain.convert("RGB").save(tmp_path / "rgb.png")
    plain.convert("RGBA").save(tmp_path / "rgba.png")
    Image.merge("LA", (plain, Image.new("L", plain.size, 255))).save(tmp_path / "la.png")
    plain.quantize(256).save(tmp_path / "palette.png")
    plain.save(tmp_path / "really a png.jpg", "PNG")
    for suffix in ("tif", "bmp", "jpg", "webp"):
        plain.save(tmp_path / f"gray.{suffix}", quality=98)
    plain.convert("RGB").save(tmp_path / "rgb.jpg", quality=98)
    plain.convert("RGB").convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    for path in tmp_path.iterdir():
        assert np.abs(read_gray(path).astype(int) - RAMP).max() <= 4, path
        assert read_picture(path).colour < 3, path
    for name, mode in (("half.png", "RGBA"), ("half-gray.png", "LA")):  # transparent is black
        Image.merge(mode, (*[plain] * (len(mode) - 1), Image.new("L", plain.size, 0))).save(
            tmp_path / name
        )
        assert read_gray(tmp_path / name).max() == 0


def test_one_bit_and_sixteen(tmp_path: Path) -> None:
    Image.fromarray(RAMP > 100).save(tmp_path / "one.png")
    assert set(np.unique(read_gray(tmp_path / "one.png"))) == {0, 255}
    deep = RAMP.astype(np.uint16) * 18 + 1000
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        read = read_gray(tmp_path / name)
        assert read.min() == 0
        assert read.max() == 255
        assert len(np.unique(read)) > 200
    deep[0, :5] = 65535  # a burnt-in marker must not darken the rest
    Image.fromarray(deep).save(tmp_path / "marked.png")
    assert np.abs(read_gray(tmp_path / "marked.png").astype(int) - read).mean() < 3


def test_the_orientation_of_a_photographed_film(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif, quality=98)
    assert read_gray(tmp_path / "turned.jpg").shape == (128, 96)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "none.png").write_bytes(b"")
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP)]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    for name, message in (
        ("cut.png", "damaged or truncated"),
        ("text.png", "not an image"),
        ("none.png", "not an image"),
        ("two.tif", "more than one picture"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            read_gray(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
    with pytest.raises(FileNotFoundError):
        read_gray(tmp_path / "absent.png")


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    Image.new("1", (11_000, 10_000)).save(
        tmp_path / "bomb.png"
    )  # 110 million pixels in a few kilobytes
    with pytest.raises(
        ValueError, match="more pixels than the 100,000,000 that are read: 11000×10000"
    ):
        read_gray(tmp_path / "bomb.png")


def test_large_images_are_reduced_and_squares_cropped(tmp_path: Path) -> None:
    Image.fromarray(RAMP).resize((1400, 700)).save(tmp_path / "large.png")
    picture = read_picture(tmp_path / "large.png")
    assert picture.gray.shape == (MAX_SIDE // 2, MAX_SIDE)
    assert (picture.width, picture.height) == (
        1400,
        700,
    )
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 20:40] = 200
    assert (to_square(wide, 10) == 200).all()
    assert np.array_equal(to_square(RAMP[:, :96], 96), RAMP[:, :96])


def test_a_tint_is_no_colour_but_a_photograph_is(tmp_path: Path) -> None:
    gray = Image.fromarray(RAMP)
    tinted = Image.merge(
        "RGB", (gray.point(lambda v: v // 2), gray.point(lambda v: int(v * 0.8)), gray)
    )
    hues = Image.merge(
        "HSV", (Image.fromarray(RAMP.T).resize(gray.size), Image.new("L", gray.size, 150), gray)
    ).convert("RGB")
    assert colourfulness(tinted) < 2 < COLOUR < colourfulness(hues)
    hues.save(tmp_path / "photo.png")
    assert fault(read_picture(tmp_path / "photo.png"), 64).startswith(
        "not a radiograph by its colours"
    )


def test_faults() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80), dtype=np.uint8)
    assert fault(Picture(noise, 80, 80), 64) is None
    assert fault(Picture(noise, 80, 63), 64).startswith("too small: 63×80")
    assert fault(Picture(np.full((80, 80), 7, np.uint8), 80, 80), 64).startswith("blank")
    assert fault(
        Picture(noise, 80, 80, comment="synthetic: drawn by a generative network, not a patient"),
        64,
    ).startswith("not real")


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
        if (bits[i] != bits[j]).sum() <= NEAR
    }
    assert expected
    assert set(near_pairs(hashes, 80)) == expected


def test_versions_of_a_film_are_near_and_other_films_are_not(shared: Path) -> None:
    folder = shared / "data" / "chestxray8-subset" / "No_findings"
    films = [read_gray(path) for path in sorted(folder.iterdir())[:60]]

    def bits(text: str) -> np.ndarray:
        return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))

    hashes = [bits(perceptual_hash(film)) for film in films]
    changed = [np.asarray(Image.fromarray(film).resize((150, 140))) for film in films]
    changed = [(255 * (film / 255) ** 0.8).astype(np.uint8) for film in changed]
    moved = [(bits(perceptual_hash(film)) != before).sum() for film, before in zip(changed, hashes)]
    assert np.mean(np.array(moved) <= SAME) > 0.9
    assert max(moved) <= NEAR
    assert (
        min(
            (hashes[i] != hashes[j]).sum()
            for i in range(60)
            for j in range(i)
            if not np.array_equal(films[i], films[j])
        )
        > NEAR
    )


def test_the_raw_originals_import_right(shared: Path) -> None:
    pytest.importorskip("pydicom")
    pictures = {
        path.name: read_picture(path) for path in sorted((shared / "data" / "raw").iterdir())
    }
    assert len(pictures) == 24
    for name, picture in pictures.items():
        assert max(picture.gray.shape) <= MAX_SIDE and fault(picture, 64) is None, name
    # The same pixels, once called MONOCHROME2 and once MONOCHROME1.
    plain, inverted = (
        pictures["1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm"],
        pictures["Fake_MONOHR1.dcm"],
    )
    assert np.abs(plain.gray.astype(int) + inverted.gray - 255).max() <= 2
    assert (plain.header.patient, plain.header.view) == (
        "16d7f894-55d7-4d95-8957-d18987f0e981",
        "PA",
    )
