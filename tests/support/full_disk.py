"""Run the commands of a study one after the other, and each again on a disk that fills up."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import TINY_CLASSIFIER, TINY_GAN
from tests.support.command_server import CommandResult, CommandServer, continuation
from tests.support.study_files import file_contents, study_differences, unfinished_files

STUDY_COMMANDS: dict[str, tuple[str, ...]] = {
    "data import": ("data", "import", "{films}"),
    "gan-train": ("gan-train", "--steps", "8", *TINY_GAN),
    "synthesize": ("synthesize", "--n", "24"),
    "classify-train": ("classify-train", *TINY_CLASSIFIER),
    "score": ("score",),
    "compare": ("compare", "--seeds", "2", "--arms", "real,real+gan", *TINY_CLASSIFIER),
    "export": ("export",),
    "reader-study": ("reader-study", "--n", "8"),
    "audit": ("audit", "--steps", "3"),
    "report": ("report",),
    "data check": ("data", "check"),
    "data show": ("data", "show"),
    "classify": (
        "classify",
        "{films}/covid",
        "--csv",
        "{study}/answers.csv",
        "--explain",
        "{study}/explained",
    ),
}
NUM_FILMS = 12  # brought by the import, mirrored images of the study
DISK_BYTES = 64 * 2**20  # of a disk that is large enough for any command
PAGE_BYTES = 4096  # what a tmpfs gives out at a time


@dataclass(frozen=True)
class CommandStep:
    """One command of a study, with a copy of the study before it and after it."""

    name: str
    before: Path
    after: Path
    films: Path

    def arguments(self, study: Path) -> list[str]:
        """Return the command as it is given for a study at this place."""
        return [word.format(films=self.films, study=study) for word in STUDY_COMMANDS[self.name]]

    @property
    def added_bytes(self) -> int:
        """Bytes that the command adds to a disk."""
        return _disk_usage(self.after) - _disk_usage(self.before)


def run_steps(
    command_server: CommandServer,
    phantom_study: Path,
    folder: Path,
    commands: tuple[str, ...] = tuple(STUDY_COMMANDS),
) -> dict[str, CommandStep]:
    """Run the commands one after the other on a copy of a study of phantoms, with room for all."""
    films = folder / "films"
    _write_mirrored_films(phantom_study, films)
    study = Path(shutil.copytree(phantom_study, folder / "study"))
    before = Path(shutil.copytree(study, folder / "before"))
    steps = {}
    for number, name in enumerate(commands):
        after = folder / f"{number:02d} after {name}"
        step = CommandStep(name, before, after, films)
        result = command_server.run(*step.arguments(study), folder=study)
        assert result.returncode == 0, f"{name}: {result.stderr}"
        shutil.copytree(study, after, copy_function=os.link)
        steps[name] = step
        before = after
    return steps


def _write_mirrored_films(study: Path, films: Path) -> None:
    images = sorted((study / "data" / "images").rglob("*.png"))
    for path in images[:: len(images) // NUM_FILMS][:NUM_FILMS]:
        film = films / path.parent.name / path.name
        film.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.fliplr(np.asarray(Image.open(path))).copy()).save(film)


def run_on_full_disk(
    command_server: CommandServer, step: CommandStep, place: Path, share: float
) -> CommandResult:
    """Run a command where there is room for `share` of what it adds to the disk.

    Where nothing can be mounted, a limit on the size of files stands in. A command that fails must
    say so in one line, and leave every file as it was or as it would be in the end.
    Raises AssertionError otherwise.
    """
    study, seen = place / "study", command_server.visible_path(place) / "study"
    place.mkdir()
    if command_server.has_disks:
        command_server.mount(place, f"size={DISK_BYTES}")
    shutil.copytree(step.before, seen)
    max_file_bytes = None
    if command_server.has_disks:
        room = int(share * step.added_bytes) // PAGE_BYTES * PAGE_BYTES
        command_server.mount(place, f"size={DISK_BYTES - command_server.free_bytes(place) + room}")
    else:
        max_file_bytes = int(share * _largest_change(step))
    result = command_server.run(*step.arguments(study), folder=study, max_file_bytes=max_file_bytes)
    if result.returncode:
        reason = "the disk is full" if command_server.has_disks else "no file may be so large here"
        assert result.error_line.startswith(f"cxr: {reason} ({study}/"), result.error_line
        _assert_nothing_lost(step, seen)
    return result


def _largest_change(step: CommandStep) -> int:
    """Return the size of the largest file that a command makes or changes."""
    before, after = file_contents(step.before), file_contents(step.after)
    return max(len(content) for name, content in after.items() if before.get(name) != content)


def _assert_nothing_lost(step: CommandStep, study: Path) -> None:
    before, after, left = map(file_contents, (step.before, step.after, study))
    lost = [
        name for name, content in before.items() if left.get(name) not in (content, after.get(name))
    ]
    assert not lost, f"changed by a failure: {lost}"
    assert not unfinished_files(study), f"left half-written: {unfinished_files(study)}"


def finish_with_room(
    command_server: CommandServer, step: CommandStep, place: Path, result: CommandResult
) -> None:
    """Give a failed command room and go on with it.

    The study must then be what the command leaves where nothing fails. Raises AssertionError
    otherwise.
    """
    study, seen = place / "study", command_server.visible_path(place) / "study"
    if result.returncode:
        if command_server.has_disks:
            command_server.mount(place, f"size={DISK_BYTES}")
        arguments = continuation(seen, step.arguments(study)) or ()
        again = command_server.run(*arguments, folder=study)
        assert again.returncode == 0, f"cannot go on: {again.stderr}"
    differences = study_differences(seen, step.after)
    assert not differences, f"not as undisturbed: {differences}"
    assert not unfinished_files(seen), f"left: {unfinished_files(seen)}"


def _disk_usage(folder: Path) -> int:
    """Return the bytes that a study takes on a disk."""
    return sum(
        -(-len(content) // PAGE_BYTES) * PAGE_BYTES for content in file_contents(folder).values()
    )
