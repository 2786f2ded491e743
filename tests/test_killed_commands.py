"""Commands killed at the most delicate places leave in the end what undisturbed ones do."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.study.manifest import read_manifest
from tests.conftest import TINY_CLASSIFIER, cxr, ok
from tests.support.command_server import CommandServer, continuation
from tests.support.command_steps import CommandStep, run_steps
from tests.support.study_files import study_differences, study_files, unfinished_files

Place = tuple[str, int]  # the nth change to a file with this text in its path

COMPARE = (  # with generators of its own
    *("compare", "--arms", "real,real+gan", "--seeds", "2", "--generators", "2"),
    *TINY_CLASSIFIER,
)
KILL_PLACES: dict[str, list[Place]] = {  # of each command, one kill after the other
    "gan-train": [
        ("data/arrays/32-", 1),
        (".new/config.json", 1),
        ("samples/step-000004.png", 1),
        ("/generator.pt", 1),
    ],
    "synthesize": [
        ("0002-synthesize/images", 1),
        ("synthetic-000066.png", 1),
        ("/result.json", 1),
    ],
    "classify-train": [
        ("checkpoints/last.pt", 2),
        ("/metrics.json", 1),
    ],
    "score": [
        ("data/features/", 2),
        ("/score.json", 1),
    ],
    "compare": [
        ("replicates/0002-synthesize/images/covid/synthetic-000000.png", 1),
        ("real-f1-s1/result.json", 1),
    ],
}
IMPORT_PLACES: list[Place] = [
    ("journal.jsonl", 1),
    (".png", 3),
    (".incoming/originals.csv", 1),
    ("commit.json", 3),
    ("data/images/other", 1),
    ("data/images/other/", 5),
    ("data/originals.csv", 1),
    ("data/import.json", 1),
    ("data/manifest.csv", 1),
    ("commit.json", 4),
    ("journal.jsonl", 2),
]
BEFORE_COMMIT_PLACES: list[Place] = [  # where files of the import already lie in the study
    ("data/images/other/", 5),
    ("data/import.json", 1),
    ("data/manifest.csv", 1),
]


def place_id(place: Place) -> str:
    return f"{place[0]} #{place[1]}"


@pytest.fixture(scope="module")
def steps(
    command_server: CommandServer,
    study_steps: dict[str, CommandStep],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, CommandStep]:
    """The commands, undisturbed."""
    study, folder = study_steps["score"].after, tmp_path_factory.mktemp("compare")
    return study_steps | run_steps(command_server, study, folder, {"compare": COMPARE})


@pytest.mark.parametrize("name", KILL_PLACES)
def test_a_command_killed_again_and_again_leaves_what_an_undisturbed_one_does(
    name: str, command_server: CommandServer, steps: dict[str, CommandStep], tmp_path: Path
) -> None:
    step = steps[name]
    study = Path(shutil.copytree(step.before, tmp_path / "study"))
    command = arguments = step.arguments(study)
    for place in KILL_PLACES[name]:
        result = command_server.run(*arguments, folder=study, kill_before_change=place)
        assert result.killed, f"{arguments} never came to {place}: {result}"
        arguments = continuation(study, command)
        assert arguments, f"{name} has no result before {place}, and calls itself finished"
    last = command_server.run(*arguments, folder=study)
    assert last.returncode == 0, last.stderr
    unusual = set(last.stderr.splitlines()) - set(step.undisturbed.stderr.splitlines())
    assert not unusual
    assert not study_differences(study, step.after)
    assert not unfinished_files(study)


@dataclass(frozen=True)
class Imports:
    """A study before an import, after it, and after another one instead."""

    before: Path
    films: Path
    after: Path
    other_films: Path
    after_other: Path


@pytest.fixture(scope="module")
def imports(command_server: CommandServer, tmp_path_factory: pytest.TempPathFactory) -> Imports:
    """One study and two imports into it, undisturbed."""
    folder = tmp_path_factory.mktemp("imports")
    before, after, after_other = (folder / name for name in ("before", "after", "after other"))
    films = write_films(folder / "films", seed=1)
    other_films = write_films(folder / "other films", seed=2)
    ok(cxr("data", "import", write_films(folder / "first films", seed=0), folder=before))
    for study, added in ((after, films), (after_other, other_films)):
        shutil.copytree(before, study)
        assert command_server.run("data", "import", added, folder=study).returncode == 0
    return Imports(before, films, after, other_films, after_other)


@pytest.fixture
def killed_study(
    request: pytest.FixtureRequest, command_server: CommandServer, imports: Imports, tmp_path: Path
) -> Path:
    """The study whose import was killed at the place that is the parameter."""
    study = Path(shutil.copytree(imports.before, tmp_path / "study"))
    result = command_server.run(
        "data", "import", imports.films, folder=study, kill_before_change=request.param
    )
    assert result.killed, result
    return study


@pytest.mark.parametrize("killed_study", IMPORT_PLACES, ids=place_id, indirect=True)
def test_a_killed_import_is_whole_or_never_was_and_is_finished_by_the_same_again(
    killed_study: Path, imports: Imports, command_server: CommandServer
) -> None:
    rows, before, after = (
        read_manifest(study / "data" / "manifest.csv")
        for study in (killed_study, imports.before, imports.after)
    )
    assert rows in (before, after)
    again = command_server.run("data", "import", imports.films, folder=killed_study)
    if rows == after:
        assert "nothing to import: 12 already in the study" in again.stderr
    else:
        assert again.returncode == 0, again.stderr
    assert not study_differences(killed_study, imports.after)


@pytest.mark.parametrize("killed_study", BEFORE_COMMIT_PLACES, ids=place_id, indirect=True)
def test_another_import_leaves_nothing_of_a_killed_one(
    killed_study: Path, imports: Imports, command_server: CommandServer
) -> None:
    again = command_server.run("data", "import", imports.other_films, folder=killed_study)
    assert again.returncode == 0, again.stderr
    assert not study_differences(killed_study, imports.after_other)


def test_the_key_of_a_killed_first_import_is_that_of_the_study(
    command_server: CommandServer, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    key = study / "data" / "patients.key"
    films = [write_films(tmp_path / f"films {seed}", seed) for seed in range(3)]
    keys = set()
    # right before the first import is committed, and right after
    for place in (("data/manifest.csv", 1), ("commit.json", 5)):
        if keys:
            assert "holds no data yet" in command_server.run("gan-train", folder=study).stderr
        result = command_server.run(
            "data", "import", films[0], folder=study, kill_before_change=place
        )
        assert result.killed
        keys.add(key.read_text())
    for added in films[1:]:
        assert command_server.run("data", "import", added, folder=study).returncode == 0
        keys.add(key.read_text())
    rows = read_manifest(study / "data" / "manifest.csv")
    assert len(keys) == 1
    assert key.stat().st_mode & 0o077 == 0
    assert len(rows) == 36
    assert {f"data/{row.file_name}" for row in rows} == {
        name for name in study_files(study) if name.endswith(".png")
    }


def write_films(folder: Path, seed: int) -> Path:
    """Write twelve pictures of noise, half of them of a label of their own."""
    for number in range(12):
        label = folder / ("covid" if number % 2 else "other" if seed else "normal")
        label.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng([seed, number]).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(noise.repeat(8, 0).repeat(8, 1)).save(label / f"{number}.png")
    return folder
