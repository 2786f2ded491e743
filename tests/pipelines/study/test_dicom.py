"""The grayscale pipeline of DICOM, on files made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.data.importing import import_listings
from pipelines.data.sources import read_sources
from pipelines.study.image_io import read_gray, read_picture
from pipelines.study.import_log import ImportSummary
from pipelines.study.workspace import Workspace
from tests.containers.dicom import RAMP, write_dicom

pydicom = pytest.importorskip("pydicom")
RAMP_8_BITS = (RAMP // 16).astype(np.uint8)


def read_written(path: Path, pixels: np.ndarray = RAMP, **elements: object) -> np.ndarray:
    """Write a DICOM file and read its gray pixels."""
    return read_gray(write_dicom(path, pixels, **elements))


def test_deep_pixels_keep_their_contrast(tmp_path: Path) -> None:
    gray = read_written(tmp_path / "a.dcm")
    assert gray.shape == RAMP.shape
    assert (gray.min(), gray.max()) == (0, 255)
    assert len(np.unique(gray)) > 200
    assert (np.diff(gray.astype(int), axis=1) >= 0).all()


def test_deep_monochrome1_is_turned_round(tmp_path: Path) -> None:
    plain = read_written(tmp_path / "a.dcm")
    inverted = read_written(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1")
    assert np.abs(plain.astype(int) + inverted - 255).max() <= 1


def test_eight_bits_are_read_as_they_are(tmp_path: Path) -> None:
    assert np.array_equal(read_written(tmp_path / "a.dcm", RAMP_8_BITS), RAMP_8_BITS)


def test_eight_bits_of_monochrome1_are_turned_round(tmp_path: Path) -> None:
    inverted = read_written(
        tmp_path / "a.dcm", RAMP_8_BITS, PhotometricInterpretation="MONOCHROME1"
    )
    assert np.array_equal(inverted, 255 - RAMP_8_BITS)


def test_the_window_that_a_file_states_is_used(tmp_path: Path) -> None:
    gray = read_written(tmp_path / "a.dcm", WindowCenter=1000, WindowWidth=1000)
    assert (gray[RAMP < 490] == 0).all()
    assert (gray[RAMP > 1510] == 255).all()
    assert gray[RAMP == 1008].mean() == pytest.approx(129, abs=3)


def test_values_are_rescaled_before_the_window(tmp_path: Path) -> None:
    plain = read_written(tmp_path / "a.dcm", WindowCenter=1000, WindowWidth=1000)
    rescaled = read_written(
        tmp_path / "b.dcm",
        WindowCenter=0,
        WindowWidth=1000,
        RescaleSlope=1,
        RescaleIntercept=-1000,
    )
    assert np.abs(rescaled.astype(int) - plain).max() <= 1


def test_a_lookup_table_of_the_file_is_used(tmp_path: Path) -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.LUTData = np.minimum(np.arange(4096) // 8 * 257, 65535).astype("<u2").tobytes()
    gray = read_written(tmp_path / "a.dcm", VOILUTSequence=pydicom.Sequence([table]))
    assert np.array_equal(gray, np.minimum(RAMP // 8, 255))


def test_signed_pixels_are_read_as_unsigned_ones(tmp_path: Path) -> None:
    signed = read_written(tmp_path / "a.dcm", RAMP.astype(np.int16) - 1800)
    assert np.abs(signed.astype(int) - read_written(tmp_path / "b.dcm")).max() <= 1


def test_bits_above_the_stored_ones_do_not_count(tmp_path: Path) -> None:
    overlaid = RAMP | np.uint16(0x8000) * (RAMP % 32 == 0)
    plain = read_written(tmp_path / "b.dcm")
    assert np.array_equal(read_written(tmp_path / "a.dcm", overlaid), plain)


def test_a_file_without_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "tree" / "covid").mkdir(parents=True)
    write_dicom(tmp_path / "tree" / "covid" / "IM000001")
    (listing,) = read_sources((str(tmp_path / "tree"),))
    assert len(listing.images) == 1
    header = read_picture(Path(listing.images[0].origin)).header
    assert header is not None
    assert header.patient == "DOE-17"


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfFrames": 2, "PixelData": RAMP.tobytes() * 2}, "more than one picture: 2 frames"),
        ({"Modality": "CT"}, "not a radiograph: modality CT"),
        ({"PixelData": b"short"}, "damaged or truncated"),
    ],
    ids=["two frames", "CT", "cut short"],
)
def test_what_is_no_radiograph_is_refused(tmp_path: Path, elements: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_gray(write_dicom(tmp_path / "a.dcm", **elements))


def test_an_unsupported_compression_names_the_package(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm")
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless
    file.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7" + bytes(60)])
    file["PixelData"].is_undefined_length = True
    file.save_as(path, enforce_file_format=True)
    with pytest.raises(ValueError, match="pip install pylibjpeg-libjpeg"):
        read_gray(path)


@pytest.fixture
def imported(tmp_path: Path) -> tuple[Workspace, ImportSummary]:
    """A study of twelve DICOM files of six patients, one of them lateral."""
    folder = tmp_path / "clinic" / "covid"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(12):
        write_dicom(
            folder / f"Doe_Jane_{number}.dcm",
            rng.integers(0, 4000, (10, 8), dtype=np.uint16).repeat(9, 0).repeat(9, 1),
            PatientID=f"DOE-{number // 2}",
            ViewPosition="LL" if number == 11 else "PA",
        )
    workspace = Workspace(tmp_path / "study")
    listings = read_sources((str(tmp_path / "clinic"),))
    return workspace, import_listings(workspace, listings, ratios=(0.7, 0.1, 0.2), seed=0)


def test_a_lateral_film_is_left_out(imported: tuple[Workspace, ImportSummary]) -> None:
    workspace, summary = imported
    assert summary.left_out_counts == {"not a frontal X-ray": 1}
    assert {row.view for row in workspace.rows()} == {"PA"}


def test_films_that_may_show_names_are_counted(
    imported: tuple[Workspace, ImportSummary],
) -> None:
    assert imported[1].may_show_text == 11


def test_patients_are_told_by_the_header(imported: tuple[Workspace, ImportSummary]) -> None:
    assert len({row.patient for row in imported[0].rows()}) == 6


def test_nothing_of_the_header_reaches_the_study(
    imported: tuple[Workspace, ImportSummary],
) -> None:
    for path in imported[0].data.rglob("*"):
        if path.is_file() and path.name != "originals.csv":
            content = path.read_bytes() + path.name.encode()
            assert not any(word in content for word in (b"DOE", b"Doe", b"Jane")), path


def test_originals_csv_alone_links_back(imported: tuple[Workspace, ImportSummary]) -> None:
    text = (imported[0].data / "originals.csv").read_text()
    assert "DOE-3" in text
    assert "Doe_Jane_3" in text


def test_images_carry_no_metadata(imported: tuple[Workspace, ImportSummary]) -> None:
    workspace, _ = imported
    for row in workspace.rows():
        with Image.open(workspace.data / row.file_name) as image:
            assert not image.info
            assert image.mode == "L"
