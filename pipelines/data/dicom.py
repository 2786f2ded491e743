"""Radiographs in DICOM files, through the optional package pydicom (`pip install 'cxr[dicom]'`).

The grayscale pipeline of DICOM PS3.3 C.11 and PS3.4 N.2: stored bits, modality LUT or rescale, VOI LUT or window, and
MONOCHROME1 turned round, so that bright means dense in every image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SUFFIXES = {".dcm", ".dicom", ".dic"}
RADIOGRAPHS = ("CR", "DX", "RG", "RF", "OT", "")  # modalities that a chest X-ray may carry; OT and none: not stated
LATERAL = ("LL", "RL", "LATERAL", "LAT", "L")
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


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, or is named as one. Raises FileNotFoundError when it is absent."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() in SUFFIXES


def read_dicom(path: Path, max_pixels: int) -> tuple[np.ndarray, Header]:
    """Pixels (H, W) that are bright where the body attenuates, and the header.

    uint8 where the file has 8 bits or states how to show it; else float32, to be windowed. Raises ValueError that names the file when it is
    no radiograph, has several frames, is damaged, or is compressed in a way that asks for another package.
    """
    try:
        import pydicom
        from pydicom.pixels import apply_modality_lut, apply_voi_lut
    except ImportError as error:
        raise ValueError(f"{path} is a DICOM file; to read such files install pydicom: pip install 'cxr[dicom]'") from error
    try:
        file = pydicom.dcmread(path, force=True)
        if "Rows" not in file or "PixelData" not in file:
            raise ValueError(f"{path} is a DICOM file without a picture, or none at all")
        if int(file.get("NumberOfFrames") or 1) > 1:
            raise ValueError(f"{path} holds more than one picture: {file.NumberOfFrames} frames")
        if str(file.get("Modality", "")) not in RADIOGRAPHS:
            raise ValueError(f"{path} is not a radiograph: modality {file.Modality}")
        if int(file.Rows) * int(file.Columns) > max_pixels:
            raise ValueError(f"{path} has more pixels than the {max_pixels:,} that are read: {file.Columns}×{file.Rows}")
        if not getattr(file.file_meta, "TransferSyntaxUID", None):
            file.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian  # the default of PS3.5, section 10
        pixels = _stored(file)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(str(error) if str(path) in str(error) else f"{path} is damaged or truncated ({error})") from error
    except Exception as error:  # pydicom raises of every kind on damaged files, and RuntimeError where it lacks a decoder
        syntax = getattr(getattr(locals().get("file"), "file_meta", None), "TransferSyntaxUID", None)
        package = DECODERS.get(str(syntax))
        if package:
            raise ValueError(f"{path} is compressed as {syntax.name}; to read it: pip install {package}") from error
        raise ValueError(f"{path} is damaged or truncated ({error})") from error

    bits = int(file.get("BitsStored", 8))
    if pixels.ndim == 3:
        return (pixels @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8), _header(file)
    values = apply_modality_lut(pixels, file)
    shown = "VOILUTSequence" in file or ("WindowCenter" in file and "WindowWidth" in file)
    if shown:
        values = apply_voi_lut(values, file, prefer_lut=True).astype(np.float32)
        low, high = (values.min(), values.max()) if "VOILUTSequence" not in file else (0, 2 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1)
        values = (values - low) / max(high - low, 1e-6) * 255
    elif bits <= 8 and values.min() >= 0 and values.max() <= 255:
        shown = True
    values = values.astype(np.float32)
    if str(file.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1":
        values = 255 - values if shown else -values
    return values.clip(0, 255).round().astype(np.uint8) if shown else values, _header(file)


def _stored(file) -> np.ndarray:
    """The pixel array without what may stand in the bits above BitsStored, such as overlays."""
    pixels = file.pixel_array
    allocated, stored = int(file.get("BitsAllocated", 8)), int(file.get("BitsStored", 8))
    if pixels.ndim == 3 or stored >= allocated:
        return pixels
    return (pixels << (allocated - stored)) >> (allocated - stored)  # keeps the sign of signed values


def _header(file) -> Header:
    view = str(file.get("ViewPosition", "") or "").strip().upper()
    return Header(str(file.get("PatientID", "") or "").strip(), view, str(file.get("BurnedInAnnotation", "")).upper() != "NO")
