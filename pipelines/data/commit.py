"""An import into the study: all of it or nothing, whatever ends the process.

Before anything of the study changes, the staging folder gets copies of the tables that will, and
`commit.json`, which lists the new images. They are in the study from the moment when the manifest,
the last of all, is replaced. `take_back` undoes what did not come so far: at once after a failure,
in the next import after a kill. It can itself be killed and begun again, and needs no space on the
disk.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.data.originals import OriginalRow, read_originals, write_originals
from pipelines.data.private_files import write_with_mode
from pipelines.study.import_log import ImportSummary, write_imports
from pipelines.study.manifest import Row, read_manifest
from pipelines.study.workspace import Workspace
from runtime.files import read_json, write_json

TABLES = ("import.json", "originals.csv")
_IMAGE_NAME = re.compile(r"images/[a-z0-9][a-z0-9_-]{0,63}/[^/\0]+\.png")


def commit(
    workspace: Workspace,
    staging: Path,
    files: Sequence[str],
    existing: Sequence[Row],
    fresh: Sequence[Row],
    summary: ImportSummary,
    originals: Sequence[OriginalRow],
) -> None:
    """Move the staged files of the new rows into place and write the tables, the manifest last.

    files: the names of the new rows' images in the staging folder. What an error leaves is for
    `take_back`.
    """
    import_json, originals_csv = (workspace.data / name for name in TABLES)
    imports = [*workspace.imports(), summary]
    all_originals = [*read_originals(originals_csv), *originals]
    present = [path for path in (import_json, originals_csv) if path.exists()]
    for path in present:
        write_with_mode(staging / path.name, path.read_bytes(), path.stat().st_mode & 0o777)
    write_json(
        staging / "commit.json",
        {"images": [row.file_name for row in fresh], "tables": [path.name for path in present]},
    )
    for row, file in zip(fresh, files, strict=True):
        target = workspace.data / row.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / file, target)
    write_originals(originals_csv, all_originals)
    write_imports(import_json, imports)
    workspace.write_rows([*existing, *fresh])


def take_back(workspace: Workspace, staging: Path) -> None:
    """Make the study what it was before a commit that did not reach the manifest.

    One that did is left as it is. Raises ValueError when the list of its images is damaged.
    """
    path = staging / "commit.json"
    if not path.exists():
        return
    begun = read_json(path).expect(images=list, tables=list)
    _check_image_names(path, begun["images"])
    listed = set()
    if workspace.manifest_path.exists():
        listed = {row.file_name for row in read_manifest(workspace.manifest_path)}
    stray = [workspace.data / name for name in begun["images"] if name not in listed]
    if stray:
        _delete_images(workspace, stray)
        for name in TABLES:
            if name not in begun["tables"]:
                (workspace.data / name).unlink(missing_ok=True)
            elif (staging / name).exists():  # or it is back already
                os.replace(staging / name, workspace.data / name)
    path.unlink()


def _check_image_names(path: Path, names: Sequence[object]) -> None:
    """Raise ValueError when a list has names that are none of images of a study."""
    for name in names:
        if not (isinstance(name, str) and _IMAGE_NAME.fullmatch(name)):
            raise ValueError(
                f"{path} lists {name!r:.80}, expected images/LABEL/NAME.png; "
                "it is damaged or is not ours: delete it"
            )


def _delete_images(workspace: Workspace, images: Sequence[Path]) -> None:
    """Delete images, and the folders in which nothing else is."""
    for image in images:
        image.unlink(missing_ok=True)
    for folder in [*{image.parent for image in images}, workspace.data / "images"]:
        with contextlib.suppress(OSError):
            folder.rmdir()
