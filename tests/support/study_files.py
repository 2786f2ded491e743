"""Compare two studies file by file, such as one whose commands were killed with one left in peace.

Bytes and permissions are compared. What cannot be equal is the time that something took: it is
left out of the files that WITHOUT_TIMES names, and of no others. Empty lock files do not count.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

TIMES = ("seconds", "seconds_by_part")  # in JSON
TIMES_OF_A_REPORT = re.compile(
    r"(?<=<td>)\d+ s(?=</td>)"
    r"|(?<= in )\d+\.\d(?= minutes;)"
    r'|(?P<row><th scope="row">[^<]*-gan-train</th>.*<td>)\d+\.\d(?=</td></tr>)'
)


def study_differences(actual: Path, expected: Path) -> list[str]:
    """Return what two studies do not have in common, a line per file; empty if they are equal."""
    ours, theirs = study_files(actual), study_files(expected)
    common = sorted(ours.keys() & theirs.keys())
    return [
        *(f"missing: {name}" for name in sorted(theirs.keys() - ours.keys())),
        *(f"too many: {name}" for name in sorted(ours.keys() - theirs.keys())),
        *(
            f"mode: {name}"
            for name in common
            if ours[name].stat().st_mode != theirs[name].stat().st_mode
        ),
        *(
            f"differs: {name}"
            for name in common
            if ours[name].is_file() and not _same_content(ours[name], theirs[name])
        ),
    ]


def study_files(study: Path) -> dict[str, Path]:
    """Return everything in a study by its name, folders too, lock files left out."""
    return {
        path.relative_to(study).as_posix(): path
        for path in study.rglob("*")
        if path.name != ".lock"
    }


def file_contents(study: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a study, lock files left out."""
    return {name: path.read_bytes() for name, path in study_files(study).items() if path.is_file()}


def unfinished_files(study: Path) -> list[str]:
    """Return the names of what only a process at work may have in a study."""
    return [
        name
        for name, path in study_files(study).items()
        if name.endswith(".partial") or path.name in (".new", ".incoming")
    ]


def _same_content(path: Path, other: Path) -> bool:
    content, other_content = path.read_bytes(), other.read_bytes()
    if content == other_content:
        return True
    name = path.as_posix()
    without_times = next((read for end, read in WITHOUT_TIMES.items() if name.endswith(end)), None)
    return without_times is not None and without_times(content) == without_times(other_content)


def _read_json(content: bytes) -> Any:
    return json.loads(
        content,
        object_pairs_hook=lambda pairs: [pair for pair in pairs if pair[0] not in TIMES],
    )


def _read_csv(content: bytes) -> list[list[tuple[str, str]]]:
    return [
        [(name, value) for name, value in row.items() if name != "seconds"]
        for row in csv.DictReader(io.StringIO(content.decode(), newline=""))
    ]


def _read_report(content: bytes) -> str:
    return TIMES_OF_A_REPORT.sub(lambda match: f"{match['row'] or ''}…", content.decode())


def _read_checkpoint(content: bytes) -> Any:
    return _to_comparable(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def _to_comparable(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {name: _to_comparable(item) for name, item in value.items() if name != "seconds"}
    if isinstance(value, (list, tuple)):
        return [_to_comparable(item) for item in value]
    return value


WITHOUT_TIMES: dict[str, Callable[[bytes], Any]] = {
    "/result.json": _read_json,
    "/results.csv": _read_csv,
    "/report.html": _read_report,
    "/checkpoints/last.pt": _read_checkpoint,
    "/checkpoints/before-cooldown.pt": _read_checkpoint,
}
