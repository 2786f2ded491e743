"""Commands that are killed, at the most delicate places, and go on: in the end their files are those of commands that were never disturbed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.study.manifest import read_manifest
from tests.conftest import cxr, ok
from tests.support.command_server import CommandServer, continuation
from tests.support.study_files import study_differences, study_files, unfinished_files

COURSE: dict[
    str, list[tuple[str, int]]
] = {  # each command, and the changes before which it is killed, one after the other
    "gan-train --steps 8 --image-size 32 --width 4 --batch-size 8 --sample-every 4": [
        ("data/arrays/32-", 1),
        (".new/config.json", 1),
        ("samples/step-000004.png", 1),
        ("/generator.pt", 1),
    ],
    "synthesize --n 70": [
        ("0002-synthesize/images", 1),
        ("synthetic-000066.png", 1),
        ("/result.json", 1),
    ],
    "classify-train --steps 6 --batch-size 8 --evaluate-every 3": [
        ("checkpoints/last.pt", 2),
        ("/metrics.json", 1),
    ],
    "score": [("data/features/", 2), ("/score.json", 1)],
    "compare --arms real,real+gan --seeds 2 --generators 2 --steps 6 --batch-size 8 --evaluate-every 3": [
        ("replicates/0002-synthesize/images/covid/synthetic-000000.png", 1),
        ("real-f1-s1/result.json", 1),
    ],
}
IMPORT: list[tuple[str, int]] = [
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
ORPHANS = [
    ("data/images/other/", 5),
    ("data/import.json", 1),
    ("data/manifest.csv", 1),
]  # of these, where another import comes next


def test_killed_and_continued_a_study_ends_as_if_nothing_had_happened(
    command_server: CommandServer, phantom_study: Path, tmp_path: Path
) -> None:
    whole, killed = (
        Path(shutil.copytree(phantom_study, tmp_path / name)) for name in ("whole", "killed")
    )
    for command, places in COURSE.items():
        undisturbed = command_server.run(*command.split(), folder=whole)
        assert undisturbed.returncode == 0, undisturbed.stderr
        arguments = command.split()
        for place in places:
            ended = command_server.run(*arguments, folder=killed, kill_before_change=place)
            assert ended.killed, f"{arguments} never came to {place}: {ended}"
            arguments = continuation(killed, command.split())
            assert arguments, f"{command} has no result before {place}, and calls itself finished"
        last = command_server.run(*arguments, folder=killed)
        assert last.returncode == 0 and set(last.stderr.splitlines()) <= set(
            undisturbed.stderr.splitlines()
        ), last.stderr
        assert not study_differences(killed, whole) and not unfinished_files(killed), command


def test_an_import_that_is_killed_anywhere_is_whole_or_never_was(
    command_server: CommandServer, tmp_path: Path
) -> None:
    first, second, other = (
        films(tmp_path / name, seed) for name, seed in (("first", 0), ("second", 1), ("other", 2))
    )
    before, after, instead = (tmp_path / name for name in ("before", "after", "instead"))
    ok(cxr("data", "import", first, folder=before))
    for study, more in ((after, second), (instead, other)):
        shutil.copytree(before, study)
        assert command_server.run("data", "import", more, folder=study).returncode == 0
    rows = [read_manifest(study / "data" / "manifest.csv") for study in (before, after)]
    for place in IMPORT:
        killed = Path(shutil.copytree(before, tmp_path / "killed"))
        assert command_server.run(
            "data", "import", second, folder=killed, kill_before_change=place
        ).killed, place
        committed = read_manifest(killed / "data" / "manifest.csv") == rows[1]
        assert committed or read_manifest(killed / "data" / "manifest.csv") == rows[0]
        if place in ORPHANS:
            another = Path(shutil.copytree(killed, tmp_path / "another"))
            assert command_server.run("data", "import", other, folder=another).returncode == 0
            assert not study_differences(another, instead), place
            shutil.rmtree(another)
        again = command_server.run("data", "import", second, folder=killed)
        assert (
            "nothing to import: 12 already in the study" in again.stderr
            if committed
            else again.returncode == 0
        ), (place, again.stderr)
        assert not study_differences(killed, after), place
        shutil.rmtree(killed)


def test_the_key_of_a_killed_import_is_that_of_the_study(
    command_server: CommandServer, tmp_path: Path
) -> None:
    study, key = tmp_path / "study", tmp_path / "study" / "data" / "patients.key"
    keys = []
    for place in (
        ("data/manifest.csv", 1),
        ("commit.json", 5),
    ):  # right before the first import is committed, and right after
        assert command_server.run(
            "data", "import", films(tmp_path / "first", 0), folder=study, kill_before_change=place
        ).killed
        keys.append(key.read_text())
        assert (
            keys[1:] or "holds no data yet" in command_server.run("gan-train", folder=study).stderr
        )
    for number in (1, 2):
        assert (
            command_server.run(
                "data", "import", films(tmp_path / f"more {number}", number), folder=study
            ).returncode
            == 0
        )
    rows = read_manifest(study / "data" / "manifest.csv")
    assert {*keys, key.read_text()} == {keys[0]}
    assert key.stat().st_mode & 0o077 == 0
    assert len(rows) == 36
    assert {f"data/{row.file_name}" for row in rows} == {
        name for name in study_files(study) if name.endswith(".png")
    }


def films(folder: Path, seed: int) -> Path:
    """Twelve pictures of noise, half of them of a label of their own."""
    for number in range(12):
        label = folder / ("covid" if number % 2 else "other" if seed else "normal")
        label.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng([seed, number]).integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(noise.repeat(8, 0).repeat(8, 1)).save(label / f"{number}.png")
    return folder
