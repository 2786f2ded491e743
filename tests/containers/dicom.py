"""DICOM with pixels of any kind, and lookup tables."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pydicom import Sequence

RAMP = (np.add.outer(np.arange(96), np.arange(128)) * 16).astype(np.uint16)  # 0 to 3552, 12 bits
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def write_dicom(
    path: Path, pixels: np.ndarray = RAMP, syntax: str = EXPLICIT_LITTLE, **elements: object
) -> Path:
    """Write a DX file with these pixels (H, W) or (H, W, 3), 12 of 16 bits stored where deep."""
    import pydicom

    bits = pixels.dtype.itemsize * 8
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = syntax
    file.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    file.SOPInstanceUID = pydicom.uid.generate_uid()
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    file.PatientID = "DOE-17"
    file.PatientName = "Doe^Jane"
    file.Modality = "DX"
    file.ViewPosition = "PA"
    file.Rows, file.Columns = pixels.shape[:2]
    file.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        file.PlanarConfiguration = 0
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated = bits
    file.BitsStored = min(bits, 12)
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    file.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    if file["PixelData"].value[:4] == b"\xfe\xff\x00\xe0":  # encapsulated
        file["PixelData"].is_undefined_length = True
    file.save_as(path, enforce_file_format=True)
    return path


def lookup_table(entries: np.ndarray, bits: int, first: int = 0) -> Sequence:
    """Return a sequence of one lookup table, for modality or display."""
    import pydicom

    table = pydicom.Dataset()
    table.LUTDescriptor = [len(entries) % 65536, first, bits]
    table.LUTData = entries.astype("<u2").tobytes()
    return pydicom.Sequence([table])


def palette_elements(colours: np.ndarray, bits: int) -> dict[str, object]:
    """Return the elements of a palette (N, 3), of 8 or 16 bits a colour."""
    dtype = np.uint8 if bits == 8 else "<u2"
    elements: dict[str, object] = {}
    for channel, name in enumerate(("Red", "Green", "Blue")):
        entries = colours[:, channel].astype(dtype).tobytes()
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [len(colours) % 65536, 0, bits]
        elements[f"{name}PaletteColorLookupTableData"] = entries
    return elements


def jpeg_frame(image: Image.Image, **options: object) -> bytes:
    """Return an image as the only frame of JPEG pixel data."""
    from pydicom.encaps import encapsulate

    file = io.BytesIO()
    image.save(file, "JPEG", quality=98, **options)
    return encapsulate([file.getvalue()])
