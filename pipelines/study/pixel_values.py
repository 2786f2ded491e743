"""From the values of pixels to 8-bit gray: windows, luminance, and how colourful a picture is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

PERCENTILES = (0.5, 99.5)  # the window that brings deeper images to 8 bits
# ITU-R BT.601, as Pillow weighs the colours
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
SIDE_OF_SMALL = 256  # pixels, of what colours are measured on where there are more
ROWS_AT_ONCE = 256  # of a colour picture turned gray, for their memory


def windowed(values: np.ndarray, path: Path, outside: np.ndarray | None = None) -> np.ndarray:
    """Bring deep gray values (H, W) to uint8, from the 0.5th to the 99.5th percentile.

    outside: bool (H, W), pixels that are no part of the picture: left out of the percentiles, and
        black. Where all that is inside but a few pixels is of one value, the window is the whole
        range.

    Raises ValueError that names their file when some are no numbers, or all are outside.
    """
    inside = values if outside is None else values[~outside]
    low, high = _find_window(inside, path)
    if outside is not None:
        values = np.where(outside, values.dtype.type(low), values)  # they may be no numbers
    gray = ((values - low) / max(high - low, 1e-6) * 255).clip(0, 255).round().astype(np.uint8)
    return gray if outside is None else blackened(gray, outside)


def _find_window(values: np.ndarray, path: Path) -> tuple[float, float]:
    """Return the values between which `windowed` shows these; raises ValueError as it does."""
    if values.size == 0:
        raise ValueError(f"{path} is nothing but padding: no pixel is part of the picture")
    low, high = np.percentile(values, PERCENTILES)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} is damaged: some of its pixels are no numbers")
    if low == high:
        low, high = values.min(), values.max()
    return low, high


def blackened(gray: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Return uint8 gray (H, W) with what is outside of the picture black."""
    return np.where(outside, np.uint8(0), gray)


def luminance_of(pixels: np.ndarray) -> np.ndarray:
    """Return the luminance, float32 (H, W), of colours (H, W, 3 or more), few rows at a time."""
    parts = np.array_split(pixels, math.ceil(len(pixels) / ROWS_AT_ONCE) or 1)
    return np.concatenate([part[..., :3].astype(np.float32) @ LUMINANCE for part in parts])


def small_8_bits(pixels: np.ndarray, *, is_deep: bool = True) -> Image.Image:
    """Return a small RGB image of colours (H, W, 3), for `colourfulness`.

    is_deep: they are not of 0 to 255, and are brought to that.
    """
    step = max(1, max(pixels.shape) // SIDE_OF_SMALL)
    part = pixels[::step, ::step].astype(np.float32)
    if is_deep:
        part *= 255 / max(float(part.max()), 1.0)
    return Image.fromarray(part.round().astype(np.uint8))


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
