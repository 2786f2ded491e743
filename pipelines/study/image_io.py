"""The one way pixels take from a file to a network, for real and synthetic images alike.

File → 8-bit gray (`read_gray`) → largest centred square → study size (`to_square`). Squares are
cropped, not squeezed or padded: the shape of the film and the width of a border differ between
hospitals, and a classifier would learn them. Views of the lungs take the lungs' box instead of the
square (`views`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from pipelines.study import dicom
from pipelines.study.file_kinds import image_format
from pipelines.study.raster import IMAGE_FORMATS, decode_gray, explain_unread, png_comment
from pipelines.study.tiff import libtiff_silenced
from runtime.files import atomic, check_file

IMAGE_SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp"),
    *dicom.DICOM_SUFFIXES,
}
MAX_SIDE = 512  # of the images kept in a workspace: the largest that a generator makes here
# A larger picture is a mistake or an attack. One of this size takes a process up to 3 GB, a DICOM
# file its own bytes more.
MAX_PIXELS = 100_000_000
MAX_BYTES = 500_000_000  # of a file

# Pillow refuses twice as many; what lies between is refused below.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


@dataclass(frozen=True)
class Picture:
    """A file as decoded, with what an importer wants to know of it.

    Attributes:
        gray: uint8 (H, W), at most MAX_SIDE on its longest side, aspect kept.
        height, width: In the file.
        colour: See `colourfulness`.
        comment: What a PNG says of itself.
        header: Of a DICOM file.
    """

    gray: np.ndarray
    height: int
    width: int
    colour: float = 0.0
    comment: str = ""
    header: dicom.Header | None = None


def looks_like_image(path: Path) -> bool:
    """Return whether a file is named as an image or begins as one, of a kind that is read."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        return image_format(path) is not None
    except OSError:  # nobody may read it
        return False


def read_gray(path: Path) -> np.ndarray:
    """Return the gray pixels of `read_picture`."""
    return read_picture(path).gray


def read_picture(path: Path) -> Picture:
    """Decode an image file, whatever its suffix says.

    Colour is reduced to luminance, transparency laid on black, EXIF orientation applied, what is
    padding drawn black. What is deeper than 8 bits is windowed between its 0.5th and 99.5th
    percentile, unless it is DICOM and states a window of its own; docs/pixels.md has the whole
    table. Raises ValueError that names the file and what is wrong with it,
    FileNotFoundError when it is absent.
    """
    check_file(path, MAX_BYTES)
    if dicom.is_dicom(path):
        gray, colour, header = dicom.read_dicom(path, MAX_PIXELS)
        height, width = gray.shape
        return Picture(_shrink(Image.fromarray(gray)), height, width, colour, header=header)
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image, libtiff_silenced(image):
            width, height = image.size
            _check_picture(image, path)
            comment = png_comment(image)
            gray_image, colour = decode_gray(image, path)
    except UnidentifiedImageError as error:
        raise ValueError(explain_unread(path)) from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has more pixels than the {MAX_PIXELS:,} that are read") from error
    except Exception as error:  # Pillow raises of every kind on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the image
        reason = (
            str(error) if str(path) in str(error) else f"{path} is damaged or truncated ({error})"
        )
        raise ValueError(reason) from error
    return Picture(_shrink(gray_image), height, width, colour, comment)


def _check_picture(image: ImageFile.ImageFile, path: Path) -> None:
    """Raise ValueError when an opened file is too large, empty, or has several pictures."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{path} has more pixels than the {MAX_PIXELS:,} that are read: {width}×{height}"
        )
    if width * height == 0:
        raise ValueError(f"{path} is damaged: it has no pixels, {width}×{height}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise ValueError(f"{path} holds more than one picture: {frames}")


def _shrink(image: Image.Image) -> np.ndarray:
    """Return the pixels (H, W), made smaller where a side is longer than MAX_SIDE."""
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def to_square(gray: np.ndarray, size: int) -> np.ndarray:
    """Return the largest centred square of a uint8 image (H, W), at (size, size).

    It is untouched when it has that size already.
    """
    left, top, right, bottom = square_box(gray.shape)
    square = gray[top:bottom, left:right]
    if right - left == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def read_exact_square(path: Path, size: int) -> np.ndarray:
    """Read a file as uint8 (size, size). Raises ValueError when it has another size."""
    gray = read_gray(path)
    if gray.shape != (size, size):
        raise ValueError(f"{path} is {gray.shape[1]}×{gray.shape[0]} px, expected {size}×{size}")
    return gray


def square_box(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the largest centred square of an image (H, W): left, top, right, bottom in pixels."""
    height, width = shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return left, top, left + side, top + side


def pixel_hash(gray: np.ndarray) -> str:
    """Return the SHA-256 of an image's shape and pixels.

    It is equal for the same picture in any lossless container.
    """
    return hashlib.sha256(f"{gray.shape}".encode() + gray.tobytes()).hexdigest()


def write_gray(path: Path, gray: np.ndarray, **notes: str) -> None:
    """Write uint8 (H, W) as an 8-bit grayscale PNG; `notes` become its text chunks.

    Whole or absent, but not synced: it is the manifest written after it that says it is there.
    """
    chunks = PngImagePlugin.PngInfo()
    for name, text in notes.items():
        chunks.add_itxt(name, text)
    with atomic(path, sync=False) as file:
        Image.fromarray(gray).save(file, "PNG", pnginfo=chunks)
