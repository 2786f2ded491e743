"""What kind of picture a file is, told by its first bytes: suffixes are often absent or wrong."""

from __future__ import annotations

import re
import struct
from pathlib import Path

DICOM = "DICOM"
HEAD_BYTES = 512  # what is read of a file to tell its kind
BITMAP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # sizes of the header after BMP's first
VALUE_REPRESENTATIONS = re.compile(
    rb"AE|AS|AT|CS|DA|DS|DT|FL|FD|IS|LO|LT|OB|OW|PN|SH|SL|SQ|SS|ST|TM|UI|UL|UN|US|UT"
)
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
}
# Pictures all the same, of formats that are not read: they are named where one is met.
_OTHER_SIGNATURES = {
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"%!PS-Adobe": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF-": "PDF",
    b"8BPS": "Photoshop",
    b"\x93NUMPY": "NumPy",
}


def image_format(path: Path) -> str | None:
    """Return PNG, JPEG, TIFF, BMP, WEBP or DICOM, of which a file's first bytes are; else None.

    Raises OSError when it cannot be read.
    """
    return format_of_head(read_head(path))


def read_head(path: Path) -> bytes:
    """Return a file's first bytes; raises OSError when it cannot be read."""
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def format_of_head(head: bytes) -> str | None:
    """Return the format that a file's first bytes have, None where it is not one that is read."""
    if head[128:132] == b"DICM":
        return DICOM
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and len(head) >= 18:
        return "BMP" if int.from_bytes(head[14:18], "little") in BITMAP_HEADERS else None
    return DICOM if _begins_with_elements(head) else None


def other_format(head: bytes) -> str | None:
    """Return the name of a picture format that is not read, told by a file's first bytes."""
    for signature, name in _OTHER_SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "HEIF or AVIF" if head[8:12] in (b"heic", b"heix", b"mif1", b"avif") else None
    if re.match(rb"P[1-7]\s", head):
        return "PNM"
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return "NIfTI"
    return None


def _begins_with_elements(head: bytes) -> bool:
    """Return whether two elements of DICOM's first groups stand here: a file without preamble."""
    place = 0
    for _ in range(2):
        if len(head) < place + 8:
            return False
        group, element, length = struct.unpack_from("<HHI", head, place)
        if group not in (0x0002, 0x0008) or element > 0x0200:
            return False
        size = 8
        if VALUE_REPRESENTATIONS.match(head, place + 4):
            length = length >> 16
            if head[place + 4 : place + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
                size, length = 12, int.from_bytes(head[place + 8 : place + 12], "little")
        place += size + length
    return True
