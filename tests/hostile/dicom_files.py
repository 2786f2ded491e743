"""DICOM files: whole ones of every kind, and ones whose elements make no sense."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pydicom
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate

from tests.hostile.damage import damaged

RAMP = (np.add.outer(np.arange(70), np.arange(90)) * 16).astype(np.uint16)  # 12 bits
DX_CLASS = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage


def dicom_bytes(
    *,
    syntax: str = pydicom.uid.ExplicitVRLittleEndian,
    pixels: bytes | None = None,
    without: tuple[str, ...] = (),
    preamble: bool = True,
    **elements: Any,
) -> bytes:
    """Return a DX file of RAMP, with other elements or without some."""
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = syntax
    file.SOPClassUID = DX_CLASS
    file.SOPInstanceUID = "1.2.3"
    file.PatientID = "DOE-17"
    file.Modality = "DX"
    file.ViewPosition = "PA"
    file.Rows, file.Columns = RAMP.shape
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
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
        file.file_meta.MediaStorageSOPClassUID = DX_CLASS
        file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        pydicom.dcmwrite(written, file, enforce_file_format=True)
    else:
        del file.file_meta
        pydicom.dcmwrite(written, file, implicit_vr=True, little_endian=True)
    return written.getvalue()


def jpeg_of_size(size: tuple[int, int]) -> bytes:
    """Return a small JPEG that says it has this size."""
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = struct.pack(">HH", size[1], size[0])
    return bytes(content)


_EIGHT_BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
DICOM_FILES: dict[str, dict[str, Any]] = {
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
        "pixels": encapsulate([jpeg_of_size((90, 70))]),
        **_EIGHT_BITS,
    },
    "bomb.dcm": {
        "syntax": pydicom.uid.JPEGBaseline8Bit,
        "pixels": encapsulate([jpeg_of_size((65_500, 65_500))]),
        **_EIGHT_BITS,
    },
    "rle.dcm": {
        "syntax": pydicom.uid.RLELossless,
        "pixels": encapsulate(
            [struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 49 + b"\xe5\x00"]
        ),
        **_EIGHT_BITS,
    },
    "deflated.dcm": {"syntax": pydicom.uid.DeflatedExplicitVRLittleEndian},
}

# What `hostile_dicom` gives elements, and which it leaves out.
NUMBERS = st.sampled_from((0, 1, 7, 8, 12, 16, 17, 32, 64, 70, 90, 255, 10_000, 65_535))
DECIMALS = st.sampled_from(("0", "1", "-1", "nan", "inf", "1e308", "-1e-308", "1\\2", ""))
TEXTS = st.sampled_from(
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
NUMBER_ELEMENTS = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PlanarConfiguration",
)
DECIMAL_ELEMENTS = (
    "WindowCenter",
    "WindowWidth",
    "RescaleSlope",
    "RescaleIntercept",
    "NumberOfFrames",
)
TEXT_ELEMENTS = (
    "PhotometricInterpretation",
    "Modality",
    "PatientID",
    "ViewPosition",
    "VOILUTFunction",
    "BurnedInAnnotation",
)
NEEDED_ELEMENTS = (
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


@st.composite
def hostile_dicom(draw: st.DrawFn) -> bytes:
    """Draw DICOM with elements absent or of values that make no sense."""

    def some_of(names: tuple[str, ...], most: int) -> list[str]:
        return draw(st.lists(st.sampled_from(names), max_size=most))

    one_or_two = st.one_of(NUMBERS, st.lists(NUMBERS, min_size=2, max_size=2))
    elements: dict[str, Any] = {name: draw(one_or_two) for name in some_of(NUMBER_ELEMENTS, 3)}
    elements |= {name: draw(DECIMALS).split("\\") for name in some_of(DECIMAL_ELEMENTS, 4)}
    elements |= {name: draw(TEXTS) for name in some_of(TEXT_ELEMENTS, 3)}
    if draw(st.integers(0, 3)) == 0:
        sequence = draw(st.sampled_from(("VOILUTSequence", "ModalityLUTSequence")))
        elements[sequence] = draw(_lookup_tables())
    without = draw(st.lists(st.sampled_from(NEEDED_ELEMENTS), max_size=2, unique=True))
    name = draw(st.sampled_from(sorted(DICOM_FILES)))
    with pydicom.config.disable_value_validation():
        try:
            return dicom_bytes(
                **DICOM_FILES[name] | elements,
                without=tuple(element for element in without if element not in elements),
            )
        except Exception:  # what cannot even be written
            return draw(damaged(dicom_bytes(**DICOM_FILES[name])))


@st.composite
def _lookup_tables(draw: st.DrawFn) -> pydicom.Sequence:
    """Draw a sequence of no or one lookup table, seldom a right one."""
    table = pydicom.Dataset()
    table.LUTDescriptor = draw(
        st.sampled_from(([4096, 0, 16], [0, 0, 16], [1, 65_535, 8], [4096, 0, 64]))
    )
    table.LUTData = b"\0\1" * draw(st.sampled_from((0, 1, 4096)))
    return pydicom.Sequence([table] * draw(st.integers(0, 1)))
