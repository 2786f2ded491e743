"""Labels that plain folders give their images by where they lie."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.data.folder_names import says_nothing, split_of
from pipelines.data.folder_tree import UnclearTreeError, draw_tree, read_places, read_splits

SHARD_TABLE = "dataset.json"  # of stylegan2-ada, whose subfolders 00000/, 00001/ are no labels
NAMED_LABELS = 4  # that a message shows


def read_labels(path: Path, files: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Read the label of each file from the folders it lies in, and say what was not used.

    files: Relative to the folder. Labels are told as at import, but where they cannot be told, all
    images count as of no label, "".

    Raises ValueError when some files have a label and others have none.
    """
    whole = [path / file for file in files]
    folders = [file.parts[:-1] for file in files]
    labels, notes = ["" for _ in files], []
    try:
        labels = _merge_spellings([place.label for place in read_places(path, whole, ())])
    except UnclearTreeError:
        names = {name for levels in folders for name in levels}
        if not all(says_nothing(name) or split_of(name) for name in names):
            notes.append(
                f"{path}: it cannot be told which folders are labels, so its images count as of "
                f"no label; it holds {draw_tree(folders)}"
            )
    if "" in labels and any(labels):
        bare = files[labels.index("")]
        raise ValueError(
            f"{path} holds images both in itself and in subfolders ({bare.as_posix()} has no "
            f"label, others have {list_labels(labels)}); expected all in one way"
        )
    splits = {split for split in read_splits(path, whole) if split}
    if splits:
        notes.append(f"{path}: the images of {', '.join(sorted(splits))} are scored together")
    if (path / SHARD_TABLE).is_file() and not any(labels):
        notes.append(f"{path}: labels in {SHARD_TABLE} are not read, its images count as of none")
    return labels, notes


def spelling(label: str) -> str:
    """Return a label without what spellings of it differ in: case, spaces, - and _."""
    return re.sub(r"[\s_-]+", "-", label.casefold()).strip("-")


def list_labels(labels: Sequence[str]) -> str:
    """Name the first few of the labels."""
    names = sorted(set(labels) - {""})
    return ", ".join(names[:NAMED_LABELS]) + (", …" if len(names) > NAMED_LABELS else "")


def _merge_spellings(labels: Sequence[str]) -> list[str]:
    """Give labels that differ in their spelling alone the first one of them."""
    first: dict[str, str] = {}
    return [first.setdefault(spelling(label), label) for label in labels]
