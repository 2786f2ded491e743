"""Which level of a tree of folders holds the labels, and which the splits and the patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pipelines.data.folder_names import (
    is_number,
    names_collection,
    names_diagnosis,
    patient_of,
    says_nothing,
    split_of,
)

NAMED_FOLDERS = 3  # of each level that a message shows
SHOWN_LEVELS = 4
MAX_NUMBERED_CLASSES = 20

Levels = tuple[str, ...]  # of an image: names of folders, from the top


@dataclass(frozen=True)
class Place:
    """What the folders of an image say of it.

    Attributes:
        label: The name of the folder that is its label; empty where it lies in none.
        split: The split of its source; None where its folders name none.
        patient: The folder of its patient; None where there is none.
    """

    label: str
    split: str | None
    patient: str | None


class UnclearTreeError(ValueError):
    """It cannot be told which folders are labels; the text says what was seen."""


def read_places(root: Path, files: Sequence[Path], named: Collection[str]) -> list[Place]:
    """Tell labels, splits and patients of files under a folder by the folders they lie in.

    named: names of folders, in lower case, that are labels since somebody said so.

    Raises UnclearTreeError where the labels cannot be told, ValueError where an image lies in
    folders of two splits.
    """
    folders = [file.relative_to(root).parts[:-1] for file in files]
    try:
        labels = _choose_labels([_strip(levels, named) for levels in folders], named)
        if not any(labels):
            labels = _numbered_classes(folders)
        _check_all_labelled(folders, labels)
    except UnclearTreeError as error:
        raise UnclearTreeError(_explain(root, folders, str(error))) from None
    splits = read_splits(root, files, named)
    return [
        Place(label, split, read_patient(levels))
        for label, split, levels in zip(labels, splits, folders, strict=True)
    ]


def read_splits(root: Path, files: Sequence[Path], named: Collection[str] = ()) -> list[str | None]:
    """Tell the splits of files by the folders they lie in; one split alone is none.

    Raises ValueError where an image lies in folders of two.
    """
    splits: list[str | None] = []
    for file in files:
        names = [name for name in file.relative_to(root).parts[:-1] if name.lower() not in named]
        of_file = {split for name in names if (split := split_of(name))}
        if len(of_file) > 1:
            raise ValueError(
                f"{file} lies in folders of two splits: {', '.join(sorted(of_file))}; "
                "expected one; move it, or bring a CSV with file_name,label,split"
            )
        splits.append(of_file.pop() if of_file else None)
    return splits if len(set(splits) - {None}) > 1 else [None] * len(splits)


def read_patient(levels: Levels) -> str | None:
    """Return the innermost of an image's folders that is a patient's."""
    return next((name for name in reversed(levels) if patient_of(name)), None)


def _strip(levels: Levels, named: Collection[str]) -> Levels:
    """Leave out what is no label by its name."""
    return tuple(
        name
        for name in levels
        if name.lower() in named or not (split_of(name) or says_nothing(name))
    )


def _choose_labels(chains: Sequence[Levels], named: Collection[str]) -> list[str]:
    """Return the name of each image's label, of folders that may be labels by their names.

    It is the topmost one, unless what lies below is called as diagnoses are and it is not.
    """

    def is_diagnosis(name: str) -> bool:
        return name.lower() in named or names_diagnosis(name)

    chains = list(chains)
    while _is_level_above(chains, is_diagnosis):
        chains = [chain[1:] for chain in chains]
    return [chain[0] if chain else "" for chain in chains]


def _is_level_above(chains: Sequence[Levels], is_diagnosis: Callable[[str], bool]) -> bool:
    """Return whether the topmost folders hold labels, and are none.

    Raises UnclearTreeError where that cannot be told.
    """
    tops = {chain[0] for chain in chains if chain}
    below = {chain[1] for chain in chains if len(chain) > 1}
    if not below:
        return False
    all_deeper = all(len(chain) > 1 for chain in chains)
    known = {name for name in tops if is_diagnosis(name)}
    known_below = {name for name in below if is_diagnosis(name)}
    if known:
        doubtful = next(
            (chain for chain in chains if len(chain) > 1 and chain[0] not in known
             and chain[1] in known_below),
            None,
        )  # fmt: skip
        if doubtful:
            raise UnclearTreeError(f"{doubtful[0]} and {doubtful[1]} may both be labels")
        if len(tops) == 1 and known_below:
            raise UnclearTreeError(
                f"{min(tops)} and the folders in it, such as {min(known_below)}, may be labels"
            )
        return False
    if known_below or all(names_collection(name) for name in tops):
        if not all_deeper:
            raise UnclearTreeError("some images lie above the folders that may be labels")
        return True
    if len(tops) == 1:
        raise UnclearTreeError(f"{min(tops)} may be a label, or hold some")
    parents = Counter(pair[1] for pair in {chain[:2] for chain in chains if len(chain) > 1})
    repeated = sorted(name for name, count in parents.items() if count > 1)
    if repeated:
        raise UnclearTreeError(
            f"{min(tops)} may be a label, and so may {repeated[0]}, which is in several folders"
        )
    return False


def _numbered_classes(folders: Sequence[Levels]) -> list[str]:
    """Return the numbers of classes where the folders are called 0, 1, … and nothing else."""
    labels = [next((name for name in levels if is_number(name)), "") for levels in folders]
    expected = {str(number) for number in range(len(set(labels)))}
    if 1 < len(expected) <= MAX_NUMBERED_CLASSES and set(labels) == expected:
        return labels
    return ["" for _ in folders]


def _check_all_labelled(folders: Sequence[Levels], labels: Sequence[str]) -> None:
    """Raise UnclearTreeError where images lie in folders and none is a label.

    Images beside all folders are passed over, unless there are no others.
    """
    if not any(labels):
        raise UnclearTreeError("no folder in it is called as a label")
    for levels, label in zip(folders, labels, strict=True):
        if levels and not label:
            raise UnclearTreeError(f"images in {'/'.join(levels)} lie in no folder of a label")


def _explain(root: Path, folders: Sequence[Levels], reason: str) -> str:
    return (
        f"{root}: it cannot be told which folders are labels: {reason}; it holds "
        f"{draw_tree(folders)}; say which are labels with {root}/FOLDER=LABEL, once for each, or "
        f'with --label "FOLDER=LABEL", or bring a CSV with file_name,label,patient'
    )


def draw_tree(folders: Sequence[Levels], depth: int = SHOWN_LEVELS) -> str:
    """Write a tree in one line, as "train/ (covid/ (8 images), normal/ (7 images))"."""
    here = sum(not levels for levels in folders)
    parts = [f"{here} image{'s' if here > 1 else ''}"] if here else []
    children = Counter(levels[0] for levels in folders if levels)
    if depth == 0 and children:
        parts.append("deeper folders")
        children.clear()
    for name in sorted(children)[:NAMED_FOLDERS]:
        inside = [levels[1:] for levels in folders if levels[:1] == (name,)]
        parts.append(f"{PurePath(name)}/ ({draw_tree(inside, depth - 1)})")
    if len(children) > NAMED_FOLDERS:
        parts.append(f"and {len(children) - NAMED_FOLDERS} folders more")
    return ", ".join(parts)
