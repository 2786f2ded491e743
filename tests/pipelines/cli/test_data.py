"""The data commands as they are used: stopped, resumed, out of space, looked at."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from pipelines.data.check_report import CheckReport
from pipelines.figures.lung_sheets import TRUE_COLOUR
from pipelines.figures.view_sheet import VIEW_SIDE, draw_view_sheet
from pipelines.study.import_log import read_imports
from pipelines.study.manifest import Row, read_manifest
from pipelines.study.views import OUTSIDE_GRAY
from pipelines.study.workspace import Workspace
from tests.conftest import cxr, made_once, ok
from tests.support.command_server import CommandServer
from tests.support.command_steps import IN_FP32

SMALL_GAN = ("--image-size", 32, "--width", 4, "--batch-size", 8, *IN_FP32)


def blocks(seed: int, highest: int) -> np.ndarray:
    """Draw a picture of 240 × 240 px, unlike all others."""
    gray = np.random.default_rng(seed).integers(0, highest, (20, 20), dtype=np.uint8)
    return gray.repeat(12, 0).repeat(12, 1)


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 pictures of two labels, brighter in one of them, half of them of patients with two."""
    return made_once(tmp_path_factory, "clinic", draw_clinic)


def draw_clinic(folder: Path) -> None:
    folder.mkdir()
    with open(folder / "list.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "label", "patient", "view"])
        for number in range(240):
            label = ("covid", "normal")[number % 2]
            gray = blocks(number, highest=160) + np.uint8(60 * (label == "covid"))
            Image.fromarray(gray).save(folder / f"{number}.png", compress_level=1)
            table.writerow(
                [
                    f"{number}.png",
                    label,
                    f"p{number // 4 if number < 120 else number}-{label}",
                    "AP" if label == "covid" else "PA",
                ]
            )


@pytest.fixture(scope="session")
def clinic_study(clinic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of the clinic's pictures. Not to be changed: copy it."""
    return made_once(
        tmp_path_factory,
        "clinic-study",
        lambda folder: ok(cxr("data", "import", clinic, folder=folder)),
    )


def without_patients(folder: Path) -> list[Row]:
    """Return the rows of a study without their patients, whom every study names otherwise."""
    rows = read_manifest(folder / "data" / "manifest.csv")
    return [replace(row, patient="") for row in rows]


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
    command_server: CommandServer, clinic: Path, clinic_study: Path, tmp_path: Path
) -> None:
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
    assert without_patients(tmp_path / "study") == without_patients(clinic_study)
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


@pytest.fixture(scope="module")
def flawed(clinic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per label of 24 pictures, and besides one of each kind that is left out."""
    source = tmp_path_factory.mktemp("flawed")
    for first, label in enumerate(("covid", "normal")):
        (source / label).mkdir(parents=True)
        for number in range(12):
            shutil.copy(clinic / f"{2 * number + first}.png", source / label / f"{number}.png")
    gray = Image.open(clinic / "0.png")
    gray.resize((200, 200)).save(source / "covid" / "again.png")
    gray.save(source / "covid" / "copy.png")
    Image.open(clinic / "2.png").save(source / "normal" / "other label.png")
    Image.new("L", (200, 200), 90).save(source / "covid" / "blank.png")
    gray.resize((20, 20)).save(source / "covid" / "small.png")
    (source / "covid" / "broken.png").write_bytes(b"\x89PNG")
    (source / "covid" / "readme.txt").write_text("")
    return source


def test_strict_leaves_the_study_as_it_was(flawed: Path, tmp_path: Path) -> None:
    refused = cxr("data", "import", flawed, "--strict", folder=tmp_path / "study")
    assert refused.exit_code == 2
    assert "--strict: 7 files would be left out" in refused.output
    assert not (tmp_path / "study" / "data").exists()


@pytest.fixture(scope="module")
def flawed_import(flawed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of them, and what its import said."""
    study = tmp_path_factory.mktemp("flawed import") / "study"
    return study, ok(cxr("data", "import", flawed, folder=study))


def test_an_import_says_what_is_left_out(flawed_import: tuple[Path, str]) -> None:
    _, output = flawed_import
    for line in (
        "1 blank",
        "1 too small",
        "1 unreadable",
        "1 exact duplicate",
        "2 the same picture under two labels",
        "1 not an image",
        "1 pairs look like one film",
    ):
        assert line in output, line


def test_import_json_has_a_reason_for_every_image_left_out(
    flawed_import: tuple[Path, str],
) -> None:
    (summary,) = read_imports(flawed_import[0] / "data" / "import.json")
    assert summary.kept + len(summary.left_out) == 30
    assert all(image.reason for image in summary.left_out)


def test_importing_the_same_again_says_so(flawed: Path, flawed_import: tuple[Path, str]) -> None:
    again = cxr("data", "import", flawed, folder=flawed_import[0])
    assert again.exit_code == 2
    assert "nothing to import" in again.output
    assert "24 already in the study" in again.output


@pytest.fixture
def study_of_clinic(clinic_study: Path, tmp_path: Path) -> Path:
    """A study of the clinic's pictures, to do with as one likes."""
    return Path(shutil.copytree(clinic_study, tmp_path / "study"))


@pytest.mark.parametrize("name", ["originals.csv", "patients.key"])
def test_what_links_to_people_is_for_the_owner_alone(clinic_study: Path, name: str) -> None:
    assert (clinic_study / "data" / name).stat().st_mode & 0o077 == 0


def test_more_can_be_imported_without_the_originals(study_of_clinic: Path) -> None:
    (study_of_clinic / "data" / "originals.csv").unlink()
    ok(cxr("data", "phantom", "--n", 8, folder=study_of_clinic))


def test_no_more_can_be_imported_without_the_key(study_of_clinic: Path) -> None:
    (study_of_clinic / "data" / "patients.key").unlink()
    result = cxr("data", "phantom", "--n", 12, folder=study_of_clinic)
    assert result.exit_code == 2
    assert "patients.key is gone" in result.output


@pytest.fixture(scope="module")
def checked(clinic_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of the clinic's pictures after `data check`, and what that said."""
    study = Path(shutil.copytree(clinic_study, tmp_path_factory.mktemp("checked") / "study"))
    return study, ok(cxr("data", "check", folder=study))


def test_check_says_what_a_reviewer_would(checked: tuple[Path, str]) -> None:
    _, output = checked
    for text in (
        "brightness differs between covid and the other labels",
        "projections differ",
        "no test set from another source",
        "brightness 100 %",
    ):
        assert text in output, text
    assert "label and source are one" not in output
    assert "every image counts as a patient" not in output


def test_check_json_says_how_well_the_label_is_told(checked: tuple[Path, str]) -> None:
    told = CheckReport.load(checked[0] / "data" / "check.json").predictable
    assert told is not None
    assert told.by_source == told.commonest == 0.5
    assert told.by_facts > 0.95


def test_check_says_when_label_and_source_are_one(clinic: Path, tmp_path: Path) -> None:
    for first, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        for number in range(first, 120, 2):
            os.link(clinic / f"{number}.png", tmp_path / folder / f"{number}.png")
    sources = [f"{tmp_path / 'a'}=covid", f"{tmp_path / 'b'}=normal"]
    ok(cxr("data", "import", *sources, folder=tmp_path / "study"))
    output = ok(cxr("data", "check", folder=tmp_path / "study"))
    assert "label and source are one: the source alone tells the label in 100 %" in output
    assert "every image counts as a patient of its own" in output


@pytest.fixture(scope="module")
def shown(phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of phantoms after `data show`, and what that said."""
    study = Path(shutil.copytree(phantom_study, tmp_path_factory.mktemp("shown") / "study"))
    return study, ok(cxr("data", "show", folder=study))


@pytest.mark.parametrize(
    ("name", "width", "height"), [("contact_sheet.png", 1000, 1000), ("figures.png", 800, 2000)]
)
def test_show_draws_a_sheet_and_figures(
    shown: tuple[Path, str], name: str, width: int, height: int
) -> None:
    study, output = shown
    assert name in output
    with Image.open(study / "data" / name) as image:
        assert image.width >= width
        assert image.height >= height
        assert np.asarray(image.convert("L")).std() > 20


def test_without_lungs_show_says_what_finds_them(shown: tuple[Path, str]) -> None:
    study, output = shown
    assert "has no lungs yet; find them with: cxr data lungs" in output
    assert not (study / "data" / "views.png").exists()


def test_with_lungs_show_draws_images_in_every_view(lung_box_study: Path, tmp_path: Path) -> None:
    path = tmp_path / "views.png"
    draw_view_sheet(Workspace(lung_box_study), path)
    with Image.open(path) as picture:
        sheet = np.asarray(picture)
    brought = (sheet == ImageColor.getrgb(TRUE_COLOUR)).all(axis=2).any(axis=1)  # rows of pixels
    assert VIEW_SIDE < brought.sum() <= 2 * VIEW_SIDE  # outlines, once for each label
    gray_outside = (sheet == OUTSIDE_GRAY).all(axis=2).sum(axis=1)
    assert (gray_outside > VIEW_SIDE).sum() > VIEW_SIDE  # lungs alone


def test_phantoms_are_what_a_reviewer_would_like(phantom_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(phantom_study, tmp_path / "study"))
    output = ok(cxr("data", "check", folder=study))
    assert "source" in output
    assert "label and source are one" not in output
    assert "tell the label in" not in output.split("warning", 1)[-1]


@pytest.fixture(scope="module")
def with_external(clinic: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study in folds with an external set of ten pictures, and what its import said."""
    folder = tmp_path_factory.mktemp("with external")
    far = folder / "far"
    for number in range(10):
        label = ("covid", "normal")[number % 2]
        (far / label).mkdir(parents=True, exist_ok=True)
        gray = blocks(1000 + number, highest=200)
        Image.fromarray(gray).save(far / label / f"{number}.png")
    study = folder / "study"
    output = ok(cxr("data", "import", clinic, "--external", far, "--folds", 3, folder=study))
    return study, output


def test_an_external_set_is_counted_apart(with_external: tuple[Path, str]) -> None:
    _, output = with_external
    assert "external test set" in output
    assert "external" in output.splitlines()[-5]


def test_an_external_set_is_in_no_fold(with_external: tuple[Path, str]) -> None:
    rows = read_manifest(with_external[0] / "data" / "manifest.csv")
    external = [row for row in rows if row.split == "external"]
    assert len(external) == 10
    assert {row.fold for row in external} == {None}


def test_check_is_content_with_an_external_set(with_external: tuple[Path, str]) -> None:
    output = ok(cxr("data", "check", folder=with_external[0]))
    assert "no test set from another source" not in output


def test_an_external_set_stays_out_of_training(with_external: tuple[Path, str]) -> None:
    from gan.sample import load_generator
    from runtime.device import choose_compute

    study, _ = with_external
    ok(cxr("gan-train", "--steps", 2, *SMALL_GAN, folder=study))
    path = next((study / "runs").rglob("generator.pt"))
    trained = load_generator(path, choose_compute("cpu", "fp32").device)
    rows = read_manifest(study / "data" / "manifest.csv")
    assert set(trained.trained_on) == {row.sha256 for row in rows if row.split == "train"}
