"""What TIFF states of its pixels and Pillow does not heed: which end is white, signs, padding.

Pillow decodes the samples. It turns WhiteIsZero round up to 8 bits only, knows it at some depths
and byte orders only, reads what is unsigned as signed and the other way, takes one byte of two
where deep colours lie in separate planes, and muddles some pictures that are turned.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, ImageFile, TiffImagePlugin

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR, CIELAB = 0, 1, 2, 3, 6, 8
SEPARATE_PLANES = 2
ASSOCIATED = 1  # of extra samples: opacity that is multiplied into the colours
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # formats of a sample
NO_DATA = 42113  # GDAL's tag: the value, in decimals, of pixels that are none
# What libtiff has unpacked is in the machine's byte order, whatever the file's.
NATIVE_RAWMODES = {
    "F;32BF": "F;32NF",
    "F;32F": "F;32NF",
    "I;16BS": "I;16NS",
    "I;16S": "I;16NS",
    "I;32BS": "I;32NS",
    "I;32S": "I;32NS",
    "I;32B": "I;32N",
}
_STDERR_LOCK = threading.Lock()
Tags = ExifTags.Base


def _teach_pillow_gray() -> None:
    """Add to Pillow's table the kinds of gray that it could decode and does not list.

    They are WhiteIsZero at the depths at which it has BlackIsZero, as if it were that: `TiffGray`
    turns round what Pillow does not; and big-endian samples of 32 bits without sign.
    """
    known = TiffImagePlugin.OPEN_INFO
    known.setdefault((TiffImagePlugin.MM, 1, (1,), 1, (32,), ()), ("I", "I;32B"))
    for (order, photometric, kind, fill, bits, extra), modes in list(known.items()):
        if photometric == BLACK_IS_ZERO and len(bits) == 1:
            known.setdefault((order, WHITE_IS_ZERO, kind, fill, bits, extra), modes)


_teach_pillow_gray()


class TiffTags:
    """The tags of an opened TIFF that say what its samples mean."""

    def __init__(self, image: TiffImagePlugin.TiffImageFile) -> None:
        tags = image.tag_v2
        self.order: bytes = tags.prefix
        self.photometric: int | None = tags.get(Tags.PhotometricInterpretation)
        self.bits: tuple[int, ...] = _tuple_of(tags.get(Tags.BitsPerSample, 1))
        self.sample_format: int = _tuple_of(tags.get(Tags.SampleFormat, UNSIGNED))[0]
        self.fill_order: int = tags.get(Tags.FillOrder, 1)
        self.planes: int = tags.get(Tags.PlanarConfiguration, 1)
        self.samples: int = tags.get(Tags.SamplesPerPixel, 1)
        self.extra: tuple[int, ...] = _tuple_of(tags.get(Tags.ExtraSamples, ()))
        self.compression: int = tags.get(Tags.Compression, 1)
        self.subsampling: tuple[int, ...] = _tuple_of(tags.get(Tags.YCbCrSubSampling, (2, 2)))
        self.colours: tuple[int, ...] = _tuple_of(tags.get(TiffImagePlugin.COLORMAP, ()))
        self.no_data: str = str(tags.get(NO_DATA, "")).strip("\0 ")


def prepare_tiff(image: TiffImagePlugin.TiffImageFile, path: Path) -> TiffTags:
    """Read what an opened TIFF states, and let Pillow decode it in the right byte order.

    Raises ValueError that names the file when what it states is not read.
    """
    tags = TiffTags(image)
    old_jpeg = tags.compression in (6, 7) and tags.samples == 3
    if tags.photometric is None and not old_jpeg:
        raise ValueError(
            f"{path} does not say whether 0 is black or white: it has no photometric "
            "interpretation; save it as PNG"
        )
    if tags.photometric == CIELAB:
        raise ValueError(f"{path} has CIELAB colours, which are not read; save it as gray PNG")
    is_separate = tags.planes == SEPARATE_PLANES and tags.samples > 1
    is_plain_rgb = tags.photometric == RGB and max(tags.bits) == 8 and ASSOCIATED not in tags.extra
    if is_separate and not is_plain_rgb:
        raise ValueError(
            f"{path} has {tags.samples} samples of {max(tags.bits)} bits in separate planes, which "
            "are read of 8-bit RGB only; save it with interleaved ones (PlanarConfiguration 1)"
        )
    is_plain_ycbcr = tags.photometric == YCBCR and tags.compression == 1 and tags.samples == 3
    if is_plain_ycbcr and (is_separate or tags.subsampling != (1, 1)):
        raise ValueError(
            f"{path} has uncompressed YCbCr colours of fewer pixels than its luminance, "
            "which are not read; save it as RGB or gray"
        )
    if tags.photometric == PALETTE and tags.colours and 0 < max(tags.colours) < 256:
        raise ValueError(
            f"{path} has a palette whose colours are all below 256 of 65,535, that is black; "
            "save it as gray PNG"
        )
    if image.tag_v2.get(Tags.Orientation, 1) > 4:
        image.filename = ""  # or Pillow may map the file into memory, with its sides exchanged
    _mend_rawmode(image, tags)
    return tags


def _mend_rawmode(image: TiffImagePlugin.TiffImageFile, tags: TiffTags) -> None:
    """Have the samples unpacked as they lie, where Pillow errs."""
    rawmodes: dict[str, str] = {}
    if image.tile and image.tile[0][0] == "libtiff":
        rawmodes = NATIVE_RAWMODES
    elif tags.planes == SEPARATE_PLANES and tags.samples == 1:  # it takes the first letter
        photometric = BLACK_IS_ZERO if tags.photometric is None else tags.photometric
        key = (tags.order, photometric, (tags.sample_format,), tags.fill_order, tags.bits, ())
        _, rawmode = TiffImagePlugin.OPEN_INFO.get(key, ("", ""))
        rawmodes = {rawmode[:1]: rawmode}
    image.tile = [
        tile._replace(args=(rawmodes.get(tile.args[0], tile.args[0]), *tile.args[1:]))
        if isinstance(tile.args, tuple)
        else tile
        for tile in image.tile
    ]


def is_gray(tags: TiffTags) -> bool:
    """Return whether a TIFF has one sample a pixel, of gray."""
    return tags.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and tags.samples == 1


def gray_values(pixels: np.ndarray, tags: TiffTags) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what the pixels (H, W) mean, bright where white is, and which are no data.

    Of at most 8 bits without sign they stay uint8; others become float32.
    """
    bits = max(tags.bits)
    if tags.sample_format == SIGNED and bits == 8:
        pixels = pixels.view(np.int8)
    elif tags.sample_format == UNSIGNED and bits == 32:
        pixels = pixels.view(np.uint32)
    is_turned = _pillow_turns(tags)
    outside = _find_no_data(pixels, tags, is_turned)
    if pixels.dtype in (np.int32, np.uint32):  # float32 keeps 24 bits, so from the lowest up
        pixels = pixels.view(np.uint32) - pixels.min().view(np.uint32)
    if pixels.dtype != np.uint8:
        pixels = pixels.astype(np.float32)
    if tags.photometric == WHITE_IS_ZERO and not is_turned:
        pixels = 255 - pixels if pixels.dtype == np.uint8 else -pixels
    return pixels, outside


def _pillow_turns(tags: TiffTags) -> bool:
    """Return whether Pillow has turned round what is WhiteIsZero."""
    if tags.photometric != WHITE_IS_ZERO:
        return False
    kind = ((tags.sample_format,), tags.fill_order, tags.bits, ())
    known = TiffImagePlugin.OPEN_INFO
    return known.get((tags.order, WHITE_IS_ZERO, *kind)) != known.get(
        (tags.order, BLACK_IS_ZERO, *kind)
    )


def _find_no_data(pixels: np.ndarray, tags: TiffTags, is_turned: bool) -> np.ndarray | None:
    """Return which pixels have the value that GDAL's tag calls no data; None without one."""
    try:
        value = float(tags.no_data)
    except ValueError:
        return None
    if pixels.dtype == np.uint8:  # Pillow has spread fewer bits than 8 over all of them
        value *= 255 / (2 ** max(tags.bits) - 1)
        value = 255 - value if is_turned else value
    if np.isnan(value):
        return np.isnan(pixels)
    return pixels == (np.float32(value) if pixels.dtype == np.float32 else value)


def describe_tiff(path: Path) -> str:
    """Return what an unread TIFF says of its samples, for a message; empty where it is damaged."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            if head[2] == 43 or head[3] == 43:
                head += file.read(8)
            directory = TiffImagePlugin.ImageFileDirectory_v2(head)
            file.seek(directory.next)
            directory.load(file)
        bits = "+".join(map(str, _tuple_of(directory.get(Tags.BitsPerSample, 1))))
        samples = _tuple_of(directory.get(Tags.SampleFormat, UNSIGNED))[0]
        kind = {UNSIGNED: "unsigned", SIGNED: "signed", FLOAT: "float"}.get(samples, f"{samples}")
        photometric = directory.get(Tags.PhotometricInterpretation, "not stated")
    except Exception:  # whatever is wrong with a damaged file
        return ""
    return f"samples of {bits} bits, {kind}, photometric interpretation {photometric}"


def _tuple_of(value: object) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


@contextlib.contextmanager
def libtiff_silenced(image: ImageFile.ImageFile) -> Iterator[None]:
    """Keep from standard error what libtiff writes there by itself.

    What is wrong is raised all the same.
    """
    if image.format != "TIFF":
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
