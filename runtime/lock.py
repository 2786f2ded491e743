"""One process at a time writes in a folder.

The system frees a lock when the process that holds it ends, however it ends: none is ever stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_TIMEOUT = 3.0  # seconds; what a killed process had started may outlive it for a moment


def hold(folder: Path, *, wait: bool = False, deep: bool = False) -> FileLock:
    """Take the lock of a folder, and delete what a killed process left half-written in it.

    Args:
        folder: The lock is its file `.lock`.
        wait: Wait for as long as another process has it.
        deep: Delete in the folders within too.

    Returns:
        The lock, which is free again once nothing refers to it.

    Raises:
        ValueError: Another process has it, still after LOCK_TIMEOUT.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=-1 if wait else LOCK_TIMEOUT, poll_interval=0.05)
    except Timeout as error:
        raise ValueError(
            f"another process is at work in {folder}; wait until it has ended, or stop it"
        ) from error
    except OSError as error:
        error.filename = str(folder)
        raise
    for leftover in (folder.rglob if deep else folder.glob)(".*.partial"):
        leftover.unlink(missing_ok=True)
    return lock


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder for a block, as `hold` takes it."""
    lock = hold(folder, wait=wait)
    try:
        yield
    finally:
        lock.release()
