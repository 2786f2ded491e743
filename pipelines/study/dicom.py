"""Radiographs in DICOM files, through the optional package pydicom (`pip install 'cxr[dicom]'`).

What becomes of their pixels is said in `dicom_pixels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.study.dicom_pixels import check_pixel_description, render
from pipelines.study.file_kinds import DICOM, image_format

if TYPE_CHECKING:
    from pydicom import FileDataset
    from pydicom.uid import UID

DICOM_SUFFIXES = {".dcm", ".dicom", ".dic"}
# Modalities that a chest X-ray may carry; OT and none: not stated.
RADIOGRAPHS = ("CR", "DX", "RG", "RF", "OT", "")
DECODERS = {  # transfer syntaxes that numpy and Pillow cannot decode, and the package that can
    "1.2.840.10008.1.2.4.51": "pylibjpeg-libjpeg",  # JPEG extended, 12 bits
    "1.2.840.10008.1.2.4.57": "pylibjpeg-libjpeg",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.80": "pylibjpeg-libjpeg",  # JPEG-LS
    "1.2.840.10008.1.2.4.81": "pylibjpeg-libjpeg",
    "1.2.840.10008.1.2.4.90": "pylibjpeg-openjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.91": "pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg-openjpeg",  # High-Throughput JPEG 2000
    "1.2.840.10008.1.2.4.202": "pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg-openjpeg",
}


@dataclass(frozen=True)
class Header:
    """What is taken from a DICOM header. Nothing else of it reaches the workspace."""

    patient: str
    view: str
    may_show_text: bool  # burned into the pixels: the file does not deny it
    issuer: str = ""  # of the patient's number, or the institution; empty where none is named


def is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM files do, or is named as one and is nothing else.

    Raises FileNotFoundError when it is absent.
    """
    kind = image_format(path)
    return kind == DICOM or (kind is None and path.suffix.lower() in DICOM_SUFFIXES)


def read_dicom(path: Path, max_pixels: int) -> tuple[np.ndarray, float, Header]:
    """Read gray, uint8 (H, W), bright where the body attenuates, how colourful it was, the header.

    Raises ValueError that names the file when it is no radiograph, has several frames, states of
    its pixels what is not read, is damaged, or is compressed in a way that asks for another
    package.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ValueError(
            f"{path} is a DICOM file; to read such files install pydicom: pip install 'cxr[dicom]'"
        ) from error
    syntax: UID | None = None
    try:
        syntax = _read_syntax(path)
        if syntax and syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
            # pydicom would unpack it to any size
            raise ValueError(
                f"{path} is compressed as {syntax.name}, which is not read; "
                "convert it to another transfer syntax"
            )
        file = pydicom.dcmread(path, force=True)
        _check_radiograph(file, path, max_pixels)
        check_pixel_description(file, path)
        if not getattr(file.file_meta, "TransferSyntaxUID", None):
            # the default of PS3.5, section 10
            file.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        _check_length(file, path)
        gray, colour = render(file, path)
        return gray, colour, _read_header(file)
    except OSError as error:
        if error.errno is not None:
            raise  # the disk, not the file
        raise ValueError(f"{path} is damaged or truncated ({error})") from error
    except Exception as error:  # pydicom raises of every kind on damaged files
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        # It raises RuntimeError where it lacks a decoder.
        package = DECODERS.get(str(syntax)) if isinstance(error, RuntimeError) else None
        if package and syntax:
            raise ValueError(
                f"{path} is compressed as {syntax.name}; to read it: pip install {package}"
            ) from error
        raise ValueError(f"{path} is damaged or truncated ({error})") from error


def _check_radiograph(file: FileDataset, path: Path, max_pixels: int) -> None:
    """Raise ValueError that names the file unless it is one radiograph that can be read."""
    if "FloatPixelData" in file or "DoubleFloatPixelData" in file:
        raise ValueError(f"{path} has pixels of floating point, which are not read of DICOM")
    if "Rows" not in file or "PixelData" not in file:
        raise ValueError(f"{path} is a DICOM file without a picture, or none at all")
    if int(file.get("NumberOfFrames") or 1) > 1:
        raise ValueError(f"{path} holds more than one picture: {file.NumberOfFrames} frames")
    if str(file.get("Modality", "")) not in RADIOGRAPHS:
        raise ValueError(f"{path} is not a radiograph: modality {file.Modality}")
    if int(file.Rows) * int(file.Columns) > max_pixels:
        raise ValueError(
            f"{path} has more pixels than the {max_pixels:,} that are read: "
            f"{file.Columns}×{file.Rows}"
        )
    if int(file.get("BitsAllocated", 8)) not in (8, 16):
        raise ValueError(
            f"{path} is not a radiograph: {file.BitsAllocated} bits a pixel, expected 8 or 16"
        )


def _check_length(file: FileDataset, path: Path) -> None:
    """Raise ValueError where there are uncompressed pixels for two pictures of the stated size.

    A viewer would show the first; or the file says 8 bits and has 16.
    """
    if file.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    samples = int(file.get("SamplesPerPixel") or 1)
    stated = int(file.Rows) * int(file.Columns) * samples * int(file.BitsAllocated) // 8
    if len(file.PixelData) >= 2 * stated > 0:
        raise ValueError(
            f"{path} has {len(file.PixelData):,} bytes of pixels where it states {stated:,}: "
            "several pictures, or deeper ones"
        )


def _read_syntax(path: Path) -> UID | None:
    """Return the transfer syntax that a file states, told as `dcmread` tells it.

    Nothing is unpacked for it.
    """
    from pydicom.filereader import _read_file_meta_info, read_preamble

    with open(path, "rb") as file:
        read_preamble(file, True)
        return _read_file_meta_info(file).get("TransferSyntaxUID")


def _read_header(file: FileDataset) -> Header:
    issuer = file.get("IssuerOfPatientID") or file.get("InstitutionName")
    return Header(
        patient=str(file.get("PatientID", "") or "").strip(),
        view=str(file.get("ViewPosition", "") or "").strip().upper(),
        may_show_text=str(file.get("BurnedInAnnotation", "")).upper() != "NO",
        issuer=" ".join(str(issuer or "").split()).upper(),
    )
