"""Pictures told by their first bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.study.file_kinds import HEAD_BYTES, format_of_head, other_format
from pipelines.study.image_io import looks_like_image

GRAY = Image.fromarray(np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8))


def encoded(kind: str, **options: Any) -> bytes:
    """Return GRAY as a file of this kind."""
    file = io.BytesIO()
    GRAY.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("PNG", encoded("PNG")),
        ("JPEG", encoded("JPEG")),
        ("TIFF", encoded("TIFF")),
        ("TIFF", encoded("TIFF", big_tiff=True)),
        ("TIFF", b"MM\0*" + bytes(8)),
        ("TIFF", b"MM\0+" + bytes(8)),
        ("BMP", encoded("BMP")),
        ("WEBP", encoded("WEBP")),
        ("DICOM", bytes(128) + b"DICM" + bytes(40)),
        ("DICOM", b"II*\0" + bytes(124) + b"DICM" + bytes(40)),
        ("DICOM", b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100\x08\0\x16\0\x1a\0\0\0" + bytes(26)),
        ("DICOM", b"\x02\0\0\0UL\x04\0\xc0\0\0\0\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"),
    ],
    ids=[
        "PNG",
        "JPEG",
        "TIFF",
        "BigTIFF",
        "big-endian TIFF",
        "big-endian BigTIFF",
        "BMP",
        "WebP",
        "DICOM",
        "DICOM that is TIFF as well",
        "DICOM without preamble, implicit VR",
        "DICOM without preamble, explicit VR",
    ],
)
def test_a_picture_is_told_without_a_suffix(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / "IM000001").write_bytes(content)
    assert format_of_head(content[:HEAD_BYTES]) == kind
    assert looks_like_image(tmp_path / "IM000001")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"BM",
        b"BMI,age,sex\n21,40,M\n22,50,F\n",
        b"II*",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"patient,label\n1,covid\n",
        b"PK\x03\x04" + bytes(60),
        b"\x08\0\0\0" + bytes(range(255, 0, -1)),
        bytes(600),
        "Röntgen".encode("utf-16"),
    ],
    ids=[
        "empty",
        "two letters",
        "a table that begins with BM",
        "three bytes of TIFF",
        "a sound",
        "a table",
        "a zip file",
        "a number",
        "zeros",
        "UTF-16",
    ],
)
def test_what_is_no_picture_is_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "README").write_bytes(content)
    assert not looks_like_image(tmp_path / "README")


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.DCM", "a.TIFF"])
def test_a_name_is_enough(tmp_path: Path, name: str) -> None:
    """What is in such a file is told when it is read: it is refused by name then."""
    (tmp_path / name).write_bytes(b"no picture")
    assert looks_like_image(tmp_path / name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("GIF", "GIF"), ("JPEG2000", "JPEG 2000"), ("PPM", "PNM"), ("EPS", "PostScript")],
)
def test_pictures_of_formats_that_are_not_read_have_a_name(kind: str, name: str) -> None:
    head = encoded(kind)[:HEAD_BYTES]
    assert format_of_head(head) is None
    assert other_format(head) == name
