"""The grayscale pipeline of DICOM, on files made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.importing import import_listings
from pipelines.data.published import read_sources
from pipelines.study.image_io import read_gray, read_picture
from pipelines.study.workspace import Workspace

pydicom = pytest.importorskip("pydicom")
RAMP = (np.add.outer(np.arange(96), np.arange(128)) * 16).astype(np.uint16)  # 0 to 3552, 12 bits


def dicom(path: Path, pixels: np.ndarray = RAMP, **elements: object) -> Path:
    """A DX file with these pixels, 12 of 16 bits stored where they are deep."""
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.1.1",
        pydicom.uid.generate_uid(),
    )
    file.file_meta.MediaStorageSOPClassUID, file.file_meta.MediaStorageSOPInstanceUID = (
        file.SOPClassUID,
        file.SOPInstanceUID,
    )
    file.PatientID, file.PatientName, file.Modality, file.ViewPosition = (
        "DOE-17",
        "Doe^Jane",
        "DX",
        "PA",
    )
    file.Rows, file.Columns, file.SamplesPerPixel, file.PhotometricInterpretation = (
        *pixels.shape[-2:],
        1,
        "MONOCHROME2",
    )
    bits = pixels.dtype.itemsize * 8
    file.BitsAllocated, file.BitsStored, file.PixelRepresentation = (
        bits,
        min(bits, 12),
        int(pixels.dtype.kind == "i"),
    )
    file.HighBit, file.PixelData = file.BitsStored - 1, pixels.tobytes()
    for name, value in elements.items():
        setattr(file, name, value)
    file.save_as(path, enforce_file_format=True)
    return path


def test_deep_pixels_keep_their_contrast(tmp_path: Path) -> None:
    gray = read_gray(dicom(tmp_path / "a.dcm"))
    assert gray.shape == RAMP.shape
    assert gray.min() == 0
    assert gray.max() == 255
    assert len(np.unique(gray)) > 200
    assert (np.diff(gray.astype(int), axis=1) >= 0).all()


def test_monochrome1_is_turned_round(tmp_path: Path) -> None:
    plain, inverted = (
        read_gray(dicom(tmp_path / "a.dcm")),
        read_gray(dicom(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1")),
    )
    assert np.abs(plain.astype(int) + inverted - 255).max() <= 1
    eight = (RAMP // 16).astype(np.uint8)
    assert np.array_equal(read_gray(dicom(tmp_path / "c.dcm", eight)), eight)
    assert np.array_equal(
        read_gray(dicom(tmp_path / "d.dcm", eight, PhotometricInterpretation="MONOCHROME1")),
        255 - eight,
    )


def test_the_window_that_a_file_states(tmp_path: Path) -> None:
    gray = read_gray(dicom(tmp_path / "a.dcm", WindowCenter=1000, WindowWidth=1000))
    assert (gray[RAMP < 490] == 0).all()
    assert (gray[RAMP > 1510] == 255).all()
    assert gray[RAMP == 1008].mean() == pytest.approx(129, abs=3)
    rescaled = read_gray(
        dicom(
            tmp_path / "b.dcm",
            WindowCenter=0,
            WindowWidth=1000,
            RescaleSlope=1,
            RescaleIntercept=-1000,
        )
    )
    assert np.abs(rescaled.astype(int) - gray).max() <= 1


def test_a_lookup_table_of_the_file(tmp_path: Path) -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = (
        [4096, 0, 16],
        np.minimum(np.arange(4096) // 8 * 257, 65535).astype("<u2").tobytes(),
    )
    gray = read_gray(dicom(tmp_path / "a.dcm", VOILUTSequence=pydicom.Sequence([table])))
    assert np.array_equal(gray, np.minimum(RAMP // 8, 255))


def test_signed_pixels_and_bits_above_the_stored_ones(tmp_path: Path) -> None:
    signed = RAMP.astype(np.int16) - 1800
    assert (
        np.abs(
            read_gray(dicom(tmp_path / "a.dcm", signed)).astype(int)
            - read_gray(dicom(tmp_path / "b.dcm"))
        ).max()
        <= 1
    )
    overlaid = RAMP | np.uint16(0x8000) * (RAMP % 32 == 0)
    assert np.array_equal(
        read_gray(dicom(tmp_path / "c.dcm", overlaid)), read_gray(dicom(tmp_path / "d.dcm"))
    )


def test_a_file_without_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "tree" / "covid").mkdir(parents=True)
    dicom(tmp_path / "tree" / "covid" / "IM000001")
    (listing,) = read_sources((str(tmp_path / "tree"),))
    assert len(listing.records) == 1
    assert read_picture(Path(listing.records[0].origin)).header.patient == "DOE-17"


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfFrames": 2, "PixelData": RAMP.tobytes() * 2}, "more than one picture: 2 frames"),
        ({"Modality": "CT"}, "not a radiograph: modality CT"),
        ({"PixelData": b"short"}, "damaged or truncated"),
    ],
)
def test_what_is_refused(tmp_path: Path, elements: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_gray(dicom(tmp_path / "a.dcm", **elements))


def test_an_unsupported_compression_names_the_package(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm")
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    file.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7" + bytes(60)])
    file["PixelData"].is_undefined_length = True
    file.save_as(path, enforce_file_format=True)
    with pytest.raises(ValueError, match="pip install pylibjpeg-libjpeg"):
        read_gray(path)


def test_nothing_of_the_header_reaches_the_study(tmp_path: Path) -> None:
    folder = tmp_path / "clinic" / "covid"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 4000, (10, 8), dtype=np.uint16).repeat(9, 0).repeat(9, 1)
        dicom(
            folder / f"Doe_Jane_{number}.dcm",
            pixels,
            PatientID=f"DOE-{number // 2}",
            ViewPosition="LL" if number == 11 else "PA",
        )
    workspace = Workspace(tmp_path / "study")
    summary = import_listings(
        workspace, read_sources((str(tmp_path / "clinic"),)), ratios=(0.7, 0.1, 0.2), seed=0
    )
    rows = workspace.rows()
    assert summary["left_out_counts"] == {"not a frontal X-ray": 1}
    assert summary["may_show_text"] == 11
    assert len({row.patient for row in rows}) == 6
    assert {row.view for row in rows} == {"PA"}
    for path in workspace.data.rglob("*"):
        if path.is_file() and path.name != "originals.csv":
            assert not any(
                word in path.read_bytes() + path.name.encode() for word in (b"DOE", b"Doe", b"Jane")
            ), path
    assert "DOE-3" in (workspace.data / "originals.csv").read_text()
    assert "Doe_Jane_3" in (workspace.data / "originals.csv").read_text()
    for row in rows:
        with Image.open(workspace.data / row.file_name) as image:
            assert not image.info
            assert image.mode == "L"
