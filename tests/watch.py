"""A watch on what a piece of code does besides reading, by Python's audit events."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


@contextmanager
def watched(*allowed: Path) -> Iterator[list[str]]:
    """A list that is filled with whatever the block does besides reading: programs started, and files written, made or taken away outside of these folders."""
    _install_watch()
    seen: list[str] = []
    _WATCHES.append((seen, tuple(os.path.realpath(folder) for folder in allowed)))
    try:
        yield seen
    finally:
        _WATCHES.pop()


_WATCHES: list[tuple[list[str], tuple[str, ...]]] = []
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
_CHANGES = (
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
)


@cache
def _install_watch() -> None:
    sys.addaudithook(_note)  # for the rest of the process; without a watch it does nothing


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if not _WATCHES:
        return
    seen, allowed = _WATCHES[-1]
    if event in _STARTS:
        seen.append(f"{event} {arguments!r:.200}")
        return
    if (
        event == "open"
        and isinstance(arguments[2], int)
        and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    ):
        paths = arguments[:1]
    elif event in _CHANGES:
        paths = (
            arguments[:2]
            if event in ("os.rename", "os.link")
            else arguments[1:2]
            if event == "os.symlink"
            else arguments[:1]
        )
    else:
        return
    for path in paths:
        if (
            isinstance(path, (str, bytes, os.PathLike))
            and os.fspath(path) not in (os.devnull, "")
            and not os.path.realpath(os.fsdecode(path)).startswith(allowed)
        ):
            seen.append(f"{event} {os.fsdecode(path)}")
