"""The one way pixels take from a file to a network, for real and synthetic images alike.

File → 8-bit gray (`read_gray`) → largest centred square → study size (`to_square`). Squares are
cropped, not squeezed or padded: the shape of the film and the width of a border differ between
hospitals, and a classifier would learn them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

from pipelines.study import dicom
from pipelines.study.file_kinds import image_format
from runtime.files import atomic, check_file

IMAGE_SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp"),
    *dicom.DICOM_SUFFIXES,
}
# What is read whatever the suffix says. Of other formats Pillow hands some to programs, EPS to
# Ghostscript.
IMAGE_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
MAX_SIDE = 512  # of the images kept in a workspace: twice the largest a generator makes here
# A larger picture is a mistake or an attack. One of this size takes a process up to 3 GB, a DICOM
# file its own bytes more.
MAX_PIXELS = 100_000_000
MAX_BYTES = 500_000_000  # of a file
PERCENTILES = (0.5, 99.5)  # the window that brings deeper images to 8 bits
# ITU-R BT.601, as Pillow weighs the colours
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)

# Pillow refuses twice as many; what lies between is refused below.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
_STDERR_LOCK = threading.Lock()


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

    Colour is reduced to luminance, transparency laid on black, EXIF orientation applied. What is
    deeper than 8 bits is windowed between its 0.5th and 99.5th percentile, unless it is DICOM and
    states a window of its own. Raises ValueError that names the file and what is wrong with it,
    FileNotFoundError when it is absent.
    """
    check_file(path, MAX_BYTES)
    if dicom.is_dicom(path):
        values, header = dicom.read_dicom(path, MAX_PIXELS)
        gray = values if values.dtype == np.uint8 else windowed(values, path)
        height, width = gray.shape
        return Picture(_shrink(Image.fromarray(gray)), height, width, header=header)
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image, _libtiff_silenced(image.format):
            width, height = image.size
            _check_picture(image, path)
            comment = str(image.info.get("Comment", "")) if image.format == "PNG" else ""
            gray_image, colour = _to_gray(ImageOps.exif_transpose(image), path)
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not an image that can be read") from error
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


def _to_gray(image: Image.Image, path: Path) -> tuple[Image.Image, float]:
    """Return an image of any mode as 8-bit gray, and how colourful it was."""
    colour = 0.0
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(windowed(np.asarray(image, np.float32), path))
    elif image.mode == "LA":
        black = Image.new("L", image.size)
        image = Image.composite(image.getchannel("L"), black, image.getchannel("A"))
    elif image.mode not in ("L", "1"):
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
        image = image.convert("RGB")
        colour = colourfulness(image)
    return image.convert("L"), colour


@contextlib.contextmanager
def _libtiff_silenced(image_format: str | None) -> Iterator[None]:
    """Keep from standard error what libtiff writes there by itself.

    What is wrong is raised all the same.
    """
    if image_format != "TIFF":
        yield
        return
    with _STDERR_LOCK, open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _shrink(image: Image.Image) -> np.ndarray:
    """Return the pixels (H, W), made smaller where a side is longer than MAX_SIDE."""
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def windowed(values: np.ndarray, path: Path) -> np.ndarray:
    """Bring deep gray values (H, W) to uint8, from the 0.5th to the 99.5th percentile.

    Raises ValueError that names their file when some are no numbers.
    """
    low, high = np.percentile(values, PERCENTILES)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} is damaged: some of its pixels are no numbers")
    return ((values - low) / max(high - low, 1e-6) * 255).clip(0, 255).round().astype(np.uint8)


def colourfulness(image: Image.Image) -> float:
    """Measure how much the colours of an RGB image vary at equal luminance, in gray levels.

    It is the mean distance from the mean hue of that luminance. A film photographed through a
    tinted lamp has one hue for each gray and scores near 0; a photograph or a drawing does not. Of
    the public X-rays at hand, tinted ones among them, the highest has 6.9; photographs have 13 and
    more.
    """
    image = image.copy()
    image.thumbnail((128, 128))
    pixels = np.asarray(image, np.float32).reshape(-1, 3)
    luminance = pixels @ LUMINANCE
    chroma = pixels[:, [0, 2]] - luminance[:, None]  # (P, 2)
    level = (luminance / 16).astype(int)
    count = np.maximum(np.bincount(level, minlength=17), 1)
    sums = [np.bincount(level, chroma[:, channel], 17) for channel in (0, 1)]
    mean = np.stack([total / count for total in sums], axis=1)  # (17, 2)
    return float(np.linalg.norm(chroma - mean[level], axis=1).mean())


def to_square(gray: np.ndarray, size: int) -> np.ndarray:
    """Return the largest centred square of a uint8 image (H, W), at (size, size).

    It is untouched when it has that size already.
    """
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = gray[top : top + side, left : left + side]
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


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
