"""A run: one numbered folder per command, its configuration, its journal, and how it ended.

runs/0001-gan-train/
    .lock           held by the process that is at work on it
    config.json     written first
    journal.jsonl   one JSON line per event; no clock times, so that a resumed run's equals an undisturbed one's
    result.json     written last: a run without it is unfinished
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from runtime.files import Record, named, read_json, write_json
from runtime.lock import held, hold

_NUMBERED = re.compile(r"(\d{4,})-(.+)")


@dataclass(frozen=True)
class Run:
    """The folder of one run; what is in it says all there is to know about the run."""

    folder: Path
    lock: FileLock | None = field(
        default=None, compare=False, repr=False
    )  # for as long as it is there no other process works on the run

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def command(self) -> str:
        return _NUMBERED.fullmatch(self.name).group(2)

    @property
    def config(self) -> Record:
        return read_json(self.folder / "config.json")

    @property
    def finished(self) -> bool:
        return (self.folder / "result.json").exists()

    @property
    def result(self) -> Record:
        return read_json(self.folder / "result.json")

    def finish(self, result: dict[str, Any]) -> None:
        write_json(self.folder / "result.json", result)

    def reopen(self, config: dict[str, Any]) -> None:
        """Go on with a run, perhaps a finished one, under a longer configuration."""
        if self.config != self.config | config:
            write_json(self.folder / "config.json", self.config | config)
        (self.folder / "result.json").unlink(missing_ok=True)

    # The journal.

    @property
    def journal_path(self) -> Path:
        return self.folder / "journal.jsonl"

    def log(self, **event: Any) -> None:
        size = self.journal_size()
        try:
            with named(self.journal_path), open(self.journal_path, "a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
        except OSError:
            with suppress(OSError):
                os.truncate(
                    self.journal_path, size
                )  # what came of the line before the disk was full
            raise

    def journal(self, size: int | None = None) -> list[Record]:
        """Every event so far, oldest first, or those in the first `size` bytes."""
        if not self.journal_path.exists():
            return []
        events = []
        try:
            for line in self.journal_path.read_bytes()[:size].decode().splitlines():
                events.append(Record(self.journal_path, json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self.journal_path}, line {len(events) + 1} is no event ({error}); it is damaged, start a new run"
            ) from error
        return events

    def journal_size(self) -> int:
        """Bytes in the journal: a checkpoint keeps it, and resuming cuts the journal back to it."""
        return self.journal_path.stat().st_size if self.journal_path.exists() else 0

    def rewind_journal(self, size: int) -> None:
        with open(self.journal_path, "ab") as file:
            file.truncate(size)


def create_run(runs: Path, command: str, config: dict[str, Any], *, instead: bool = False) -> Run:
    """Make the next numbered folder under `runs`; processes that do so at once take turns, and each holds what it has made.

    instead: of what killed processes left of this command, which is deleted.
    """
    runs.mkdir(parents=True, exist_ok=True)
    begun = runs / ".new"  # until it can be seen it has all it needs
    with held(runs, wait=True):
        shutil.rmtree(begun, ignore_errors=True)
        for run in [
            one
            for one in list_runs(runs)
            if instead and one.command == command and not one.finished
        ]:
            with suppress(ValueError), held(run.folder):  # which another process may be at work in
                shutil.rmtree(run.folder)
        begun.mkdir()
        try:
            lock = hold(begun)
            write_json(begun / "config.json", config)
            number = max((int(run.name.split("-")[0]) for run in list_runs(runs)), default=0) + 1
            return Run(begun.rename(runs / f"{number:04d}-{command}"), lock)
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            raise


def list_runs(runs: Path) -> list[Run]:
    """All runs under `runs`, oldest first."""
    if not runs.is_dir():
        return []
    found = [
        (int(match.group(1)), path)
        for path in runs.iterdir()
        if (match := _NUMBERED.fullmatch(path.name))
    ]
    return [Run(path) for _, path in sorted(found)]


class Interrupted(Exception):
    """A signal stopped the work after its state was saved; the text says how to go on."""


@dataclass
class StopRequest:
    """Set by the first SIGINT or SIGTERM; a second one takes its usual, immediate course."""

    requested: bool = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request that a training loop honours at its next step."""
    stop = StopRequest()
    previous = {}

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
        for number, handler in previous.items():
            signal.signal(number, handler)
