"""Whether a study that was disturbed holds, file by file, what an undisturbed one does.

Bytes and permissions are compared, but for what cannot be equal, the time that something took: it is left out of the files of TIMELESS, and of no others.
The empty files that are locked are not counted.
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

TIMES = re.compile(
    r'(?<=<td>)\d+ s(?=</td>)|(?<= in )\d+\.\d(?= minutes;)|(?P<row><th scope="row">[^<]*-gan-train</th>.*<td>)\d+\.\d(?=</td></tr>)'
)  # of a report


def differences(found: Path, expected: Path) -> list[str]:
    """What two studies do not have in common, a line per file; empty when they hold the same."""
    ours, theirs = files(found), files(expected)
    lines = [f"missing: {name}" for name in sorted(theirs.keys() - ours.keys())]
    lines += [f"too many: {name}" for name in sorted(ours.keys() - theirs.keys())]
    lines += [
        f"mode: {name}"
        for name in sorted(ours.keys() & theirs.keys())
        if ours[name].stat().st_mode != theirs[name].stat().st_mode
    ]
    return lines + [
        f"differs: {name}"
        for name in sorted(ours.keys() & theirs.keys())
        if ours[name].is_file() and not _same(ours[name], theirs[name])
    ]


def files(study: Path) -> dict[str, Path]:
    """Everything in a study, folders too, but the files that are locked."""
    return {
        path.relative_to(study).as_posix(): path
        for path in study.rglob("*")
        if path.name != ".lock"
    }


def leftovers(study: Path) -> list[str]:
    """What only a process at work may have in a study."""
    return [
        name
        for name, path in files(study).items()
        if name.endswith(".partial") or path.name in (".new", ".incoming")
    ]


def _same(one: Path, other: Path) -> bool:
    contents = one.read_bytes(), other.read_bytes()
    timeless = next(
        (clean for end, clean in TIMELESS.items() if one.as_posix().endswith(end)), None
    )
    return contents[0] == contents[1] or (
        timeless is not None and timeless(contents[0]) == timeless(contents[1])
    )


def _json(content: bytes) -> Any:
    return json.loads(
        content,
        object_pairs_hook=lambda pairs: [
            (name, value) for name, value in pairs if name != "seconds"
        ],
    )


def _csv(content: bytes) -> list[list[tuple[str, str]]]:
    return [
        [(name, value) for name, value in row.items() if name != "seconds"]
        for row in csv.DictReader(io.StringIO(content.decode(), newline=""))
    ]


def _page(content: bytes) -> str:
    return TIMES.sub(lambda found: f"{found['row'] or ''}…", content.decode())


def _state(content: bytes) -> Any:
    return _plain(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if name != "seconds"}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


TIMELESS: dict[str, Callable[[bytes], Any]] = {
    "/result.json": _json,
    "/results.csv": _csv,
    "/report.html": _page,
    "/checkpoints/last.pt": _state,
    "/checkpoints/before-cooldown.pt": _state,
}
