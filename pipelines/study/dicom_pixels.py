"""From the pixel data of a DICOM file to 8-bit gray in which bright means dense.

The grayscale pipeline of PS3.3 C.7.6.3, C.11 and PS3.4 N.2: stored bits, padding, modality LUT or
rescale, VOI LUT or window, and MONOCHROME1 or an inverse presentation LUT turned round.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipelines.study.pixel_values import (
    blackened,
    colourfulness,
    luminance_of,
    small_8_bits,
    windowed,
)

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset

# Photometric interpretations that are read, and their samples a pixel. pydicom brings YBR_FULL to
# RGB, decoders of JPEG 2000 the last two.
GRAY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PRESENTATION_SHAPES = ("", "IDENTITY", "INVERSE")
# What would change the pixels and is not read.
UNREAD_ELEMENTS = {
    "PresentationLUTSequence": "a presentation LUT",
    "PixelValueTransformationSequence": "its rescale by frame",
    "FrameVOILUTSequence": "its window by frame",
}
FRAME_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


class DicomGray(NamedTuple):
    """What the pixel data are turned into.

    Attributes:
        gray: uint8 (H, W).
        colour: See `colourfulness`.
    """

    gray: np.ndarray
    colour: float


def check_pixel_description(file: Dataset, path: Path) -> None:
    """Raise ValueError that names the file where it states something that is not read."""
    photometric = _text(file, "PhotometricInterpretation")
    is_single = photometric in GRAY or photometric == PALETTE
    if not is_single and photometric not in COLOURS:
        raise ValueError(
            f"{path} has photometric interpretation {photometric or 'not stated'}, which is not "
            f"read; expected {', '.join((*GRAY, PALETTE, *COLOURS))}"
        )
    samples = int(file.get("SamplesPerPixel") or 1)
    if samples != (1 if is_single else 3):
        raise ValueError(f"{path} has {samples} samples a pixel, which {photometric} does not have")
    allocated, stored = int(file.BitsAllocated), int(file.BitsStored)
    if photometric.startswith("YBR_FULL") and allocated > 8:
        raise ValueError(
            f"{path} has {photometric} of {allocated} bits, which is not read; convert it to RGB "
            "or MONOCHROME2"
        )
    high = _high_bit(file)
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise ValueError(
            f"{path} says that {stored} of {allocated} bits are stored, up to bit {high}, which "
            "cannot be"
        )
    shape = _text(file, "PresentationLUTShape")
    if shape not in PRESENTATION_SHAPES:
        raise ValueError(f"{path} has presentation LUT shape {shape}, which is not read")
    groups = [group for name in FRAME_GROUPS for group in file.get(name) or []]
    for name, what in UNREAD_ELEMENTS.items():
        if any(name in place for place in (file, *groups)):
            raise ValueError(f"{path} states {what} ({name}), which is not read; convert it to PNG")


def render(file: FileDataset, path: Path) -> DicomGray:
    """Return the pixels as a viewer would show them.

    Raises ValueError that names the file where what it states of them cannot be; and whatever
    pydicom raises on damaged files.
    """
    file.pixel_array_options(correct_unused_bits=False)
    cells = file.pixel_array
    if _text(file, "PhotometricInterpretation") in GRAY:
        return DicomGray(_render_gray(file, cells, path), 0.0)
    if _text(file, "PhotometricInterpretation") == PALETTE:
        from pydicom.pixels import apply_color_lut

        pixels = apply_color_lut(_cut_cells(file, cells, path), file)
    else:
        pixels = _cut_cells(file, cells, path)
    return _render_colour(file, pixels, path)


def _render_colour(file: Dataset, pixels: np.ndarray, path: Path) -> DicomGray:
    """Return the luminance of colours (H, W, 3 or, with opacity, 4)."""
    values = luminance_of(pixels)
    is_deep = pixels.dtype != np.uint8 or (
        int(file.BitsStored) != 8 and _text(file, "PhotometricInterpretation") != PALETTE
    )
    gray = windowed(values, path) if is_deep else values.round().astype(np.uint8)
    if pixels.shape[-1] == 4:
        opacity = pixels[..., 3].astype(np.float32) / np.iinfo(pixels.dtype).max
        gray = (gray * opacity).round().astype(np.uint8)
    return DicomGray(gray, colourfulness(small_8_bits(pixels[..., :3], is_deep=is_deep)))


def _render_gray(file: Dataset, cells: np.ndarray, path: Path) -> np.ndarray:
    """Return gray of one sample a pixel: (H, W), uint8."""
    pixels = _cut_cells(file, cells, path)
    outside = _find_padding(file, cells, pixels, path)
    values, in_gray_levels = _apply_voi(file, _apply_modality(file, pixels, path), outside, path)
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} is damaged: some of its pixels are no numbers")
    if _is_inverse(file):
        values = 255 - values if in_gray_levels else -values
    if not in_gray_levels:
        return windowed(values, path, outside)
    gray = values.clip(0, 255).round().astype(np.uint8)
    return gray if outside is None else blackened(gray, outside)


def _is_inverse(file: Dataset) -> bool:
    """Return whether low values are to be shown bright.

    MONOCHROME1 and an inverse presentation LUT say it both, as the standard asks of a DX image, and
    then mean it once.
    """
    is_monochrome1 = _text(file, "PhotometricInterpretation") == "MONOCHROME1"
    return is_monochrome1 or _text(file, "PresentationLUTShape") == "INVERSE"


def _cut_cells(file: Dataset, cells: np.ndarray, path: Path) -> np.ndarray:
    """Return the values without what may stand in the bits beside the stored ones.

    Overlays may, of old files. Raises ValueError that names the file where they are said to stand
    above bits that are not empty: then it is not known which are the picture's.
    """
    allocated, stored = cells.dtype.itemsize * 8, int(file.BitsStored)
    above = allocated - 1 - _high_bit(file)
    below = allocated - stored - above
    is_unpacked = not file.file_meta.TransferSyntaxUID.is_encapsulated
    if not is_unpacked and not file.file_meta.TransferSyntaxUID.name.startswith("RLE"):
        above, below = allocated - stored, 0  # a decoder has put them in place
    if below and (cells & (2**below - 1)).any():
        raise ValueError(
            f"{path} says that its {stored} bits end at bit {_high_bit(file)}, but has values in "
            f"the {below} bits below them"
        )
    if above + below == 0:
        return cells
    return (cells << above) >> (above + below)  # keeps the sign of signed values


def _find_padding(
    file: Dataset, cells: np.ndarray, pixels: np.ndarray, path: Path
) -> np.ndarray | None:
    """Return which pixels are padding, bool (H, W); None where the file states no such value."""
    value, limit = _number(file, "PixelPaddingValue"), _number(file, "PixelPaddingRangeLimit")
    if value is None:
        if limit is not None:
            raise ValueError(
                f"{path} states where its padding ends (PixelPaddingRangeLimit {limit:.0f}) and "
                "not where it begins (PixelPaddingValue)"
            )
        return None
    limits = [_as_cell(number, cells) for number in (value, value if limit is None else limit)]
    low, high = min(limits), max(limits)
    outside = (pixels >= low) & (pixels <= high)
    if pixels is not cells:  # padding may use the bits that are not stored
        outside |= (cells >= low) & (cells <= high)
    return outside if outside.any() else None


def _as_cell(number: float, cells: np.ndarray) -> int:
    """Return a number as cells hold it: its sign is often told wrong in the header."""
    bits = cells.dtype.itemsize * 8
    value = int(number) % 2**bits
    return value - 2**bits if cells.dtype.kind == "i" and value >= 2 ** (bits - 1) else value


def _apply_modality(file: Dataset, pixels: np.ndarray, path: Path) -> np.ndarray:
    """Return the values after modality LUT or rescale; integers where they were left alone."""
    if file.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        return apply_modality_lut(pixels, file)
    slope, intercept = _number(file, "RescaleSlope"), _number(file, "RescaleIntercept")
    slope = 1.0 if slope is None else slope
    if slope == 0:
        raise ValueError(f"{path} rescales all of its pixels to one value (RescaleSlope 0)")
    if slope == 1 and not intercept:
        return pixels
    return pixels * slope + (intercept or 0.0)


def _apply_voi(
    file: Dataset, values: np.ndarray, outside: np.ndarray | None, path: Path
) -> tuple[np.ndarray, bool]:
    """Return the values after VOI LUT or window, and whether they are gray levels of 0 to 255.

    Of several windows or tables the first is used. What a window leaves is spread over all levels.
    """
    if file.get("VOILUTSequence"):
        from pydicom.pixels import apply_voi_lut

        looked_up = apply_voi_lut(np.rint(values).astype(np.int32), file, prefer_lut=True)
        levels = 2 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return looked_up.astype(np.float32) / max(levels, 1) * 255, True
    centre, width = _number(file, "WindowCenter"), _number(file, "WindowWidth")
    if centre is not None and width is not None:
        shown = _apply_window(file, values, centre, width, path)
        inside = shown if outside is None else shown[~outside]
        if inside.size:
            low, high = inside.min(), inside.max()
            return (shown - low) / max(high - low, 1e-6) * 255, True
    is_8_bits = int(file.BitsStored) == 8 and abs(_number(file, "RescaleSlope") or 1) == 1
    return values, bool(is_8_bits and values.min() >= 0 and values.max() <= 255)


def _apply_window(
    file: Dataset, values: np.ndarray, centre: float, width: float, path: Path
) -> np.ndarray:
    """Return the values between 0 and 1, float32, by the functions of PS3.3 C.11.2.1.

    pydicom's own turns a picture round whose rescale slope is negative.
    """
    function = _text(file, "VOILUTFunction") or "LINEAR"
    if width < 1 if function == "LINEAR" else width <= 0:
        raise ValueError(f"{path} has a window of width {width:g}, which shows nothing")
    if function == "SIGMOID":
        steps = (-4 * (values.astype(np.float32) - centre) / width).clip(-80, 80)
        return 1 / (1 + np.exp(steps))
    if function == "LINEAR":
        centre, width = centre - 0.5, max(width - 1, 1e-6)
    elif function != "LINEAR_EXACT":
        raise ValueError(
            f"{path} has a window of function {function}, which is not read; expected LINEAR, "
            "LINEAR_EXACT or SIGMOID"
        )
    return ((values.astype(np.float32) - centre) / width + 0.5).clip(0, 1)


def _high_bit(file: Dataset) -> int:
    high = file.get("HighBit")
    return int(file.BitsStored) - 1 if high is None else int(high)


def _number(file: Dataset, name: str) -> float | None:
    """Return the first number of an element, None where it is absent or empty."""
    value = file.get(name)
    if isinstance(value, (bytes, str)) or value is None:
        value = value or None
    elif not isinstance(value, (int, float)):
        value = value[0] if len(value) else None
    if isinstance(value, bytes):  # of unknown kind in the header
        return float(int.from_bytes(value, "little"))
    return None if value is None else float(value)


def _text(file: Dataset, name: str) -> str:
    return str(file.get(name) or "").strip().upper()
