"""Radiographs in DICOM files, through the optional package pydicom (`pip install 'cxr[dicom]'`).

The grayscale pipeline of DICOM PS3.3 C.11 and PS3.4 N.2: stored bits, modality LUT or rescale, VOI LUT or window, and
MONOCHROME1 turned round, so that bright means dense in every image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SUFFIXES = {".dcm", ".dicom", ".dic"}
RADIOGRAPHS = (
    "CR",
    "DX",
    "RG",
    "RF",
    "OT",
    "",
)  # modalities that a chest X-ray may carry; OT and none: not stated
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
    except ImportError as error:
        raise ValueError(
            f"{path} is a DICOM file; to read such files install pydicom: pip install 'cxr[dicom]'"
        ) from error
    syntax = None
    try:
        syntax = _syntax(path)
        if (
            syntax == pydicom.uid.DeflatedExplicitVRLittleEndian
        ):  # pydicom would unpack it to any size
            raise ValueError(
                f"{path} is compressed as {syntax.name}, which is not read; convert it to another transfer syntax"
            )
        file = pydicom.dcmread(path, force=True)
        if "Rows" not in file or "PixelData" not in file:
            raise ValueError(f"{path} is a DICOM file without a picture, or none at all")
        if int(file.get("NumberOfFrames") or 1) > 1:
            raise ValueError(f"{path} holds more than one picture: {file.NumberOfFrames} frames")
        if str(file.get("Modality", "")) not in RADIOGRAPHS:
            raise ValueError(f"{path} is not a radiograph: modality {file.Modality}")
        if int(file.Rows) * int(file.Columns) > max_pixels:
            raise ValueError(
                f"{path} has more pixels than the {max_pixels:,} that are read: {file.Columns}×{file.Rows}"
            )
        if int(file.get("BitsAllocated", 8)) not in (8, 16):
            raise ValueError(
                f"{path} is not a radiograph: {file.BitsAllocated} bits a pixel, expected 8 or 16"
            )
        if not getattr(file.file_meta, "TransferSyntaxUID", None):
            file.file_meta.TransferSyntaxUID = (
                pydicom.uid.ImplicitVRLittleEndian
            )  # the default of PS3.5, section 10
        return _shown(file), _header(file)
    except OSError as error:
        if error.errno is not None:
            raise  # the disk, not the file
        raise ValueError(f"{path} is damaged or truncated ({error})") from error
    except Exception as error:  # pydicom raises of every kind on damaged files, and RuntimeError where it lacks a decoder
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        package = DECODERS.get(str(syntax)) if isinstance(error, RuntimeError) else None
        if package:
            raise ValueError(
                f"{path} is compressed as {syntax.name}; to read it: pip install {package}"
            ) from error
        raise ValueError(f"{path} is damaged or truncated ({error})") from error


def _syntax(path: Path) -> str | None:
    """The transfer syntax that a file states, told as `dcmread` tells it, before anything is unpacked."""
    from pydicom.filereader import _read_file_meta_info, read_preamble

    with open(path, "rb") as file:
        read_preamble(file, True)
        return _read_file_meta_info(file).get("TransferSyntaxUID")


def _shown(file) -> np.ndarray:
    """The pixels (H, W) as a viewer would show them: uint8, or float32 that is still to be windowed."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    pixels = _stored(file)
    if pixels.ndim == 3:  # in colour; few rows at a time, for their memory
        parts = np.array_split(pixels, -(-len(pixels) // 256))
        return np.concatenate(
            [(part @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8) for part in parts]
        )
    values = apply_modality_lut(pixels, file)
    shown = "VOILUTSequence" in file or ("WindowCenter" in file and "WindowWidth" in file)
    if shown:
        values = apply_voi_lut(values, file, prefer_lut=True).astype(np.float32)
        low, high = (
            (values.min(), values.max())
            if "VOILUTSequence" not in file
            else (0, 2 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1)
        )
        values = (values - low) / max(high - low, 1e-6) * 255
    elif int(file.get("BitsStored", 8)) <= 8 and values.min() >= 0 and values.max() <= 255:
        shown = True
    values = values.astype(np.float32)
    if str(file.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1":
        values = 255 - values if shown else -values
    if not np.isfinite(values).all():
        raise ValueError("some of its pixels are no numbers")
    return values.clip(0, 255).round().astype(np.uint8) if shown else values


def _stored(file) -> np.ndarray:
    """The pixel array without what may stand in the bits above BitsStored, such as overlays."""
    pixels = file.pixel_array
    allocated, stored = int(file.get("BitsAllocated", 8)), int(file.get("BitsStored", 8))
    if pixels.ndim == 3 or stored >= allocated:
        return pixels
    return (pixels << (allocated - stored)) >> (
        allocated - stored
    )  # keeps the sign of signed values


def _header(file) -> Header:
    view = str(file.get("ViewPosition", "") or "").strip().upper()
    return Header(
        str(file.get("PatientID", "") or "").strip(),
        view,
        str(file.get("BurnedInAnnotation", "")).upper() != "NO",
    )
