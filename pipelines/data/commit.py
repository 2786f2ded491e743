"""An import into the study: all of it or nothing, whatever ends the process.

Before anything of the study changes, the staging folder gets copies of the tables that will, and `commit.json`, which lists the new images. They are
in the study from the moment when the manifest, the last of all, is replaced. `take_back` undoes what did not come so far: at once after a failure, in the
next import after a kill. It can itself be killed and begun again, and needs no space on the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.study.manifest import Row, read_manifest, read_table, table
from pipelines.study.workspace import Workspace
from runtime.files import atomic, read_json, write_json

TABLES = ("import.json", "originals.csv")
ORIGINALS = ("id", "file_name", "origin", "source", "patient", "label", "reason")
_IMAGE = re.compile(r"images/[a-z0-9][a-z0-9_-]{0,63}/[^/\0]+\.png")


def commit(
    workspace: Workspace,
    staging: Path,
    files: Sequence[str],
    existing: Sequence[Row],
    fresh: Sequence[Row],
    summary: dict,
    originals: list[dict],
) -> None:
    """Move the staged files of the new rows into place and write the tables, the manifest last. What an error leaves is for `take_back`."""
    import_json, originals_csv = (workspace.data / name for name in TABLES)
    imports = [*workspace.imports(), summary]
    lines = (read_table(originals_csv, ORIGINALS) if originals_csv.exists() else []) + originals
    there = [path for path in (import_json, originals_csv) if path.exists()]
    for path in there:
        _write(staging / path.name, path.read_bytes(), path.stat().st_mode & 0o777)
    write_json(
        staging / "commit.json",
        {"images": [row.file_name for row in fresh], "tables": [path.name for path in there]},
    )
    for row, file in zip(fresh, files):
        target = workspace.data / row.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / file, target)
    write_private(originals_csv, table(ORIGINALS, lines))
    write_json(import_json, {"imports": imports})
    workspace.write_rows([*existing, *fresh])


def take_back(workspace: Workspace, staging: Path) -> None:
    """Make the study what it was before a commit that did not reach the manifest; one that did is left as it is.

    Raises ValueError when the list of its images is damaged.
    """
    path = staging / "commit.json"
    if not path.exists():
        return
    begun = read_json(path).expect(images=list, tables=list)
    strange = [
        name for name in begun["images"] if not (isinstance(name, str) and _IMAGE.fullmatch(name))
    ]
    if strange:
        raise ValueError(
            f"{path} lists {strange[0]!r:.80}, expected images/LABEL/NAME.png; it is damaged or is not ours: delete it"
        )
    listed = (
        {row.file_name for row in read_manifest(workspace.manifest_path)}
        if workspace.manifest_path.exists()
        else set()
    )
    stray = [workspace.data / name for name in begun["images"] if name not in listed]
    if stray:
        for image in stray:
            image.unlink(missing_ok=True)
        for folder in [*{image.parent for image in stray}, workspace.data / "images"]:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing else is in it
        for name in TABLES:
            if name not in begun["tables"]:
                (workspace.data / name).unlink(missing_ok=True)
            elif (staging / name).exists():  # or it is back already
                os.replace(staging / name, workspace.data / name)
    path.unlink()


def write_private(path: Path, text: str) -> None:
    """A file that its owner alone can read, from its first byte on."""
    _write(path, text.encode("utf-8"), 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    with atomic(path) as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
