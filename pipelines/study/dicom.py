"""Radiographs in DICOM files, through the optional package pydicom (`pip install 'cxr[dicom]'`).

The grayscale pipeline of DICOM PS3.3 C.11 and PS3.4 N.2: stored bits, modality LUT or rescale, VOI
LUT or window, and MONOCHROME1 turned round, so that bright means dense in every image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
RGB_WEIGHTS = np.array([0.299, 0.587, 0.114])  # of luminance
COLOUR_ROWS = 256  # of a colour picture turned gray at once, for their memory


@dataclass(frozen=True)
class Header:
    """What is taken from a DICOM header. Nothing else of it reaches the workspace."""

    patient: str
    view: str
    may_show_text: bool  # burned into the pixels: the file does not deny it


def is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM files do, or is named as one.

    Raises FileNotFoundError when it is absent.
    """
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() in DICOM_SUFFIXES


def read_dicom(path: Path, max_pixels: int) -> tuple[np.ndarray, Header]:
    """Read pixels (H, W) that are bright where the body attenuates, and the header.

    They are uint8 where the file has 8 bits or states how to show it; else float32, to be windowed.
    Raises ValueError that names the file when it is no radiograph, has several frames, is damaged,
    or is compressed in a way that asks for another package.
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
        if not getattr(file.file_meta, "TransferSyntaxUID", None):
            # the default of PS3.5, section 10
            file.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        return _render(file), _read_header(file)
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


def _read_syntax(path: Path) -> UID | None:
    """Return the transfer syntax that a file states, told as `dcmread` tells it.

    Nothing is unpacked for it.
    """
    from pydicom.filereader import _read_file_meta_info, read_preamble

    with open(path, "rb") as file:
        read_preamble(file, True)
        return _read_file_meta_info(file).get("TransferSyntaxUID")


def _render(file: FileDataset) -> np.ndarray:
    """Return the pixels (H, W) as a viewer would show them.

    They are uint8, or float32 where the file does not say how to show them.
    """
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    pixels = _stored_pixels(file)
    if pixels.ndim == 3:
        return _colour_to_gray(pixels)
    values = apply_modality_lut(pixels, file)
    has_table = "VOILUTSequence" in file
    in_gray_levels = False
    if has_table or ("WindowCenter" in file and "WindowWidth" in file):
        values = apply_voi_lut(values, file, prefer_lut=True).astype(np.float32)
        if has_table:
            low, high = 0, 2 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1
        else:
            low, high = values.min(), values.max()
        values = (values - low) / max(high - low, 1e-6) * 255
        in_gray_levels = True
    elif int(file.get("BitsStored", 8)) <= 8 and values.min() >= 0 and values.max() <= 255:
        in_gray_levels = True
    values = values.astype(np.float32)
    if str(file.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1":
        values = 255 - values if in_gray_levels else -values
    if not np.isfinite(values).all():
        raise ValueError("some of its pixels are no numbers")
    return values.clip(0, 255).round().astype(np.uint8) if in_gray_levels else values


def _colour_to_gray(pixels: np.ndarray) -> np.ndarray:
    """Return the luminance, uint8 (H, W), of pixels (H, W, 3), few rows at a time."""
    parts = np.array_split(pixels, math.ceil(len(pixels) / COLOUR_ROWS))
    return np.concatenate([(part @ RGB_WEIGHTS).round().astype(np.uint8) for part in parts])


def _stored_pixels(file: FileDataset) -> np.ndarray:
    """Return the pixel array without what may stand above BitsStored, such as overlays."""
    pixels = file.pixel_array
    allocated, stored = int(file.get("BitsAllocated", 8)), int(file.get("BitsStored", 8))
    if pixels.ndim == 3 or stored >= allocated:
        return pixels
    unused = allocated - stored
    return (pixels << unused) >> unused  # keeps the sign of signed values


def _read_header(file: FileDataset) -> Header:
    return Header(
        patient=str(file.get("PatientID", "") or "").strip(),
        view=str(file.get("ViewPosition", "") or "").strip().upper(),
        may_show_text=str(file.get("BurnedInAnnotation", "")).upper() != "NO",
    )
