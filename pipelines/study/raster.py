"""PNG, JPEG, TIFF, BMP and WebP: from what Pillow opens to 8-bit gray.

Pillow keeps one byte of two where a picture has colours or opacity of 16 bits. Here both are read:
a film of 12 bits saved so has all that is seen of it in the other one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, TiffImagePlugin

from pipelines.study import tiff
from pipelines.study.file_kinds import other_format, read_head
from pipelines.study.pixel_values import (
    blackened,
    colourfulness,
    luminance_of,
    small_8_bits,
    windowed,
)

# What is read whatever the suffix says. Of other formats Pillow hands some to programs, EPS to
# Ghostscript.
IMAGE_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
DEEP_COLOUR = re.compile(r"(LA|RGB|RGBA|RGBX|RGBa|CMYK);16([BLN])")  # as Pillow is to unpack them
# In PNG of gray of few bits: by how much Pillow multiplies it.
GRAY_FACTORS = {"1": 255, "L;2": 85, "L;4": 17}


class GrayPicture(NamedTuple):
    """What a file is turned into.

    Attributes:
        gray: Of mode L, upright.
        colour: See `colourfulness`.
    """

    gray: Image.Image
    colour: float


def decode_gray(image: ImageFile.ImageFile, path: Path) -> GrayPicture:
    """Decode an opened file of one picture.

    Colour is reduced to luminance, transparency laid on black, orientation applied. What is deeper
    than 8 bits is windowed. Raises ValueError that names the file when what it states is not read,
    and whatever Pillow raises on damaged files.
    """
    tags = None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = tiff.prepare_tiff(image, path)
    _check_cmyk(image, path)
    rawmode = _rawmode(image)
    if deep := DEEP_COLOUR.fullmatch(rawmode):
        return _decode_deep_colour(image, path, *deep.groups())
    factor = GRAY_FACTORS.get(rawmode, 1)
    upright = ImageOps.exif_transpose(image)
    if tags is not None and tiff.is_gray(tags):
        return GrayPicture(_gray_of_tiff(upright, tags, path), 0.0)
    if image.mode in ("1", "L") or image.mode.startswith(("I", "F")):
        return GrayPicture(_gray_of_gray(upright, factor, path), 0.0)
    return _gray_of_colour(upright)


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Return how Pillow is to unpack the samples of an opened file; empty where it does not say."""
    args = image.tile[0][3] if image.tile else ""
    if isinstance(args, tuple):
        args = args[0] if args else ""
    return args if isinstance(args, str) else ""


def _check_cmyk(image: ImageFile.ImageFile, path: Path) -> None:
    """Raise ValueError where the inks of a JPEG may mean one thing or its opposite."""
    if image.format in ("JPEG", "MPO") and image.mode == "CMYK" and "adobe" not in image.info:
        raise ValueError(
            f"{path} has CMYK colours and no Adobe marker: it does not say whether 0 is no ink or "
            "all of it; save it as gray PNG"
        )


def _gray_of_tiff(image: Image.Image, tags: tiff.TiffTags, path: Path) -> Image.Image:
    """Return a TIFF of one gray sample as 8-bit gray."""
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    values, outside = tiff.gray_values(pixels, tags)
    if values.dtype != np.uint8:
        return Image.fromarray(windowed(values, path, outside))
    return Image.fromarray(values if outside is None else blackened(values, outside))


def _gray_of_gray(image: Image.Image, factor: int, path: Path) -> Image.Image:
    """Return gray of any depth as 8-bit gray; one value of a PNG may be transparent."""
    outside = None
    transparent = image.info.get("transparency")
    is_deep = image.mode not in ("1", "L")
    if not is_deep:
        image = image.convert("L")
    if isinstance(transparent, int):
        outside = np.asarray(image) == transparent * factor
    if is_deep:
        return Image.fromarray(windowed(np.asarray(image, np.float32), path, outside))
    return image if outside is None else Image.fromarray(blackened(np.asarray(image), outside))


def _gray_of_colour(image: Image.Image) -> GrayPicture:
    """Return 8-bit colour, or gray with opacity, as 8-bit gray."""
    if image.mode in ("LA", "La"):
        if image.mode == "La":  # opacity is in the gray already
            return GrayPicture(Image.fromarray(np.asarray(image)[..., 0]), 0.0)
        black = Image.new("L", image.size)
        gray = Image.composite(image.getchannel("L"), black, image.getchannel("A"))
        return GrayPicture(gray, 0.0)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    image = image.convert("RGB")
    return GrayPicture(image.convert("L"), colourfulness(image))


def _decode_deep_colour(
    image: ImageFile.ImageFile, path: Path, samples: str, order: str
) -> GrayPicture:
    """Decode a file of 16-bit samples that have colours or opacity."""
    if samples in ("RGBa", "CMYK"):
        what = "CMYK colours" if samples == "CMYK" else "opacity multiplied into its colours"
        raise ValueError(f"{path} has 16 bits and {what}, which is not read; save it as gray PNG")
    transparent = image.info.get("transparency")
    pixels = _load_16_bits(image, path, samples, order)  # (H, W, 2 to 4)
    channels, opacity = pixels, None
    if samples in ("LA", "RGBA"):
        channels, opacity = pixels[..., :-1], pixels[..., -1].astype(np.float32) / 65535
    elif isinstance(transparent, tuple):
        opacity = (pixels != transparent).any(axis=-1).astype(np.float32)
    is_gray = channels.shape[-1] == 1
    values = channels[..., 0].astype(np.float32) if is_gray else luminance_of(channels)
    gray = windowed(values, path, None if opacity is None else opacity == 0)
    if opacity is not None:
        gray = (gray * opacity).round().astype(np.uint8)
    colour = 0.0 if is_gray else colourfulness(small_8_bits(channels))
    return GrayPicture(Image.fromarray(gray), colour)


def _load_16_bits(image: ImageFile.ImageFile, path: Path, samples: str, order: str) -> np.ndarray:
    """Return all bits, uint16 (H, W, channels), of what Pillow would cut to one byte a sample.

    It is told to unpack the samples as if their bytes stood in the other order, which gives it the
    low ones.
    """
    if samples == "LA":  # four bytes a pixel, as of RGBA
        _unpack_as(image, "RGBA")
        four = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
        return four[..., 0::2] << 8 | four[..., 1::2]
    machine = "L" if sys.byteorder == "little" else "B"
    other_order = "B" if (machine if order == "N" else order) == "L" else "L"
    with Image.open(path, formats=IMAGE_FORMATS) as again:
        _unpack_as(again, f"{samples};16{other_order}")
        low = np.asarray(ImageOps.exif_transpose(again))
    high = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
    high <<= 8
    high |= low
    return high


def _unpack_as(image: ImageFile.ImageFile, rawmode: str) -> None:
    """Have an opened file unpacked in another way when it is loaded."""
    image.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in image.tile
    ]


def explain_unread(path: Path) -> str:
    """Return why Pillow does not know a file as one of the formats that are read."""
    head = read_head(path)
    other = other_format(head)
    if other:
        return f"{path} is {other}, which is not read; save it as PNG"
    if head.startswith((b"II", b"MM")) and (samples := tiff.describe_tiff(path)):
        return f"{path} is TIFF of {samples}, which is not read; save it as gray PNG or TIFF"
    if head.startswith(b"\xff\xd8\xff") and (bits := _jpeg_bits(path)) not in (0, 8):
        return f"{path} is JPEG of {bits} bits, which is not read; save it as gray PNG"
    return f"{path} is not an image that can be read"


def _jpeg_bits(path: Path) -> int:
    """Return the bits of a sample that a JPEG's frame header states, 0 where none is found."""
    with open(path, "rb") as file:
        content = file.read(1_000_000)
    place = 2
    while place + 5 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return content[place + 4]
        place += 2 + length
    return 0


def png_comment(image: ImageFile.ImageFile) -> str:
    """Return what a PNG says of itself."""
    is_png = isinstance(image, PngImagePlugin.PngImageFile)
    return str(image.info.get("Comment", "")) if is_png else ""
