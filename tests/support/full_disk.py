"""Run a command on a disk that fills up, and go on once there is room."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.command_server import CommandResult, CommandServer, continuation
from tests.support.command_steps import CommandStep
from tests.support.study_files import file_contents, study_differences, unfinished_files

DISK_BYTES = 64 * 2**20  # of a disk that is large enough for any command
PAGE_BYTES = 4096  # what a tmpfs gives out at a time


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
        room = int(share * _added_bytes(step)) // PAGE_BYTES * PAGE_BYTES
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


def _added_bytes(step: CommandStep) -> int:
    """Return the bytes that a command adds to a disk."""
    return _disk_usage(step.after) - _disk_usage(step.before)


def _disk_usage(study: Path) -> int:
    sizes = [len(content) for content in file_contents(study).values()]
    return sum(-(-size // PAGE_BYTES) * PAGE_BYTES for size in sizes)
