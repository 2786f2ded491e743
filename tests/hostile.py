"""Files as an attacker, a bad disk or a careless colleague would leave them, as hypothesis strategies.

Used by the tests, with few examples, and by benchmarks/hostile_files.py, with thousands.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate

from gan.config import GanConfig
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.synthetic import SyntheticRow

RAMP = (np.add.outer(np.arange(70), np.arange(90)) * 16).astype(np.uint16)  # 12 bits
EXTREME = (
    b"",
    b"\x00",
    b"\xff",
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\x00\x00\x00",
    b"\x00\x00\x00\x80",
    b"\xff" * 8,
)
GHOSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 70\n%%EndComments\n(executed) (w) file closefile\nshowpage\n"
NASTY = (
    "",
    " ",
    "\0",
    "a\0b",
    '=HYPERLINK("http://x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "'=1",
    "../../outside.png",
    "/etc/passwd",
    "images/../../x",
    "..",
    ".",
    "C:\\x.png",
    "images\\..\\..\\x",
    "file:///etc/passwd",
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "9" * 5000,
    "\u202egnp.exe",
    "\u0661",
    "\x1b]0;title\x07",
    "\n",
    '"',
    "a,b",
    "ä" * 300,
    "\ufeff",
    "train",
    "test",
    "covid",
    "x" * 140_000,
)


@cache
def pictures() -> dict[str, bytes]:
    """Small whole files of every kind that is read, and of some that are not, by suffix and what they are."""
    gray = Image.fromarray((RAMP // 16).astype(np.uint8))
    found = {}

    def keep(name: str, image: Image.Image, kind: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, kind, **options)
        found[name] = file.getvalue()

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
    found["other.eps"] = GHOSTSCRIPT
    for name, elements in DICOM.items():
        found[name] = dicom_bytes(**elements)
    return found


def dicom_bytes(
    *,
    syntax: str = pydicom.uid.ExplicitVRLittleEndian,
    pixels: bytes | None = None,
    without: tuple[str, ...] = (),
    preamble: bool = True,
    **elements: Any,
) -> bytes:
    """A DX file of RAMP, with other elements or without some."""
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = syntax
    file.SOPClassUID, file.SOPInstanceUID, file.PatientID, file.Modality, file.ViewPosition = (
        "1.2.840.10008.5.1.4.1.1.1.1",
        "1.2.3",
        "DOE-17",
        "DX",
        "PA",
    )
    file.Rows, file.Columns, file.SamplesPerPixel, file.PhotometricInterpretation = (
        *RAMP.shape,
        1,
        "MONOCHROME2",
    )
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    file.PixelData = RAMP.tobytes() if pixels is None else pixels
    if pixels is not None:
        file["PixelData"].is_undefined_length = True
    for name, value in elements.items():
        setattr(file, name, value)
    for name in without:
        delattr(file, name)
    written = io.BytesIO()
    if preamble:
        file.file_meta.MediaStorageSOPClassUID, file.file_meta.MediaStorageSOPInstanceUID = (
            "1.2.840.10008.5.1.4.1.1.1.1",
            "1.2.3",
        )
        pydicom.dcmwrite(written, file, enforce_file_format=True)
    else:
        del file.file_meta
        pydicom.dcmwrite(written, file, implicit_vr=True, little_endian=True)
    return written.getvalue()


def jpeg(size: tuple[int, int]) -> bytes:
    """A small JPEG that says it has this size."""
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = struct.pack(">HH", size[1], size[0])
    return bytes(content)


_EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
DICOM: dict[str, dict[str, Any]] = {
    "plain.dcm": {},
    "old.dcm": {"preamble": False},
    "big.dcm": {"syntax": pydicom.uid.ImplicitVRLittleEndian},
    "window.dcm": {
        "WindowCenter": 500,
        "WindowWidth": 800,
        "RescaleSlope": 2,
        "RescaleIntercept": -100,
        "PhotometricInterpretation": "MONOCHROME1",
    },
    "jpeg.dcm": {
        "syntax": pydicom.uid.JPEGBaseline8Bit,
        "pixels": encapsulate([jpeg((90, 70))]),
        **_EIGHT,
    },
    "bomb.dcm": {
        "syntax": pydicom.uid.JPEGBaseline8Bit,
        "pixels": encapsulate([jpeg((65_500, 65_500))]),
        **_EIGHT,
    },
    "rle.dcm": {
        "syntax": pydicom.uid.RLELossless,
        "pixels": encapsulate(
            [struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 49 + b"\xe5\x00"]
        ),
        **_EIGHT,
    },
    "deflated.dcm": {"syntax": pydicom.uid.DeflatedExplicitVRLittleEndian},
}


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's bytes cut, flipped, overwritten, lengthened, or with a piece gone."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(changed) - 1, 0)))
        how = draw(
            st.sampled_from(
                (
                    "cut",
                    "flip",
                    "flip",
                    "overwrite",
                    "overwrite",
                    "insert",
                    "remove",
                    "nothing left",
                )
            )
        )
        if how == "cut":
            del changed[place:]
        elif how == "flip" and changed:
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "overwrite":
            value = draw(st.sampled_from(EXTREME))
            changed[place : place + len(value)] = value
        elif how == "insert":
            changed[place:place] = draw(st.one_of(st.sampled_from(EXTREME), st.binary(max_size=40)))
        elif how == "remove":
            del changed[place : place + draw(st.integers(1, 64))]
        elif how == "nothing left":
            del changed[draw(st.sampled_from((0, 1, 4, 8, 132, 140))) :]
    return bytes(changed)


@st.composite
def hostile_pictures(draw: st.DrawFn) -> tuple[str, bytes]:
    """(suffix, content) of what pretends to be a picture."""
    name = draw(st.sampled_from(sorted(pictures())))
    content, suffix = pictures()[name], Path(name).suffix
    kind = draw(
        st.sampled_from(
            ("damaged",) * 5 + ("header", "header", "two in one", "elements", "elements", "noise")
        )
    )
    if kind == "damaged":
        content = draw(damaged(content))
    elif kind == "header":
        content, suffix = draw(wrong_headers()), draw(st.sampled_from((".png", ".jpg")))
    elif kind == "two in one":
        content += pictures()[draw(st.sampled_from(sorted(pictures())))] + draw(
            st.sampled_from((b"", b"PK\x03\x04", GHOSTSCRIPT, b"<?php system('id') ?>"))
        )
    elif kind == "elements":
        content, suffix = draw(hostile_dicom()), draw(st.sampled_from((".dcm", ".png")))
    elif kind == "noise":
        content = draw(st.binary(max_size=300))
    return draw(st.sampled_from((suffix, suffix, suffix, ".png", ".jpg", ".dcm", ".tif"))), content


@st.composite
def wrong_headers(draw: st.DrawFn) -> bytes:
    """PNGs whose header lies with a right checksum: bombs, no pixels, impossible depths; and JPEGs of any size."""
    sides = st.sampled_from((0, 1, 64, 5000, 9999, 10_001, 65_500, 2**31 - 1, 2**32 - 1))
    if draw(st.booleans()):
        return jpeg((draw(sides) % 65_536, draw(sides) % 65_536))
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
    text = zlib.compress(
        b"\0" * draw(st.sampled_from((0, 10, 5_000_000)))
    )  # a bomb in a text chunk
    chunks = ((b"IHDR", header), (b"zTXt", b"Comment\0\0" + text), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@st.composite
def hostile_dicom(draw: st.DrawFn) -> bytes:
    """DICOM with elements absent or of values that make no sense."""
    numbers = st.sampled_from((0, 1, 7, 8, 12, 16, 17, 32, 64, 70, 90, 255, 10_000, 65_535))
    decimals = st.sampled_from(("0", "1", "-1", "nan", "inf", "1e308", "-1e-308", "1\\2", ""))
    elements: dict[str, Any] = {}
    for name in draw(
        st.lists(
            st.sampled_from(
                (
                    "Rows",
                    "Columns",
                    "BitsAllocated",
                    "BitsStored",
                    "HighBit",
                    "PixelRepresentation",
                    "SamplesPerPixel",
                    "PlanarConfiguration",
                )
            ),
            max_size=3,
        )
    ):
        elements[name] = draw(st.one_of(numbers, st.lists(numbers, min_size=2, max_size=2)))
    for name in draw(
        st.lists(
            st.sampled_from(
                (
                    "WindowCenter",
                    "WindowWidth",
                    "RescaleSlope",
                    "RescaleIntercept",
                    "NumberOfFrames",
                )
            ),
            max_size=4,
        )
    ):
        elements[name] = draw(decimals).split("\\")
    for name in draw(
        st.lists(
            st.sampled_from(
                (
                    "PhotometricInterpretation",
                    "Modality",
                    "PatientID",
                    "ViewPosition",
                    "VOILUTFunction",
                    "BurnedInAnnotation",
                )
            ),
            max_size=3,
        )
    ):
        elements[name] = draw(
            st.sampled_from(
                (
                    "MONOCHROME1",
                    "RGB",
                    "YBR_FULL",
                    "PALETTE COLOR",
                    "CT",
                    "DX",
                    "=cmd()",
                    "../../x",
                    "SIGMOID",
                    "",
                    "\x1b[2J",
                )
            )
        )
    if draw(st.integers(0, 3)) == 0:
        table = pydicom.Dataset()
        table.LUTDescriptor, table.LUTData = (
            draw(st.sampled_from(([4096, 0, 16], [0, 0, 16], [1, 65_535, 8], [4096, 0, 64]))),
            b"\0\1" * draw(st.sampled_from((0, 1, 4096))),
        )
        elements[draw(st.sampled_from(("VOILUTSequence", "ModalityLUTSequence")))] = (
            pydicom.Sequence([table] * draw(st.integers(0, 1)))
        )
    needed = (
        "PixelData",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "PixelRepresentation",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "Modality",
        "PatientID",
    )
    without = tuple(
        name
        for name in draw(st.lists(st.sampled_from(needed), max_size=2, unique=True))
        if name not in elements
    )
    from_syntax = draw(st.sampled_from(sorted(DICOM)))
    with pydicom.config.disable_value_validation():
        try:
            return dicom_bytes(**DICOM[from_syntax] | elements, without=without)
        except Exception:  # what cannot even be written
            return draw(damaged(pictures()[from_syntax]))


@st.composite
def hostile_tables(draw: st.DrawFn, columns: tuple[str, ...], good: tuple[str, ...]) -> bytes:
    """CSV bytes: rows like a good one with nasty cells, columns that are absent or double, rows cut short, any bytes."""
    header = list(columns)
    if draw(st.integers(0, 4)) == 0:
        header = draw(
            st.one_of(
                st.permutations(header),
                st.lists(st.sampled_from(header), max_size=len(header)),
                st.just(header + [""] * 50_000),
            )
        )
    cells = st.one_of(st.sampled_from(NASTY), st.text(max_size=20))
    lines = [",".join(header)]
    for number in range(draw(st.integers(0, 4))):
        row = [cell.replace("#", str(number)) for cell in good]
        for place in draw(st.lists(st.integers(0, len(good) - 1), max_size=3)):
            row[place] = draw(cells)
        file = [
            '"' + cell.replace('"', '""') + '"' if draw(st.integers(0, 5)) else cell
            for cell in row[: draw(st.sampled_from((len(row),) * 8 + (0, 1, 3)))]
        ]
        lines.append(",".join(file))
    content = (
        draw(st.sampled_from(("\n", "\n", "\r\n", "\r")))
        .join(lines)
        .encode("utf-8", "surrogatepass")
        + b"\n"
    )
    content = draw(st.sampled_from((b"", b"", b"", b"\xef\xbb\xbf", b"\xff\xfe"))) + content
    return draw(damaged(content)) if draw(st.integers(0, 2)) == 0 else content


def hostile_manifests() -> st.SearchStrategy[bytes]:
    """data/manifest.csv, damaged or forged."""
    good = (
        "images/covid/#.png",
        "covid",
        "p#",
        "train",
        "",
        "clinic",
        "PA",
        "0" * 64,
        "0" * 64,
        "256",
        "256",
    )
    return hostile_tables(tuple(field.name for field in fields(Row)), good)


def hostile_sets() -> st.SearchStrategy[bytes]:
    """The manifest.csv of a synthetic set, damaged or forged."""
    return hostile_tables(
        tuple(field.name for field in fields(SyntheticRow)),
        (
            "images/covid/synthetic-#.png",
            "covid",
            "#",
            "0",
            "yes",
            "0001-gan-train",
            fingerprint(["manifest.csv"]),
        ),
    )


SOURCES = {  # the files that make a folder a source of each kind, with their columns and a good row
    "table.csv": (
        ("file_name", "label", "patient", "view", "split"),
        ("#.png", "covid", "p#", "PA", ""),
    ),
    "metadata.csv": (
        ("patientid", "finding", "view", "modality", "filename", "imagename"),
        ("p#", "COVID-19", "PA", "X-ray", "#.png", "#.png"),
    ),
    "Data_Entry_2017.csv": (
        ("Image Index", "Finding Labels", "Patient ID", "View Position"),
        ("#.png", "No Finding", "#", "PA"),
    ),
    "train.txt": (("p0 0.png COVID-19 a",), ("p# #.png normal b",)),
}


@st.composite
def hostile_sources(draw: st.DrawFn) -> tuple[str, bytes]:
    """(name, content) of the table of a source."""
    name = draw(st.sampled_from(sorted(SOURCES)))
    return name, draw(hostile_tables(*SOURCES[name]))


@st.composite
def hostile_json(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with an entry gone, of another type, or another number, anywhere in it."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        name = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 2)) == 0:
            return {key: one for key, one in value.items() if key != name}
        return value | {name: draw(hostile_json(value[name]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(hostile_json(value[place])), *value[place + 1 :]]
    return draw(
        st.sampled_from(
            (
                None,
                True,
                "",
                "x",
                "../../outside",
                "=1",
                -1,
                0,
                3.5,
                10**30,
                [],
                ["x"],
                {},
                {"x": 1},
            )
        )
    )


def hostile_configurations() -> st.SearchStrategy[bytes]:
    """The config.json of a generator, as JSON that says something else, or damaged."""
    whole = asdict(GanConfig())
    return st.one_of(
        hostile_json(whole).map(lambda value: json.dumps(value).encode()),
        damaged(json.dumps(whole).encode()),
    )
