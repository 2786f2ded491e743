"""Disks that are full, folders that cannot be written, and standard output that nobody reads: one clear line, and nothing lost."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import pty
import resource
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipelines.cli.options import Commands
from runtime import checkpoint
from runtime.files import atomic
from runtime.run import Run
from tests.conftest import ROOT
from tests.support.command_server import CommandServer
from tests.support.full_disk import (
    DISK_BYTES,
    PAGE_BYTES,
    STUDY_COMMANDS,
    CommandStep,
    finish_with_room,
    run_on_full_disk,
    run_steps,
)
from tests.support.study_files import file_contents, study_differences, unfinished_files

# How much of what a command needs there is room for; benchmarks/write_errors.py takes all commands, and any share.
FULL = {
    "data import": 0.7,
    "gan-train": 0.95,
    "synthesize": 0.5,
    "classify-train": 0.9,
    "score": 0.6,
    "compare": 0.6,
    "reader-study": 0.7,
}
WRITING = ("gan-train", "synthesize", "compare", "reader-study", "report", "data check", "classify")
READING = {
    "dry run": ("gan-train", "--dry-run"),
    "plan": ("compare", "--plan"),
    "sources": ("data", "sources"),
    "classify": ("classify", "{films}/covid", "--csv", "{elsewhere}/answers.csv"),
}


@pytest.fixture(scope="module")
def course(
    command_server: CommandServer, phantom_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, CommandStep]:
    """The commands of FULL, each with the study before and after it."""
    return run_steps(command_server, phantom_study, tmp_path_factory.mktemp("course"), tuple(FULL))


@pytest.mark.parametrize("name", FULL)
def test_a_command_on_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(
    name: str, command_server: CommandServer, course: dict[str, CommandStep], tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    answer = run_on_full_disk(command_server, course[name], place, FULL[name])
    assert answer.returncode == 2
    if name == "gan-train" and command_server.has_disks:
        state = checkpoint.load(
            command_server.visible_path(place) / "study/runs/0001-gan-train/checkpoints/last.pt",
            "gan checkpoint",
            step=int,
        )
        assert state["step"] == 4, "the checkpoint before is there"
    finish_with_room(command_server, course[name], place, answer)


@pytest.mark.parametrize(("name", "largest"), [("data import", 8_000), ("gan-train", 100_000)])
def test_a_file_that_may_not_grow_is_named(
    name: str,
    largest: int,
    command_server: CommandServer,
    course: dict[str, CommandStep],
    tmp_path: Path,
) -> None:
    """By a limit on the size of files, which any user can set."""
    study = Path(shutil.copytree(course[name].before, tmp_path / "study"))
    answer = command_server.run(
        *course[name].arguments(study), folder=study, max_file_bytes=largest
    )
    assert answer.error_line.startswith(f"cxr: no file may be so large here ({study}/")
    left = file_contents(study)
    assert not [
        path
        for path, content in file_contents(course[name].before).items()
        if left[path] != content
    ]
    assert not unfinished_files(study)


def test_a_set_that_cannot_be_written_is_given_up_at_once(
    command_server: CommandServer, course: dict[str, CommandStep], tmp_path: Path
) -> None:
    """Of 200,000 images, which would take minutes, with room for 50."""
    if not command_server.has_disks:
        pytest.skip("nothing can be mounted here: neither as root nor with unshare -rm")
    command_server.mount(tmp_path, f"size={DISK_BYTES}")
    shutil.copytree(course["synthesize"].before, command_server.visible_path(tmp_path) / "study")
    command_server.mount(
        tmp_path, f"size={DISK_BYTES - command_server.free_bytes(tmp_path) + 60 * PAGE_BYTES}"
    )
    started = time.monotonic()
    assert (
        "the disk is full"
        in command_server.run("synthesize", "--n", 200_000, folder=tmp_path / "study").error_line
    )
    assert time.monotonic() - started < 60
    command_server.unmount(tmp_path)


def test_a_line_that_does_not_fit_is_not_in_the_journal(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log(step=1)
    with (
        no_file_larger(run.journal_size() + 5),
        pytest.raises(OSError, match="File too large") as caught,
    ):
        run.log(step=2)
    assert caught.value.filename == str(run.journal_path)
    assert [event["step"] for event in run.journal()] == [1]
    run.log(step=2)
    assert [event["step"] for event in run.journal()] == [1, 2]


WRITERS: dict[str, Callable[[Any], None]] = {
    "bytes": lambda file: file.write(bytes(9000)),
    "png": lambda file: Image.fromarray(NOISE).save(file, "PNG"),
    "gif": lambda file: Image.fromarray(NOISE).save(
        file, "GIF", save_all=True, append_images=[Image.fromarray(NOISE.T)]
    ),
    "npz": lambda file: np.savez(file, a=NOISE, b=NOISE),
    "compressed npz": lambda file: np.savez_compressed(file, a=NOISE, b=NOISE),
}
NOISE = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)


@pytest.mark.parametrize("kind", WRITERS)
def test_whatever_writes_a_file_the_disk_and_the_file_are_named(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever it fails, and with nothing said at the side."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    for largest in (1, 100, 5000, 7500):
        with no_file_larger(largest), pytest.raises(OSError) as caught, atomic(path) as file:
            WRITERS[kind](file)
        assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    gc.collect()
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]
    assert capfd.readouterr() == ("", "")


LINES = {
    errno.ENOSPC: "the disk is full (/study/x); free some space and run the command again, with --resume where it has one",
    errno.EDQUOT: "the quota on this disk is used up (/study/x); free some space and run the command again, with --resume where it has one",
    errno.EFBIG: "no file may be so large here (/study/x); raise the limit (ulimit -f) and run the command again, with --resume where it has one",
    errno.EIO: "the disk does not work: Input/output error (/study/x); see to it, then run the command again, with --resume where it has one",
    errno.EROFS: "no permission to write or read here (/study/x); change that, or choose another folder (the study's with -C DIR)",
    errno.EACCES: "no permission to write or read here (/study/x); change that, or choose another folder (the study's with -C DIR)",
    errno.ENOENT: "/study/x does not exist",
    errno.ENAMETOOLONG: "File name too long (/study/x)",
}


@pytest.mark.parametrize("number", LINES, ids=errno.errorcode.get)
def test_each_fault_of_a_disk_has_its_line(number: int) -> None:
    result = CliRunner().invoke(failing(OSError(number, os.strerror(number), "/study/x")), ["fail"])
    assert (result.exit_code, result.output) == (2, f"cxr: {LINES[number]}\n")


def test_a_fault_without_a_file_has_its_line_too() -> None:
    nowhere = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert (
        CliRunner().invoke(failing(nowhere), ["fail"]).output
        == "cxr: No usable temporary directory found in ['/tmp']\n"
    )


# --- read-only ---


def test_on_a_disk_that_cannot_be_written_what_reads_works_and_what_writes_says_so(
    command_server: CommandServer, course: dict[str, CommandStep], tmp_path: Path
) -> None:
    if not command_server.has_disks:
        pytest.skip("nothing can be mounted here: neither as root nor with unshare -rm")
    disk, last = tmp_path / "disk", list(course.values())[-1]
    disk.mkdir()
    command_server.mount(disk, f"size={DISK_BYTES}")
    study = disk / "study"
    shutil.copytree(last.after, command_server.visible_path(study))
    command_server.mount(disk, "ro")
    for command in WRITING:
        line = command_server.run(*words(command, last, study), folder=study).error_line
        assert (
            line.startswith(f"cxr: no permission to write or read here ({study}")
            and ".partial" not in line
            and ".lock" not in line
        ), line
    for name, command in READING.items():
        answer = command_server.run(
            *(word.format(films=last.films, elsewhere=tmp_path) for word in command), folder=study
        )
        assert answer.returncode == 0, f"{name}: {answer.stderr}"
    assert (tmp_path / "answers.csv").exists()


@pytest.mark.parametrize(
    ("closed", "command"),
    [
        (".", ("data", "phantom", "--n", "4")),
        ("study", ("classify-train", "--preview-augment")),
        ("study/runs", ("synthesize", "--n", "4")),
        ("study/runs/0001-gan-train", ("gan-train", "--resume", "1", "--steps", "12")),
        ("study/data", ("data", "check")),
        ("study/data", ("data", "import", "{films}")),
        ("study/data/images/covid", ("data", "import", "{films}")),
    ],
    ids=str,
)
def test_a_folder_that_cannot_be_written_is_named(
    closed: str,
    command: tuple[str, ...],
    command_server: CommandServer,
    course: dict[str, CommandStep],
    tmp_path: Path,
) -> None:
    """By its permissions, which hold a process of root too once it has given up its powers."""
    leg = course["score"]
    shutil.copytree(leg.before, tmp_path / "study")
    if "import" in command:  # before they are there
        shutil.rmtree(tmp_path / "study")
        shutil.copytree(course["data import"].before, tmp_path / "study")
    before = file_contents(tmp_path)
    folder = tmp_path / ("study" if closed != "." else "new")
    (tmp_path / closed).chmod(0o555)
    try:
        line = command_server.run(
            *(word.format(films=leg.films) for word in command), folder=folder, unprivileged=True
        ).error_line
    finally:
        (tmp_path / closed).chmod(0o755)
    assert (
        line.startswith(f"cxr: no permission to write or read here ({tmp_path}")
        and ".partial" not in line
        and ".lock" not in line
    ), line
    left = file_contents(tmp_path)
    assert not [path for path, content in before.items() if left[path] != content]
    assert not unfinished_files(tmp_path)


# --- what is said to nobody ---


def test_work_is_done_though_standard_output_is_full(
    command_server: CommandServer, course: dict[str, CommandStep], tmp_path: Path
) -> None:
    leg = course["synthesize"]
    study = Path(shutil.copytree(leg.before, tmp_path / "study"))
    line = command_server.run(
        *leg.arguments(study), folder=study, stdout_path="/dev/full"
    ).error_line
    assert line.startswith("cxr: standard output cannot be written (No space left on device)")
    assert not study_differences(study, leg.after)


@pytest.mark.parametrize(
    ("streams", "why"), [("> /dev/full", "No space left on device"), ("| true", "Broken pipe")]
)
def test_what_cannot_be_said_is_said_to_be_lost(streams: str, why: str, tmp_path: Path) -> None:
    script = f'{{ sleep 0.2; {sys.executable} -m pipelines.cli data sources; echo $? > "$1"; }} {streams}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(tmp_path / "code")], cwd=ROOT, capture_output=True, text=True
    )
    assert (
        done.stderr
        == f"cxr: standard output cannot be written ({why}); what was still to be said is lost, what was made is not\n"
    )
    assert (tmp_path / "code").read_text() == "2\n"


def test_streams_that_come_closed_harm_nothing(tmp_path: Path) -> None:
    """No file that is written takes the number of one, and gets what libraries write there."""
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'{sys.executable} -m pipelines.cli -C "$1" data phantom --n 4 <&- >&- 2>&-',
            "sh",
            str(tmp_path),
        ],
        cwd=ROOT,
    )
    assert done.returncode == 0
    assert len(list((tmp_path / "data").rglob("*.png"))) == 4


def test_a_terminal_that_goes_away_takes_only_the_progress_bar_with_it(tmp_path: Path) -> None:
    terminal, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "-C",
        str(tmp_path),
        "data",
        "phantom",
        "--n",
        "8",
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=its, text=True
    ) as process:
        os.close(its)
        shown = b""
        while b"/8" not in shown:
            shown += os.read(terminal, 100)
        os.close(terminal)
        assert "8 phantom images drawn" in process.communicate(timeout=60)[0]
    assert process.returncode == 0


def test_a_mistake_is_exit_code_2_though_nobody_reads_it() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "data", "nonsense"], cwd=ROOT, stderr=full
        )
    assert done.returncode == 2


def test_a_temporary_folder_that_cannot_be_written_does_not_matter(
    course: dict[str, CommandStep], tmp_path: Path
) -> None:
    study = Path(shutil.copytree(course["gan-train"].before, tmp_path / "study"))
    environment = os.environ | {
        "TMPDIR": "/proc",
        "HOME": "/proc/nowhere",
        "XDG_CONFIG_HOME": "/proc/nowhere",
        "XDG_CACHE_HOME": "/proc/nowhere",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "-C", str(study), "data", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")


@contextmanager
def no_file_larger(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failing(error: Exception) -> click.Group:
    """A command line like ours with one command, which fails."""

    @click.group(cls=Commands)
    def main() -> None:
        pass

    @main.command()
    def fail() -> None:
        raise error

    return main


def words(name: str, leg: CommandStep, study: Path) -> list[str]:
    return [word.format(films=leg.films, study=study) for word in STUDY_COMMANDS[name]]
