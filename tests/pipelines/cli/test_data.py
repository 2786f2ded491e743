"""The data commands as they are used: stopped, resumed, out of space, looked at."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.study.manifest import read_manifest
from tests.conftest import cxr, ok
from tests.support.command_server import CommandServer


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 pictures of two labels, brighter in one of them, half of them of patients with two."""
    folder = tmp_path_factory.mktemp("clinic")
    with open(folder / "list.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "label", "patient", "view"])
        for number in range(240):
            label = ("covid", "normal")[number % 2]
            gray = np.random.default_rng(number).integers(0, 160, (20, 20), dtype=np.uint8).repeat(
                12, 0
            ).repeat(12, 1) + np.uint8(60 * (label == "covid"))
            Image.fromarray(gray).save(folder / f"{number}.png", compress_level=1)
            table.writerow(
                [
                    f"{number}.png",
                    label,
                    f"p{number // 4 if number < 120 else number}-{label}",
                    "AP" if label == "covid" else "PA",
                ]
            )
    return folder


def without_patients(folder: Path) -> list[tuple]:
    return [
        (row.file_name, row.label, row.split, row.sha256, row.near_hash)
        for row in read_manifest(folder / "data" / "manifest.csv")
    ]


def started(command_server: CommandServer, folder: Path, clinic: Path, lines: int) -> int:
    """The process of an import that has decoded so many images."""
    process = command_server.start("data", "import", clinic, folder=folder)
    journal, deadline = folder / "data" / ".incoming" / "journal.jsonl", time.monotonic() + 60
    while (
        not (journal.exists() and journal.read_bytes().count(b"\n") >= lines)
        and time.monotonic() < deadline
    ):
        time.sleep(0.005)
    return process


def test_an_import_goes_on_after_a_signal_and_after_a_kill(
    command_server: CommandServer, clinic: Path, tmp_path: Path
) -> None:
    ok(cxr("data", "import", clinic, folder=tmp_path / "whole"))
    process = started(command_server, tmp_path / "study", clinic, 64)
    os.kill(process, signal.SIGINT)
    stopped = command_server.wait(process)
    assert stopped.returncode == 130
    assert "the same command goes on from there" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "study" / "data" / "manifest.csv").exists()
    assert cxr("gan-train", folder=tmp_path / "study").exit_code == 2
    process = started(command_server, tmp_path / "study", clinic, 160)
    os.kill(process, signal.SIGKILL)
    assert command_server.wait(process).killed
    files = {
        path.name: path.stat().st_mtime_ns
        for path in (tmp_path / "study" / "data" / ".incoming").glob("*.png")
    }
    assert len(files) >= 128
    process = started(command_server, tmp_path / "study", clinic, 170)
    kept = {
        path.name: path.stat().st_mtime_ns
        for path in (tmp_path / "study" / "data" / ".incoming").glob("*.png")
        if path.name in files
    }
    assert command_server.wait(process).returncode == 0
    assert (
        sum(kept.get(name) == when for name, when in files.items()) > 0.5 * len(files) or not kept
    ), "decoded images are not decoded again"
    assert without_patients(tmp_path / "study") == without_patients(tmp_path / "whole")
    assert not (tmp_path / "study" / "data" / ".incoming").exists()


def test_a_full_disk_leaves_the_study_as_it_was(
    command_server: CommandServer, clinic: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands in for a full disk: the images fit, the tables do not."""
    ok(cxr("data", "phantom", "--n", 8, folder=tmp_path))
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert (
        "no file may be so large here"
        in command_server.run(
            "data", "import", clinic, folder=tmp_path, max_file_bytes=40_000
        ).error_line
    )
    after = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert after == before


def test_strict_and_what_is_left_out(clinic: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for label in ("covid", "normal"):
        (source / label).mkdir(parents=True)
        for number in range(12):
            (source / label / f"{number}.png").write_bytes(
                (clinic / f"{2 * number + (label == 'normal')}.png").read_bytes()
            )
    gray = Image.open(clinic / "0.png")
    gray.resize((200, 200)).save(source / "covid" / "again.png")
    gray.save(source / "covid" / "copy.png")
    Image.open(clinic / "2.png").save(source / "normal" / "other label.png")
    Image.new("L", (200, 200), 90).save(source / "covid" / "blank.png")
    gray.resize((20, 20)).save(source / "covid" / "small.png")
    (source / "covid" / "broken.png").write_bytes(b"\x89PNG")
    (source / "covid" / "readme.txt").write_text("")
    refused = cxr("data", "import", source, "--strict", folder=tmp_path / "study")
    assert refused.exit_code == 2
    assert "--strict: 6 files would be left out" in refused.output
    assert not (tmp_path / "study" / "data").exists()
    output = ok(cxr("data", "import", source, folder=tmp_path / "study"))
    for line in (
        "1 blank",
        "1 too small",
        "1 unreadable",
        "1 exact duplicate",
        "2 the same picture under two labels",
        "1 not an image by its name",
        "1 pairs look like one film",
    ):
        assert line in output, line
    (imported,) = json.loads((tmp_path / "study" / "data" / "import.json").read_text())["imports"]
    assert imported["kept"] + len(imported["left_out"]) == 30
    assert all(entry["reason"] for entry in imported["left_out"])
    again = cxr("data", "import", source, folder=tmp_path / "study")
    assert again.exit_code == 2
    assert "nothing to import" in again.output
    assert "24 already in the study" in again.output


def test_more_can_be_imported_only_with_the_key_and_without_the_originals(
    clinic: Path, phantom_study: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    ok(cxr("data", "import", clinic, folder=tmp_path))
    assert (data / "originals.csv").stat().st_mode & 0o077 == 0
    assert (data / "patients.key").stat().st_mode & 0o077 == 0
    (data / "originals.csv").unlink()
    ok(cxr("data", "phantom", "--n", 8, folder=tmp_path))
    (data / "patients.key").unlink()
    result = cxr("data", "phantom", "--n", 12, folder=tmp_path)
    assert result.exit_code == 2
    assert "patients.key is gone" in result.output


def test_check_says_what_a_reviewer_would(clinic: Path, tmp_path: Path) -> None:
    ok(cxr("data", "import", clinic, folder=tmp_path))
    output = ok(cxr("data", "check", folder=tmp_path))
    for text in (
        "brightness differs between covid and the other labels",
        "projections differ",
        "no test set from another source",
        "brightness 100 %",
    ):
        assert text in output, text
    assert "label and source are one" not in output
    assert "every image counts as a patient" not in output
    report = json.loads((tmp_path / "data" / "check.json").read_text())
    assert report["predictable"]["by_source"] == report["predictable"]["commonest"] == 0.5
    assert report["predictable"]["by_facts"] > 0.95
    for folder, label in (("a", "covid"), ("b", "normal")):
        (tmp_path / folder).mkdir()
        for number in range(0 if label == "covid" else 1, 240, 2):
            os.link(clinic / f"{number}.png", tmp_path / folder / f"{number}.png")
    ok(
        cxr(
            "data",
            "import",
            f"{tmp_path / 'a'}=covid",
            f"{tmp_path / 'b'}=normal",
            folder=tmp_path / "study",
        )
    )
    output = ok(cxr("data", "check", folder=tmp_path / "study"))
    assert "label and source are one: the source alone tells the label in 100 %" in output
    assert "every image counts as a patient of its own" in output


def test_show_draws_every_label_and_split(phantom_study: Path, study: Path) -> None:
    output = ok(cxr("data", "show", folder=study))
    assert "contact_sheet.png" in output
    for name, size in (("contact_sheet.png", (1000, 1000)), ("figures.png", (800, 2000))):
        with Image.open(study / "data" / name) as image:
            assert image.width >= size[0]
            assert image.height >= size[1]
            assert np.asarray(image.convert("L")).std() > 20


def test_phantoms_are_what_a_reviewer_would_like(phantom_study: Path, study: Path) -> None:
    output = ok(cxr("data", "check", folder=study))
    assert "source" in output
    assert "label and source are one" not in output
    assert "tell the label in" not in output.split("warning", 1)[-1]


def test_an_external_set_stays_out_of_training(clinic: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    for label in ("covid", "normal"):
        (far / label).mkdir(parents=True)
    for number in range(10):
        gray = (
            np.random.default_rng(1000 + number)
            .integers(0, 200, (20, 20), dtype=np.uint8)
            .repeat(12, 0)
            .repeat(12, 1)
        )
        Image.fromarray(gray).save(far / ("covid", "normal")[number % 2] / f"{number}.png")
    output = ok(
        cxr("data", "import", clinic, "--external", far, "--folds", 3, folder=tmp_path / "study")
    )
    assert "external test set" in output
    assert "external" in output.splitlines()[-5]
    rows = read_manifest(tmp_path / "study" / "data" / "manifest.csv")
    assert Counter(row.split for row in rows)["external"] == 10
    assert {row.fold for row in rows if row.split == "external"} == {None}
    assert "no test set from another source" not in ok(
        cxr("data", "check", folder=tmp_path / "study")
    )
    ok(
        cxr(
            "gan-train",
            "--steps",
            2,
            "--image-size",
            32,
            "--width",
            4,
            "--batch-size",
            8,
            folder=tmp_path / "study",
        )
    )
    from gan.sample import load_generator
    from runtime.device import choose_compute

    trained = load_generator(
        next((tmp_path / "study" / "runs").rglob("generator.pt")), choose_compute("cpu").device
    )
    assert set(trained.trained_on) == {row.sha256 for row in rows if row.split == "train"}
