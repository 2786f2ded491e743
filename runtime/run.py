"""A run: one numbered folder per command, its configuration, its journal, and how it ended.

runs/0001-gan-train/
    .lock           held by the process that is at work on it
    config.json     written first
    journal.jsonl   one JSON line per event; no clock times, so that a resumed run's equals an
                    undisturbed one's
    result.json     written last: a run without it is unfinished
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from runtime.files import Record, name_in_errors, read_json, write_json
from runtime.lock import held, hold

_NUMBERED = re.compile(r"(\d{4,})-(.+)")


@dataclass(frozen=True)
class Run:
    """The folder of one run; what is in it says all there is to know about the run.

    Attributes:
        folder: Its name is the run's: a number, and the command that made it.
        lock: For as long as this is there no other process works on the run.
        on_change: Called when the journal has grown, and when the run is finished.
    """

    folder: Path
    lock: FileLock | None = field(default=None, compare=False, repr=False)
    on_change: Callable[[], None] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The name of its folder, as in 0001-gan-train."""
        return self.folder.name

    @property
    def command(self) -> str:
        """The command that made it, as in gan-train."""
        return self.name.partition("-")[2]

    @property
    def config(self) -> Record:
        """What it was asked for. Raises ValueError that names the file when it is damaged."""
        return read_json(self.folder / "config.json")

    @property
    def checkpoint(self) -> Path:
        """Where its training is kept as it was last saved."""
        return self.folder / "checkpoints" / "last.pt"

    @property
    def finished(self) -> bool:
        """Whether it has a result."""
        return (self.folder / "result.json").exists()

    @property
    def result(self) -> Record:
        """What it came to.

        Raises FileNotFoundError while it is unfinished, and ValueError that names the file when it
        is damaged.
        """
        return read_json(self.folder / "result.json")

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, last of all."""
        write_json(self.folder / "result.json", result)
        self._tell_change()

    def reopen(self, config: dict[str, Any]) -> None:
        """Go on with a run, perhaps a finished one, under a longer configuration."""
        before = self.config
        if before != before | config:
            write_json(self.folder / "config.json", before | config)
        (self.folder / "result.json").unlink(missing_ok=True)

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        return self.folder / "journal.jsonl"

    def log(self, **event: Any) -> None:
        """Add an event to the journal, whole or not at all."""
        size = self.journal_size()
        try:
            with (
                name_in_errors(self.journal_path),
                open(self.journal_path, "a", encoding="utf-8") as file,
            ):
                file.write(json.dumps(event) + "\n")
        except OSError:
            with suppress(OSError):  # take back what came of the line before the disk was full
                os.truncate(self.journal_path, size)
            raise
        self._tell_change()

    def _tell_change(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def journal(self, size: int | None = None) -> list[Record]:
        """Return every event so far, oldest first, or those in the first `size` bytes.

        Raises ValueError that names the file and the line when it is damaged.
        """
        if not self.journal_path.exists():
            return []
        events = []
        try:
            for line in self.journal_path.read_bytes()[:size].decode().splitlines():
                events.append(Record(self.journal_path, json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self.journal_path}, line {len(events) + 1} is no event ({error}); it is "
                "damaged, start a new run"
            ) from error
        return events

    def journal_size(self) -> int:
        """Return the journal's bytes; a checkpoint keeps it, and resuming cuts back to it."""
        return self.journal_path.stat().st_size if self.journal_path.exists() else 0

    def rewind_journal(self, size: int) -> None:
        """Cut the journal back to its first `size` bytes; make it where there is none."""
        with open(self.journal_path, "ab") as file:
            file.truncate(size)


def create_run(
    runs: Path, command: str, config: Mapping[str, Any], *, instead: bool = False
) -> Run:
    """Make the next numbered folder under `runs`, and hold it.

    Processes that do so at once take turns.

    Args:
        runs: The folder of all runs, made where there is none.
        command: The command that the run is of.
        config: What it was asked for.
        instead: Delete what killed processes left of this command.
    """
    runs.mkdir(parents=True, exist_ok=True)
    begun = runs / ".new"  # until it can be seen it has all it needs
    with held(runs, wait=True):
        shutil.rmtree(begun, ignore_errors=True)
        if instead:
            _delete_unfinished(runs, command)
        begun.mkdir()
        try:
            lock = hold(begun)
            write_json(begun / "config.json", config)
            number = max((int(run.name.split("-")[0]) for run in list_runs(runs)), default=0) + 1
            return Run(begun.rename(runs / f"{number:04d}-{command}"), lock)
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            raise


def _delete_unfinished(runs: Path, command: str) -> None:
    """Delete the unfinished runs of a command that no process is at work on."""
    for run in list_runs(runs):
        if run.command == command and not run.finished:
            with suppress(ValueError), held(run.folder):  # raises where a process is at work
                shutil.rmtree(run.folder)


def list_runs(runs: Path) -> list[Run]:
    """Return all runs under `runs`, oldest first."""
    if not runs.is_dir():
        return []
    numbered = [
        (int(match.group(1)), path)
        for path in runs.iterdir()
        if (match := _NUMBERED.fullmatch(path.name))
    ]
    return [Run(path) for _, path in sorted(numbered)]


class Interrupted(Exception):  # noqa: N818, since it is no error: somebody asked for it
    """A signal stopped the work after its state was saved; the text says how to go on."""


@dataclass
class StopRequest:
    """Set by the first SIGINT or SIGTERM; a second one takes its usual, immediate course."""

    requested: bool = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request, which a loop honours at its next step."""
    stop = StopRequest()
    previous: dict[int, Any] = {}  # the handlers that were there, by signal

    def ask(number: int, frame: Any) -> None:
        stop.requested = True
        signal.signal(number, previous[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, ask)
    except ValueError:  # not in the main thread: signals are the caller's affair
        pass
    try:
        yield stop
    finally:
        for signal_number, handler in previous.items():
            signal.signal(signal_number, handler)
