"""The one way pixels take from a file to a network, for real and synthetic images alike.

File → 8-bit gray (`read_gray`) → largest centred square → study size (`to_square`). Squares are cropped,
not squeezed or padded: the shape of the film and the width of a border differ between hospitals, and a
classifier would learn them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from runtime.files import atomic

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
MAX_SIDE = 512  # of the images kept in a workspace: twice the largest a generator makes here
MAX_PIXELS = 100_000_000  # a larger file is a mistake or an attack
PERCENTILES = (0.5, 99.5)  # the window that brings deeper images to 8 bits

Image.MAX_IMAGE_PIXELS = None  # the limit is checked below, with a message of our own


def read_gray(path: Path) -> np.ndarray:
    """Decode an image file to uint8 (H, W), at most MAX_SIDE on its longest side, aspect kept.

    Colour is reduced to luminance, transparency laid on black, EXIF orientation applied. 16-bit gray is
    windowed between its 0.5th and 99.5th percentile. Raises ValueError that names the file and what is
    wrong with it, FileNotFoundError when it is absent.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{path} has {image.width}×{image.height} pixels, more than the {MAX_PIXELS:,} that are read")
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith(("I", "F")):
                image = Image.fromarray(_windowed(np.asarray(image, np.float32)))
            elif image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
            image = image.convert("L")
    except FileNotFoundError:
        raise
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not an image that can be read") from error
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the image
        reason = str(error) if str(path) in str(error) else f"{path} is damaged or truncated ({error})"
        raise ValueError(reason) from error
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _windowed(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, PERCENTILES)
    return ((values - low) / max(high - low, 1e-6) * 255).clip(0, 255).round().astype(np.uint8)


def to_square(gray: np.ndarray, size: int) -> np.ndarray:
    """The largest centred square of a uint8 image (H, W), at (size, size); untouched when it has that size already."""
    height, width = gray.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = gray[top : top + side, left : left + side]
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def pixel_hash(gray: np.ndarray) -> str:
    """SHA-256 of an image's shape and pixels: equal for the same picture in any lossless container."""
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
