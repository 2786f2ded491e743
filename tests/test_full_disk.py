"""Commands on a disk that is full or cannot be written: one clear line, and nothing is lost."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime import checkpoint
from tests.support.command_server import CommandServer
from tests.support.command_steps import STUDY_COMMANDS, CommandStep, fill_in
from tests.support.full_disk import DISK_BYTES, PAGE_BYTES, finish_with_room, run_on_full_disk
from tests.support.study_files import file_contents, study_differences, unfinished_files

# How much of what a command adds there is room for; benchmarks/write_errors.py takes all commands,
# and any share.
ROOM_SHARES = {
    "data import": 0.7,
    "synthesize": 0.5,
    "classify-train": 0.9,
    "score": 0.6,
    "compare": 0.6,
    "reader-study": 0.7,
}
WRITING_COMMANDS = (
    "gan-train",
    "synthesize",
    "compare",
    "reader-study",
    "report",
    "data check",
    "classify",
)
READING_COMMANDS = {
    "dry run": ("gan-train", "--dry-run"),
    "plan": ("compare", "--plan"),
    "sources": ("data", "sources"),
    "classify": ("classify", "{films}/covid", "--csv", "{elsewhere}/answers.csv"),
}
CLOSED_FOLDERS = [  # a folder that cannot be written, and a command that would have to
    (".", ("data", "phantom", "--n", "4")),
    ("study", ("classify-train", "--preview-augment")),
    ("study/runs", ("synthesize", "--n", "4")),
    ("study/runs/0001-gan-train", ("gan-train", "--resume", "1", "--steps", "12")),
    ("study/data", ("data", "check")),
    ("study/data", ("data", "import", "{films}")),
    ("study/data/images/covid", ("data", "import", "{films}")),
]


def require_disks(command_server: CommandServer) -> None:
    if not command_server.has_disks:
        pytest.skip("nothing can be mounted here: neither as root nor with unshare -rm")


def assert_is_refusal_to_write(line: str, folder: Path) -> None:
    """Assert that a line names what the user knows, and no file of the program's own making."""
    assert line.startswith(f"cxr: no permission to write or read here ({folder}")
    assert ".partial" not in line
    assert ".lock" not in line


def changed_files(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Return the files that were there before and are not as they were."""
    return [name for name, content in before.items() if after.get(name) != content]


@pytest.mark.parametrize("name", ROOM_SHARES)
def test_a_command_on_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(
    name: str, command_server: CommandServer, study_steps: dict[str, CommandStep], tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    result = run_on_full_disk(command_server, study_steps[name], place, ROOM_SHARES[name])
    assert result.returncode == 2
    finish_with_room(command_server, study_steps[name], place, result)


def test_on_a_full_disk_the_checkpoint_before_is_kept_and_training_goes_on_from_it(
    command_server: CommandServer, study_steps: dict[str, CommandStep], tmp_path: Path
) -> None:
    require_disks(command_server)
    place, step = tmp_path / "disk", study_steps["gan-train"]
    result = run_on_full_disk(command_server, step, place, 0.95)
    assert result.returncode == 2
    run = command_server.visible_path(place) / "study/runs/0001-gan-train"
    state = checkpoint.load(run / "checkpoints/last.pt", "gan checkpoint", step=int)
    assert state["step"] == 4
    finish_with_room(command_server, step, place, result)


@pytest.mark.parametrize(
    ("name", "max_file_bytes"), [("data import", 8_000), ("gan-train", 100_000)]
)
def test_a_file_that_may_not_grow_is_named_and_nothing_is_lost(
    name: str,
    max_file_bytes: int,
    command_server: CommandServer,
    study_steps: dict[str, CommandStep],
    tmp_path: Path,
) -> None:
    """By a limit on the size of files, which any user can set."""
    step = study_steps[name]
    study = Path(shutil.copytree(step.before, tmp_path / "study"))
    result = command_server.run(*step.arguments(study), folder=study, max_file_bytes=max_file_bytes)
    assert result.error_line.startswith(f"cxr: no file may be so large here ({study}/")
    assert not changed_files(file_contents(step.before), file_contents(study))
    assert not unfinished_files(study)


def test_a_set_that_cannot_be_written_is_given_up_at_once(
    command_server: CommandServer, study_steps: dict[str, CommandStep], tmp_path: Path
) -> None:
    """Of 200,000 images, which would take minutes, with room for 50."""
    require_disks(command_server)
    command_server.mount(tmp_path, f"size={DISK_BYTES}")
    study, seen = tmp_path / "study", command_server.visible_path(tmp_path) / "study"
    shutil.copytree(study_steps["synthesize"].before, seen)
    used_bytes = DISK_BYTES - command_server.free_bytes(tmp_path)
    command_server.mount(tmp_path, f"size={used_bytes + 60 * PAGE_BYTES}")
    started = time.monotonic()
    result = command_server.run("synthesize", "--n", 200_000, folder=study)
    assert "the disk is full" in result.error_line
    assert time.monotonic() - started < 60
    command_server.unmount(tmp_path)


# --- read-only ---


@dataclass(frozen=True)
class ReadOnlyStudy:
    """A finished study on a disk that cannot be written, and films beside it that can be read."""

    study: Path
    films: Path


@pytest.fixture(scope="module")
def read_only(
    command_server: CommandServer,
    study_steps: dict[str, CommandStep],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ReadOnlyStudy]:
    """The study after all its commands, on a disk that is mounted read-only."""
    require_disks(command_server)
    disk = tmp_path_factory.mktemp("read-only disk")
    last = list(study_steps.values())[-1]
    command_server.mount(disk, f"size={DISK_BYTES}")
    shutil.copytree(last.after, command_server.visible_path(disk) / "study")
    command_server.mount(disk, "ro")
    yield ReadOnlyStudy(disk / "study", last.films)
    command_server.unmount(disk)


@pytest.mark.parametrize("name", WRITING_COMMANDS)
def test_on_a_read_only_disk_a_command_that_writes_says_so(
    name: str, command_server: CommandServer, read_only: ReadOnlyStudy
) -> None:
    arguments = fill_in(STUDY_COMMANDS[name], study=read_only.study, films=read_only.films)
    result = command_server.run(*arguments, folder=read_only.study)
    assert_is_refusal_to_write(result.error_line, read_only.study)


@pytest.mark.parametrize("name", READING_COMMANDS)
def test_on_a_read_only_disk_a_command_that_reads_works(
    name: str, command_server: CommandServer, read_only: ReadOnlyStudy, tmp_path: Path
) -> None:
    arguments = fill_in(READING_COMMANDS[name], films=read_only.films, elsewhere=tmp_path)
    result = command_server.run(*arguments, folder=read_only.study)
    assert result.returncode == 0, result.stderr
    if name == "classify":
        assert (tmp_path / "answers.csv").exists()


@pytest.mark.parametrize(("closed", "command"), CLOSED_FOLDERS, ids=str)
def test_a_folder_that_cannot_be_written_is_named(
    closed: str,
    command: tuple[str, ...],
    command_server: CommandServer,
    study_steps: dict[str, CommandStep],
    tmp_path: Path,
) -> None:
    """By its permissions, which hold a process of root too once it has given up its powers."""
    step = study_steps["data import" if "import" in command else "score"]
    shutil.copytree(step.before, tmp_path / "study")
    before = file_contents(tmp_path)
    folder = tmp_path / ("new" if closed == "." else "study")
    (tmp_path / closed).chmod(0o555)
    try:
        result = command_server.run(
            *fill_in(command, films=step.films), folder=folder, unprivileged=True
        )
    finally:
        (tmp_path / closed).chmod(0o755)
    assert_is_refusal_to_write(result.error_line, tmp_path)
    assert not changed_files(before, file_contents(tmp_path))
    assert not unfinished_files(tmp_path)


def test_work_is_done_though_standard_output_is_full(
    command_server: CommandServer, study_steps: dict[str, CommandStep], tmp_path: Path
) -> None:
    step = study_steps["synthesize"]
    study = Path(shutil.copytree(step.before, tmp_path / "study"))
    result = command_server.run(*step.arguments(study), folder=study, stdout_path="/dev/full")
    assert result.error_line.startswith(
        "cxr: standard output cannot be written (No space left on device)"
    )
    assert not study_differences(study, step.after)
