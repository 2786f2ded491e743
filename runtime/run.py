"""A run: one numbered folder per command, its configuration, its journal, and how it ended.

    runs/0001-gan-train/
        config.json     written first
        journal.jsonl   one JSON line per event; no clock times, so that a resumed run's equals an undisturbed one's
        result.json     written last: a run without it is unfinished
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.files import Record, read_json, write_json

_NUMBERED = re.compile(r"(\d{4,})(?:-(.+))?")


@dataclass(frozen=True)
class Run:
    """The folder of one run; what is in it says all there is to know about the run."""

    folder: Path

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
        with open(self.journal_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def journal(self, size: int | None = None) -> list[Record]:
        """Every event so far, oldest first, or those in the first `size` bytes."""
        if not self.journal_path.exists():
            return []
        events = []
        try:
            for line in self.journal_path.read_bytes()[:size].decode().splitlines():
                events.append(Record(self.journal_path, json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{self.journal_path}, line {len(events) + 1} is no event ({error}); it is damaged, start a new run") from error
        return events

    def journal_size(self) -> int:
        """Bytes in the journal: a checkpoint keeps it, and resuming cuts the journal back to it."""
        return self.journal_path.stat().st_size if self.journal_path.exists() else 0

    def rewind_journal(self, size: int) -> None:
        with open(self.journal_path, "ab") as file:
            file.truncate(size)


def create_run(runs: Path, command: str, config: dict[str, Any]) -> Run:
    """Make the next numbered folder under `runs`, safe against other processes doing the same.

    The bare number is claimed with mkdir, which only one process can win, and then renamed to
    number-command; whoever claims a number that got its final name meanwhile lets it go.
    """
    runs.mkdir(parents=True, exist_ok=True)
    while True:
        number = max(_numbers(runs), default=0) + 1
        claim = runs / f"{number:04d}"
        try:
            claim.mkdir()
        except FileExistsError:
            continue
        if _numbers(runs).count(number) > 1:
            claim.rmdir()
            continue
        write_json(claim / "config.json", config)
        folder = runs / f"{number:04d}-{command}"
        os.rename(claim, folder)
        return Run(folder)


def list_runs(runs: Path) -> list[Run]:
    """All runs under `runs`, oldest first."""
    if not runs.is_dir():
        return []
    found = [(int(match.group(1)), path) for path in runs.iterdir() if (match := _NUMBERED.fullmatch(path.name)) and match.group(2)]
    return [Run(path) for _, path in sorted(found)]


def _numbers(runs: Path) -> list[int]:
    return [int(match.group(1)) for path in runs.iterdir() if (match := _NUMBERED.fullmatch(path.name))]


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
