"""Broken and hostile files: each is read, or refused in one line, without side effects.

And nothing takes more memory than is said.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.study.image_io import MAX_BYTES, read_picture
from pipelines.study.tables import MAX_TABLE, format_table, read_table
from runtime.files import MAX_JSON, read_json
from tests.conftest import ROOT
from tests.hostile.damage import NASTY_TEXTS
from tests.hostile.dicom_files import dicom_bytes, jpeg_of_size
from tests.hostile.json_files import hostile_configurations
from tests.hostile.pictures import hostile_pictures, whole_pictures
from tests.hostile.reader_checks import (
    check_configuration,
    check_picture,
    check_table,
    files_of_manifest,
    files_of_set,
    files_of_source,
)
from tests.hostile.tables import hostile_manifests, hostile_sets, hostile_sources

FEW_EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@FEW_EXAMPLES
@given(hostile_pictures())
def test_pictures(case: tuple[str, bytes]) -> None:
    check_picture(*case)


@FEW_EXAMPLES
@given(hostile_manifests())
def test_manifests(content: bytes) -> None:
    check_table("manifest.csv", content, files_of_manifest)


@FEW_EXAMPLES
@given(hostile_sets())
def test_manifests_of_synthetic_sets(content: bytes) -> None:
    check_table("manifest.csv", content, files_of_set)


@FEW_EXAMPLES
@given(hostile_sources())
def test_tables_of_sources(case: tuple[str, bytes]) -> None:
    check_table(*case, files_of_source)


@FEW_EXAMPLES
@given(hostile_configurations())
def test_configurations(content: bytes) -> None:
    check_configuration(content)


# --- no more memory than is said ---


READ_ALL = """
import sys
from pathlib import Path
from pipelines.study.manifest import read_manifest
from pipelines.study.tables import read_table
from pipelines.study.image_io import read_picture
from pipelines.data.table_text import read_rows
from runtime.files import read_json
import pydicom.pixels

def peak(name="VmHWM"):
    status = open("/proc/self/status")
    return int(next(line for line in status if line.startswith(name)).split()[1])

readers = {
    "csv": lambda path: read_rows(path, ("file_name",)),
    "tsv": lambda path: read_table(path, ("file_name",)),
    "json": read_json,
}
before = peak("VmRSS")
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        readers.get(path.suffix[1:], read_picture)(path)
        print(f"{path.name} was read")
    except ValueError as error:
        assert str(path) in str(error), error
print((peak() - before) // 1024)
"""


def write_sparse(path: Path, size: int) -> None:
    """Make a file that has a size and takes no place."""
    with open(path, "wb") as file:
        file.truncate(size)


def write_bombs(folder: Path) -> None:
    """Write gigabytes in kilobytes, of every kind that is read."""
    Image.new("1", (12_000, 12_000)).save(folder / "pixels.tif", compression="tiff_deflate")
    (folder / "sides.jpg").write_bytes(jpeg_of_size((65_500, 65_500)))
    deflated = bytearray(dicom_bytes(syntax="1.2.840.10008.1.2.1.99"))
    meta = bytes(deflated[: deflated.index(b"1.2.840.10008.1.2.1.99") + 24])
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(250_000_000)) + packer.flush()
    (folder / "deflated.dcm").write_bytes(meta + packed)
    (folder / "frame.dcm").write_bytes(whole_pictures()["bomb.dcm"])
    (folder / "sides.dcm").write_bytes(dicom_bytes(Rows=65_000, Columns=65_000))
    write_sparse(folder / "endless.dcm", MAX_BYTES + 1)
    write_sparse(folder / "endless.csv", MAX_TABLE + 1)
    write_sparse(folder / "endless.json", MAX_JSON + 1)
    # a dict of 20,001 entries for every two bytes
    wide = "file_name," + ",".join(map(str, range(20_000))) + "\n" + "x\n" * 30_000
    (folder / "wide.csv").write_text(wide)
    (folder / "wide.tsv").write_text(wide)
    (folder / "deep.json").write_text("[" * 1_000_000)
    assert sum(path.stat().st_blocks * 512 for path in folder.iterdir()) < 5_000_000


def test_bombs_are_refused_before_they_go_off(tmp_path: Path) -> None:
    """All of them together take a process less than 200 MB."""
    write_bombs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ALL, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert int(done.stdout) < 200, done.stdout


def read_one_column(path: Path) -> object:
    return read_table(path, ("a",))


@pytest.mark.parametrize(
    "read", [read_picture, read_json, read_one_column], ids=["picture", "JSON", "table"]
)
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: os.mkfifo(path), "device"),
        (lambda path: path.symlink_to("/dev/zero"), "device"),
        (lambda path: path.mkdir(), "folder"),
    ],
    ids=["a pipe, which would be waited for", "/dev/zero, which has no end", "a folder"],
)
def test_devices_and_folders_are_no_files(
    tmp_path: Path,
    make: Callable[[Path], None],
    what: str,
    read: Callable[[Path], object],
) -> None:
    make(tmp_path / "film.dcm")
    with pytest.raises(ValueError, match=rf"film\.dcm is a {what}"):
        read(tmp_path / "film.dcm")


# --- tables of ours ---


NUMBERS = ("-0.5", "+3", "1e-5", "-inf", "x")


@FEW_EXAMPLES
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.one_of(
                    st.sampled_from([text for text in NASTY_TEXTS if len(text) < 1000]), st.text()
                ),
                "b": st.sampled_from(NUMBERS),
            }
        )
    )
)
def test_a_table_runs_nothing_in_a_spreadsheet_and_comes_back_as_it_was(
    rows: list[dict[str, str]],
) -> None:
    rows = [
        {name: text.encode("utf-8", "replace").decode() for name, text in row.items()}
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(format_table(["a", "b"], rows).encode())
        assert read_table(path, ["a", "b"]) == rows
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                assert not row["a"].startswith(("=", "@", "\t", "\r"))
                assert not row["a"].startswith(("+", "-")) or float(row["a"]) is not None
                assert row["b"] in NUMBERS, "numbers stay numbers"
