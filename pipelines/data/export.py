"""A study's training images as folders that other programs train on, and nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipelines.study.folder_formats import (
    LabelledImage,
    check_format,
    check_side,
    new_folder,
    write_images,
)
from pipelines.study.fractions import RealFraction
from pipelines.study.image_cache import map_images
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.shares import RealShare
from pipelines.study.trained_on import TrainedOn
from pipelines.study.view_names import WHOLE
from pipelines.study.views import view_facts
from pipelines.study.workspace import Workspace
from runtime.options import OptionError

EXPORT_SIZE = 128  # pixels


def export_training_images(
    workspace: Workspace,
    folder: Path,
    *,
    format: str,
    image_size: int = EXPORT_SIZE,
    split: str = "train",
    real_fraction: RealFraction = 1.0,
    fold: int | None = None,
    view: str = WHOLE,
) -> TrainedOn:
    """Write the training images into a new folder, with TRAINED_ON.json beside them.

    They have walked the pixel path of the study at this size and in this view. The folder appears
    when all is written.

    Args:
        workspace: The study.
        folder: Absent or empty.
        format: One of FOLDER_FORMATS.
        image_size: Side in pixels.
        split: "train"; what is held out is never exported.
        real_fraction: The share that `cxr gan-train` has by the same number.
        fold: A fold of the manifest whose images are left out too.
        view: What of each image is written.

    Raises OptionError for another split, size or fold, ValueError when the folder is not empty.
    """
    _check_split(split)
    check_side(image_size)
    check_format(format, image_size)
    workspace = workspace.in_view(view)
    rows = RealShare(real_fraction).training_rows(workspace)
    if fold is not None:
        rows = _without_fold(workspace, rows, fold)
    classes = sorted({row.label for row in workspace.all_rows() if row.split != EXTERNAL})
    facts = view_facts(workspace)
    stated = TrainedOn(
        study=workspace.fingerprint(),
        view=view,
        lung_network=facts["lung_network"],
        image_size=image_size,
        real_fraction=real_fraction,
        fold=fold,
        classes=tuple(classes),
        images=tuple(sorted({row.sha256 for row in rows})),
    )
    with new_folder(folder) as begun:
        write_images(begun, _read(workspace, rows, image_size), format, classes)
        stated.save(begun)
    return stated


def _check_split(split: str) -> None:
    if split in ("validation", "test", EXTERNAL):
        raise OptionError(
            "split",
            split,
            "only train is exported: a generator that has seen a held-out image may not make "
            "training images, and its set would be refused",
        )
    if split != SPLITS[0]:
        raise OptionError("split", split, "expected train")


def _without_fold(workspace: Workspace, rows: Sequence[Row], fold: int) -> list[Row]:
    folds = sorted({row.fold for row in workspace.all_rows() if row.fold})
    if fold not in folds:
        present = f"folds 1 to {folds[-1]}" if folds else "no folds; import with `folds`"
        raise OptionError("fold", fold, f"the study has {present}")
    return [row for row in rows if row.fold != fold]


def _read(workspace: Workspace, rows: Sequence[Row], size: int) -> Iterator[LabelledImage]:
    images, places = map_images(workspace, size)
    for row in rows:
        name = PurePosixPath(row.file_name).stem
        yield LabelledImage(name, row.label, images[places[row.file_name]])
