"""Hostile files in a study: no code of others is run, and nothing is written outside of it."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from gan.sample import load_generator
from runtime import checkpoint
from tests.conftest import TINY_CLASSIFIER, cxr
from tests.hostile.pictures import whole_pictures
from tests.hostile.reader_checks import check_picture
from tests.support.side_effects import record_side_effects

RUNS = ("runs/0001-gan-train", "runs/0003-classify-train")
GENERATOR = f"{RUNS[0]}/generator.pt"


def assert_refused(result: Result, name: str) -> None:
    """Check that a command has failed with one line in which a name stands."""
    assert result.exit_code == 2, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert name in result.stderr


# --- checkpoints that lie ---


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 10**6},
        {"width": 10**15},
        {"latent_size": 10**12},
        {"image_size": 256},
        {"preset": "dcgan"},
    ],
    ids=str,
)
def test_a_generator_cannot_ask_for_more_than_it_holds(
    tiny_study: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    state = torch.load(tiny_study / GENERATOR, weights_only=True)
    config = {**state["config"], "penalty": 0.0, "ema_decay": 0.0, **changes}
    torch.save({**state, "config": config}, tmp_path / "generator.pt")
    with pytest.raises(ValueError, match=r"generator\.pt"):
        load_generator(tmp_path / "generator.pt", torch.device("cpu"))


def test_a_generator_cannot_have_more_classes_than_it_knows(
    tiny_study: Path, tmp_path: Path
) -> None:
    state = torch.load(tiny_study / GENERATOR, weights_only=True)
    torch.save({**state, "classes": ["covid"] * 10**5}, tmp_path / "generator.pt")
    with pytest.raises(ValueError, match=r"generator\.pt"):
        load_generator(tmp_path / "generator.pt", torch.device("cpu"))


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
    with pytest.raises(ValueError, match=r"packed\.pt"):
        checkpoint.load(tmp_path / "packed.pt", "thing")


# --- no code of others is run ---


class Harmful:
    """An object whose pickle runs a command where it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
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
    if path.suffix != ".npz":
        path.with_name(path.name + ".npz").replace(path)


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
    with record_side_effects(unfinished) as effects:
        result = cxr(*command, folder=unfinished)
    if kept.exists():
        os.replace(kept, unfinished / place)
    assert_refused(result, Path(place).name)
    assert not effects
    assert not (unfinished / "executed").exists()


@pytest.fixture(scope="module")
def unfinished(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny study for all tests that leave it as it was."""
    return Path(shutil.copytree(tiny_study, tmp_path_factory.mktemp("hostile") / "study"))


def test_a_picture_that_is_a_program_is_not_started(tmp_path: Path) -> None:
    """Pillow hands EPS to Ghostscript, whatever the file is called."""
    assert check_picture(".png", whole_pictures()["other.eps"]) == "refused"
    path = tmp_path / "film.png"
    path.write_bytes(whole_pictures()["other.eps"])
    with (
        record_side_effects(tmp_path) as effects,
        contextlib.suppress(OSError),  # there is no Ghostscript here
        Image.open(path) as image,
    ):
        image.load()
    assert any("subprocess" in event for event in effects), "what Pillow would do is seen"


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
    """Put a link to the folder outside, or to a file in it, in the place of what is there."""

    def link(study: Path) -> None:
        path = study / place
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
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
    with record_side_effects(study) as effects:
        result = cxr(*command, folder=study)
    assert_refused(result, message)
    assert not effects
    assert [path.read_text() for path in folder.iterdir()] == ["precious\n"]


def test_links_within_a_study_are_followed(study: Path) -> None:
    (study / "data" / "images").rename(study / "films")
    (study / "data" / "images").symlink_to("../films", target_is_directory=True)
    assert cxr("data", "check", folder=study).exit_code == 0


# --- JSON of a study ---


JSON_FILES = [
    ("data/import.json", ["data", "phantom", "--n", "66"]),
    (f"{RUNS[0]}/config.json", ["gan-train", "--resume", "1", "--steps", "12"]),
    ("runs/0002-synthesize/config.json", ["synthesize", "--resume", "2"]),
    ("runs/0002-synthesize/config.json", ["classify-train", "--with-synthetic"]),
    (f"{RUNS[1]}/config.json", ["classify-train", "--resume", "3"]),
]


DAMAGED_JSON: dict[str, Callable[[str], str]] = {
    "empty object": lambda whole: "{}",
    "list": lambda whole: "[]",
    "null": lambda whole: "null",
    "open brace": lambda whole: "{",
    "no imports": lambda whole: '{"imports": []}',
    "number for imports": lambda whole: '{"imports": 3}',
    "deep nesting": lambda whole: "[" * 100_000,
    "NaN": lambda whole: '{"a": NaN}',
    "null byte": lambda whole: "\0",
    "cut in half": lambda whole: whole[: len(whole) // 2],
}


@pytest.mark.parametrize("damage", DAMAGED_JSON.values(), ids=DAMAGED_JSON.keys())
@pytest.mark.parametrize(
    ("place", "command"),
    JSON_FILES,
    ids=[f"{command[0]} {place.split('/')[1]}" for place, command in JSON_FILES],
)
def test_a_json_file_that_lacks_something_is_named(
    unfinished: Path, place: str, command: list[str], damage: Callable[[str], str]
) -> None:
    path = unfinished / place
    whole = path.read_text()
    try:
        path.write_text(damage(whole))
        assert_refused(cxr(*command, folder=unfinished), unfinished.name)
    finally:
        path.write_text(whole)
