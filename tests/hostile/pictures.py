"""Pictures: whole ones of every kind, and what pretends to be one."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.hostile.damage import damaged
from tests.hostile.dicom_files import DICOM_FILES, RAMP, dicom_bytes, hostile_dicom, jpeg_of_size

GHOSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 70\n%%EndComments\n"
    b"(executed) (w) file closefile\nshowpage\n"
)
PICTURE_FAULTS = ("damaged",) * 5 + (
    "header",
    "header",
    "two in one",
    "elements",
    "elements",
    "noise",
)


@cache
def whole_pictures() -> dict[str, bytes]:
    """Return small whole files by name: of every kind that is read, and of some that are not."""
    gray = Image.fromarray((RAMP // 16).astype(np.uint8))
    files: dict[str, bytes] = {}

    def keep(name: str, image: Image.Image, kind: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, kind, **options)
        files[name] = file.getvalue()

    exif = gray.getexif()
    exif[0x0112] = 6
    for mode in ("L", "1", "RGB", "RGBA", "LA", "P"):
        keep(f"{mode}.png", gray.convert(mode), "PNG")
    keep("deep.png", Image.fromarray(RAMP), "PNG")
    keep("gray.jpg", gray, "JPEG", exif=exif)
    keep("progressive.jpg", gray.convert("RGB"), "JPEG", progressive=True)
    keep("cmyk.jpg", gray.convert("CMYK"), "JPEG")
    keep("deep.tif", Image.fromarray(RAMP), "TIFF")
    keep(
        "float.tif",
        Image.fromarray(np.where(RAMP > 400, np.float32(np.nan), RAMP.astype(np.float32))),
        "TIFF",
    )
    keep("lzw.tif", gray.convert("RGB"), "TIFF", compression="tiff_lzw")
    keep("gray.bmp", gray, "BMP")
    keep("gray.webp", gray, "WEBP", lossless=True)
    keep("other.gif", gray, "GIF")
    keep("other.jp2", gray, "JPEG2000")
    files["other.eps"] = GHOSTSCRIPT
    for name, elements in DICOM_FILES.items():
        files[name] = dicom_bytes(**elements)
    return files


@st.composite
def hostile_pictures(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw (suffix, content) of what pretends to be a picture."""
    name = draw(st.sampled_from(sorted(whole_pictures())))
    content, suffix = whole_pictures()[name], Path(name).suffix
    kind = draw(st.sampled_from(PICTURE_FAULTS))
    if kind == "damaged":
        content = draw(damaged(content))
    elif kind == "header":
        content, suffix = draw(wrong_headers()), draw(st.sampled_from((".png", ".jpg")))
    elif kind == "two in one":
        content += whole_pictures()[draw(st.sampled_from(sorted(whole_pictures())))] + draw(
            st.sampled_from((b"", b"PK\x03\x04", GHOSTSCRIPT, b"<?php system('id') ?>"))
        )
    elif kind == "elements":
        content, suffix = draw(hostile_dicom()), draw(st.sampled_from((".dcm", ".png")))
    elif kind == "noise":
        content = draw(st.binary(max_size=300))
    return draw(st.sampled_from((suffix, suffix, suffix, ".png", ".jpg", ".dcm", ".tif"))), content


@st.composite
def wrong_headers(draw: st.DrawFn) -> bytes:
    """Draw PNGs whose header lies with a right checksum, and JPEGs of any size.

    They are bombs, have no pixels, or impossible depths.
    """
    sides = st.sampled_from((0, 1, 64, 5000, 9999, 10_001, 65_500, 2**31 - 1, 2**32 - 1))
    if draw(st.booleans()):
        return jpeg_of_size((draw(sides) % 65_536, draw(sides) % 65_536))
    header = struct.pack(
        ">IIBBBBB",
        draw(sides),
        draw(sides),
        draw(st.sampled_from((1, 8, 16, 3))),
        draw(st.sampled_from((0, 2, 3, 4, 6, 1))),
        0,
        0,
        draw(st.integers(0, 1)),
    )
    body = zlib.compress(bytes(draw(st.sampled_from((0, 1000, 1_000_000)))))
    # a bomb in a text chunk
    text = zlib.compress(b"\0" * draw(st.sampled_from((0, 10, 5_000_000))))
    chunks = ((b"IHDR", header), (b"zTXt", b"Comment\0\0" + text), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
