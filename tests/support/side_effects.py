"""Record what a piece of code does besides reading, by Python's audit events."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

OPEN_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND  # any of them
_STARTS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.startfile",
    "pty.spawn",
    "socket.connect",
    "ctypes.dlopen",
)
_PATH_ARGUMENTS = {  # of each event that changes files, those of its arguments that it changes
    "os.rename": slice(0, 2),
    "os.link": slice(0, 2),
    "os.symlink": slice(1, 2),
    "os.remove": slice(0, 1),
    "os.rmdir": slice(0, 1),
    "os.mkdir": slice(0, 1),
    "os.truncate": slice(0, 1),
    "os.chmod": slice(0, 1),
    "os.chown": slice(0, 1),
    "os.utime": slice(0, 1),
}
_RECORDERS: list[tuple[list[str], tuple[str, ...]]] = []  # the innermost is last


@contextmanager
def record_side_effects(*allowed: Path) -> Iterator[list[str]]:
    """Give a list that is filled with whatever the block does besides reading.

    That is: programs started, and files written, made or taken away outside of these folders.
    """
    _install_hook()
    effects: list[str] = []
    _RECORDERS.append((effects, tuple(os.path.realpath(folder) for folder in allowed)))
    try:
        yield effects
    finally:
        _RECORDERS.pop()


@cache
def _install_hook() -> None:
    """Install the hook for the rest of the process; without a recorder it does nothing."""
    sys.addaudithook(_record)


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if not _RECORDERS:
        return
    effects, allowed = _RECORDERS[-1]
    if event in _STARTS:
        effects.append(f"{event} {arguments!r:.200}")
        return
    for path in _changed_paths(event, arguments):
        if (
            isinstance(path, (str, bytes, os.PathLike))
            and os.fspath(path) not in (os.devnull, "")
            and not os.path.realpath(os.fsdecode(path)).startswith(allowed)
        ):
            effects.append(f"{event} {os.fsdecode(path)}")


def _changed_paths(event: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what an event writes, makes or takes away, perhaps the number of an open file."""
    if event == "open":
        flags = arguments[2]
        return arguments[:1] if isinstance(flags, int) and flags & OPEN_FOR_WRITING else ()
    if event in _PATH_ARGUMENTS:
        return arguments[_PATH_ARGUMENTS[event]]
    return ()
