"""Broken and hostile files: one line, or a picture; nothing run, nothing written outside of the study, and no more memory than is said."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gan.config import GanConfig
from gan.sample import load_generator
from pipelines.data.published import read_sources
from pipelines.study.image_io import MAX_BYTES, MAX_SIDE, read_picture
from pipelines.study.manifest import (
    EXTERNAL,
    LABEL,
    MAX_TABLE,
    SPLITS,
    read_manifest,
    read_table,
    table,
)
from pipelines.study.synthetic import read_synthetic
from runtime import checkpoint
from runtime.files import MAX_JSON, configuration, read_json
from tests.conftest import ROOT, TINY_CLASSIFIER, cxr
from tests.hostile import (
    NASTY,
    dicom_bytes,
    hostile_configurations,
    hostile_manifests,
    hostile_pictures,
    hostile_sets,
    hostile_sources,
    jpeg,
    pictures,
)
from tests.watch import watched

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MISTAKES = (ValueError, FileNotFoundError)


# --- what must hold of every reader, for the tests and the long run ---


def check_picture(suffix: str, content: bytes) -> str:
    """Read one: a picture or a mistake that names the file, and nothing else happens. Returns which."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film{suffix}"
        path.write_bytes(content)
        with watched(Path(os.devnull)) as seen:
            try:
                gray, said = read_picture(path).gray, "read"
                assert gray.dtype == np.uint8
                assert gray.ndim == 2
                assert 0 < max(gray.shape) <= MAX_SIDE
            except MISTAKES as error:
                assert str(path) in str(error)
                said = "refused"
        assert not seen
        assert path.read_bytes() == content
        assert len(os.listdir(folder)) == 1
    return said


def check_table(name: str, content: bytes, read: Callable[[Path], list[Path]]) -> str:
    """Read one: paths inside its folder, or a mistake, and nothing else happens. Returns which."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / name
        path.write_bytes(content)
        (path.parent / "0.png").write_bytes(pictures()["L.png"])
        (path.parent / "config.json").write_text(
            json.dumps({"image_size": 32, "trained_on": [name]})
        )
        with watched(Path(os.devnull)) as seen:
            try:
                files, said = read(path), "read"
                assert all(
                    os.path.normpath(file).startswith(f"{path.parent}/") for file in files
                ), files
            except MISTAKES as error:
                assert str(path.parent) in str(error)
                said = "refused"
        assert not seen
    return said


def check_configuration(content: bytes) -> str:
    """A configuration out of a JSON file that was tampered with is what the file says, or a mistake that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_bytes(content)
        try:
            assert asdict(configuration(GanConfig, read_json(path), path)) == json.loads(content)
            return "read"
        except ValueError as error:
            assert str(path) in str(error)
            return "refused"


def files_of_manifest(path: Path) -> list[Path]:
    rows = read_manifest(path)
    assert all(
        LABEL.fullmatch(row.label)
        and row.split in (*SPLITS, EXTERNAL)
        and min(row.width, row.height) > 0
        for row in rows
    )
    return [path.parent / row.file_name for row in rows]


def files_of_set(path: Path) -> list[Path]:
    return [path.parent / row.file_name for row in read_synthetic(path.parent).rows]


def files_of_source(path: Path) -> list[Path]:
    (listing,) = read_sources((str(path if path.name == "table.csv" else path.parent),))
    assert all(LABEL.fullmatch(record.label) for record in listing.records)
    return [Path(record.origin) for record in listing.records]


@FEW
@given(hostile_pictures())
def test_pictures(case: tuple[str, bytes]) -> None:
    check_picture(*case)


@FEW
@given(hostile_manifests())
def test_manifests(content: bytes) -> None:
    check_table("manifest.csv", content, files_of_manifest)


@FEW
@given(hostile_sets())
def test_manifests_of_synthetic_sets(content: bytes) -> None:
    check_table("manifest.csv", content, files_of_set)


@FEW
@given(hostile_sources())
def test_tables_of_sources(case: tuple[str, bytes]) -> None:
    check_table(*case, files_of_source)


# --- no more memory than is said ---


BOMBS = """
import sys
from pathlib import Path
from pipelines.study.manifest import read_manifest, read_table
from pipelines.study.image_io import read_picture
from pipelines.data.sources import read_rows
from runtime.files import read_json
import pydicom.pixels

def peak(name="VmHWM"):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

readers = {"csv": lambda path: read_rows(path, ("file_name",)), "tsv": lambda path: read_table(path, ("file_name",)), "json": read_json}
before = peak("VmRSS")
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        readers.get(path.suffix[1:], read_picture)(path)
        print(f"{path.name} was read")
    except ValueError as error:
        assert str(path) in str(error), error
print((peak() - before) // 1024)
"""


def sparse(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    """Gigabytes in kilobytes, of every kind that is read; all of them together take a process less than 200 MB."""
    folder = tmp_path / "bombs"
    folder.mkdir()
    Image.new("1", (12_000, 12_000)).save(folder / "pixels.tif", compression="tiff_deflate")
    (folder / "sides.jpg").write_bytes(jpeg((65_500, 65_500)))
    deflated = bytearray(dicom_bytes(syntax="1.2.840.10008.1.2.1.99"))
    meta = bytes(deflated[: deflated.index(b"1.2.840.10008.1.2.1.99") + 24])
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    (folder / "deflated.dcm").write_bytes(
        meta + packer.compress(bytes(250_000_000)) + packer.flush()
    )
    (folder / "frame.dcm").write_bytes(pictures()["bomb.dcm"])
    (folder / "sides.dcm").write_bytes(dicom_bytes(Rows=65_000, Columns=65_000))
    sparse(folder / "endless.dcm", MAX_BYTES + 1)
    sparse(folder / "endless.csv", MAX_TABLE + 1)
    sparse(folder / "endless.json", MAX_JSON + 1)
    wide = (
        "file_name," + ",".join(map(str, range(20_000))) + "\n" + "x\n" * 30_000
    )  # a dict of 20,001 entries for every two bytes
    (folder / "wide.csv").write_text(wide)
    (folder / "wide.tsv").write_text(wide)
    (folder / "deep.json").write_text("[" * 1_000_000)
    assert sum(path.stat().st_blocks * 512 for path in folder.iterdir()) < 5_000_000
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BOMBS, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert int(done.stdout) < 200, done.stdout


def test_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    """A pipe would be waited for, and /dev/zero read for ever."""
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "zero.dcm").symlink_to("/dev/zero")
    (tmp_path / "folder.dcm").mkdir()
    for name in ("pipe.dcm", "zero.dcm", "folder.dcm"):
        for read in (read_picture, read_json, lambda path: read_table(path, ("a",))):
            with pytest.raises(ValueError, match=f"{name} is a (device|folder)"):
                read(tmp_path / name)


def test_a_generator_cannot_ask_for_more_than_it_holds(study: Path) -> None:
    path = study / "runs" / "0001-gan-train" / "generator.pt"
    state = dict(torch.load(path, weights_only=True))
    for changes in (
        {"width": 10**6},
        {"width": 10**15},
        {"latent_size": 10**12},
        {"image_size": 256},
        {"preset": "dcgan"},
    ):
        config = {**state["config"], "penalty": 0.0, "ema_decay": 0.0, **changes}
        torch.save({**state, "config": config}, path)
        with pytest.raises(ValueError, match="generator.pt"):
            load_generator(path, torch.device("cpu"))
    torch.save({**state, "classes": ["covid"] * 10**5}, path)
    with pytest.raises(ValueError, match="generator.pt"):
        load_generator(path, torch.device("cpu"))


def test_a_compressed_checkpoint_is_not_unpacked(tmp_path: Path) -> None:
    """torch would: a file of a megabyte becomes gigabytes."""
    checkpoint.save(tmp_path / "whole.pt", "thing", {"w": torch.zeros(1_000_000)})
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in whole.infolist():
            packed.writestr(entry.filename, whole.read(entry))
    assert (tmp_path / "packed.pt").stat().st_size < 100_000
    with pytest.raises(ValueError, match="packed.pt"):
        checkpoint.load(tmp_path / "packed.pt", "thing")


# --- no code of others is run ---


class Harmful:
    def __reduce__(self) -> tuple:
        return os.system, ("echo executed > executed",)


def harmful_checkpoint(path: Path) -> None:
    torch.save({"cxr": "generator", "version": 2, "config": {}, "weights": Harmful()}, path)


def harmful_pickle(path: Path) -> None:
    with open(path, "wb") as file:
        pickle.dump({"mu": Harmful()}, file)


def harmful_arrays(path: Path) -> None:
    np.savez(
        path,
        mu=np.array([Harmful()], object),
        sigma=np.array([Harmful()], object),
        keys=np.array([Harmful()], object),
        features=np.array([Harmful()], object),
    )
    path.with_name(path.name + ".npz").replace(path) if path.suffix != ".npz" else None


RUNS = ("runs/0001-gan-train", "runs/0003-classify-train")
TRAPS = [
    (f"{RUNS[0]}/generator.pt", ["synthesize", "--n", "2"]),
    (f"{RUNS[0]}/generator.pt", ["export", "1"]),
    (f"{RUNS[0]}/checkpoints/last.pt", ["gan-train", "--resume", "1", "--steps", "20"]),
    (f"{RUNS[0]}/snapshots/step-000004.pt", ["synthesize", "--n", "2", "--snapshot", "4"]),
    (f"{RUNS[1]}/classifier.pt", ["classify", "data/images"]),
    (f"{RUNS[1]}/classifier.pt", ["audit"]),
    (f"{RUNS[1]}/classifier.pt", ["export"]),
    (f"{RUNS[1]}/classifier.pt", ["score", "--features", "cnn"]),
    (f"{RUNS[1]}/checkpoints/last.pt", ["classify-train", "--resume", "3"]),
    ("weights.pth", ["classify-train", "--arch", "vgg16", "--weights", "weights.pth"]),
    ("weights.pth", ["score", "--features", "inception", "--weights", "weights.pth"]),
    ("statistics.npz", ["score", "--dataset-a", "statistics.npz", "--dataset-b", "statistics.npz"]),
]


@pytest.mark.parametrize("lay", [harmful_checkpoint, harmful_pickle, harmful_arrays])
@pytest.mark.parametrize(
    ("place", "command"),
    TRAPS,
    ids=[f"{place.rpartition('/')[2]} {command[0]}" for place, command in TRAPS],
)
def test_no_file_can_bring_code_along(
    unfinished: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    command: list[str],
    lay: Callable[[Path], None],
) -> None:
    monkeypatch.chdir(unfinished)
    kept = unfinished.parent / "kept"
    if (unfinished / place).exists():
        shutil.copy2(unfinished / place, kept)
    lay(unfinished / place)
    with watched(unfinished) as seen:
        result = cxr(*command, folder=unfinished)
    if kept.exists():
        os.replace(kept, unfinished / place)
    assert (
        result.exit_code == 2
        and len(result.stderr.strip().splitlines()) == 1
        and Path(place).name in result.stderr
    ), result.stderr
    assert not seen
    assert not (unfinished / "executed").exists()


@pytest.fixture(scope="module")
def unfinished(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny study for all tests that leave it as it was."""
    return Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("hostile") / "study"))


def test_a_picture_that_is_a_program_is_not_started(tmp_path: Path) -> None:
    """Pillow hands EPS to Ghostscript, whatever the file is called."""
    assert check_picture(".png", pictures()["other.eps"]) == "refused"
    path = tmp_path / "film.png"
    path.write_bytes(pictures()["other.eps"])
    with (
        watched(tmp_path) as seen,
        contextlib.suppress(OSError),
        Image.open(path) as image,
    ):  # OSError: there is no Ghostscript here
        image.load()
    assert any("subprocess" in event for event in seen), "the watch sees what Pillow would do"


# --- nothing is written outside of the study ---


def outside(study: Path) -> Path:
    folder = study.parent / "outside"
    folder.mkdir()
    (folder / "precious").write_text("precious\n")
    return folder


def forged_generator(study: Path) -> None:
    path = study / "runs" / "0001-gan-train" / "generator.pt"
    state = dict(torch.load(path, weights_only=True))
    torch.save({**state, "classes": ["../../../../outside/covid", "normal"]}, path)


def forged_labels(study: Path) -> None:
    path = study / "data" / "manifest.csv"
    path.write_text(path.read_text().replace(",covid,", ",../../../outside/covid,"))


def linked(place: str, target: str = "") -> Callable[[Path], None]:
    """Puts a link to the folder outside, or to a file in it, in the place of what is there."""

    def link(study: Path) -> None:
        path = study / place
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(study.parent / "outside" / target)

    return link


ESCAPES = [
    (forged_generator, ["synthesize", "--n", "4"], "unknown to this study"),
    (
        forged_labels,
        ["gan-train", "--steps", "1", "--image-size", "32", "--width", "4", "--batch-size", "4"],
        "label '../../../outside/covid'",
    ),
    (linked("runs"), ["synthesize", "--n", "2"], "leads out of the study"),
    (linked("data"), ["data", "phantom", "--n", "4"], "leads out of the study"),
    (linked("data/images"), ["data", "phantom", "--n", "70"], "leads out of the study"),
    (linked("data/images/covid"), ["data", "phantom", "--n", "70"], "leads out of the study"),
    (linked("data/arrays"), ["classify-train", *TINY_CLASSIFIER], "leads out of the study"),
    (linked("data/features"), ["score", "--features", "random"], "leads out of the study"),
    (linked("data/import.json", "precious"), ["data", "check"], "leads out of the study"),
    (
        linked("data/.incoming/journal.jsonl", "precious"),
        ["data", "phantom", "--n", "70"],
        "leads out of the study",
    ),
    (
        linked("runs/0001-gan-train"),
        ["gan-train", "--resume", "1", "--steps", "12"],
        "leads out of the study",
    ),
    (
        linked("runs/0001-gan-train/journal.jsonl", "precious"),
        ["gan-train", "--resume", "1", "--steps", "12"],
        "leads out of the study",
    ),
    (
        linked("runs/0001-gan-train/snapshots"),
        ["gan-train", "--resume", "1", "--steps", "12"],
        "leads out of the study",
    ),
    (
        linked("runs/0002-synthesize/images/covid"),
        ["synthesize", "--resume", "2"],
        "leads out of the study",
    ),
    (
        linked("runs/0003-classify-train/checkpoints"),
        ["classify-train", "--resume", "3"],
        "leads out of the study",
    ),
]


@pytest.mark.parametrize(
    ("break_it", "command", "message"),
    ESCAPES,
    ids=[f"{number} {' '.join(command[:2])}" for number, (_, command, _) in enumerate(ESCAPES)],
)
def test_nothing_is_written_outside_of_the_study(
    study: Path, break_it: Callable[[Path], None], command: list[str], message: str
) -> None:
    folder = outside(study)
    break_it(study)
    with watched(study) as seen:
        result = cxr(*command, folder=study)
    assert (
        result.exit_code == 2
        and message in result.stderr
        and len(result.stderr.strip().splitlines()) == 1
    ), result.stderr
    assert not seen
    assert [path.read_text() for path in folder.iterdir()] == ["precious\n"]


def test_links_within_a_study_are_followed(study: Path) -> None:
    (study / "data" / "images").rename(study / "films")
    (study / "data" / "images").symlink_to("../films", target_is_directory=True)
    assert cxr("data", "check", folder=study).exit_code == 0


# --- tables of ours ---


@FEW
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.one_of(
                    st.sampled_from([one for one in NASTY if len(one) < 1000]), st.text()
                ),
                "b": st.sampled_from(("-0.5", "+3", "1e-5", "-inf", "x")),
            }
        )
    )
)
def test_a_table_runs_nothing_in_a_spreadsheet_and_comes_back_as_it_was(rows: list[dict]) -> None:
    rows = [
        {name: text.encode("utf-8", "replace").decode() for name, text in row.items()}
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(table(["a", "b"], rows).encode())
        assert read_table(path, ["a", "b"]) == rows
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                assert not row["a"].startswith(("=", "@", "\t", "\r"))
                assert not row["a"].startswith(("+", "-")) or float(row["a"]) is not None
                assert row["b"] in ("-0.5", "+3", "1e-5", "-inf", "x"), "numbers stay numbers"


# --- JSON of the workspace ---


JSONS = [
    ("data/import.json", ["data", "phantom", "--n", "66"]),
    (f"{RUNS[0]}/config.json", ["gan-train", "--resume", "1", "--steps", "12"]),
    ("runs/0002-synthesize/config.json", ["synthesize", "--resume", "2"]),
    ("runs/0002-synthesize/config.json", ["classify-train", "--with-synthetic", "--resume", "3"]),
    (f"{RUNS[1]}/config.json", ["classify-train", "--resume", "3"]),
]


@pytest.mark.parametrize(
    ("place", "command"),
    JSONS,
    ids=[f"{command[0]} {place.split('/')[1]}" for place, command in JSONS],
)
def test_a_json_file_that_lacks_something_is_named(
    unfinished: Path, place: str, command: list[str]
) -> None:
    path = unfinished / place
    whole = path.read_bytes()
    try:
        for text in (
            "{}",
            "[]",
            "null",
            "{",
            '{"imports": []}',
            '{"imports": 3}',
            "[" * 100_000,
            '{"a": NaN}',
            "\0",
            whole[: len(whole) // 2].decode(),
        ):
            path.write_text(text)
            result = cxr(*command, folder=unfinished)
            assert (
                result.exit_code == 2
                and len(result.stderr.strip().splitlines()) == 1
                and unfinished.name in result.stderr
            ), (text[:20], result.stderr)
    finally:
        path.write_bytes(whole)


@FEW
@given(hostile_configurations())
def test_configurations(content: bytes) -> None:
    check_configuration(content)
