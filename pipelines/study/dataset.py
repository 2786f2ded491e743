"""A study's images for people who bring their own training loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipelines.study.image_cache import map_images
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.view_names import WHOLE
from pipelines.study.workspace import Workspace


class StudyImages(Dataset[tuple[Tensor, int]]):
    """Pairs of an image, uint8 (1, S, S), and its label index, from memory-mapped arrays.

    Every worker process opens the arrays anew, and shares their memory.

    Attributes:
        classes: The label of each index.
        rows: The manifest's row of each image.
        labels: The label index of each image (N,).
    """

    def __init__(
        self, workspace: Workspace, rows: Sequence[Row], classes: Sequence[str], image_size: int
    ) -> None:
        self.classes = tuple(classes)
        self.rows = tuple(rows)
        self._arrays, positions = map_images(workspace, image_size)
        self._positions = torch.tensor([positions[row.file_name] for row in rows])
        self.labels = torch.tensor([self.classes.index(row.label) for row in rows])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_arrays": self._arrays.filename}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_arrays": np.load(state["_arrays"], mmap_mode="r")})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self._arrays[int(self._positions[index])].copy()  # (S, S)
        return torch.from_numpy(image).unsqueeze(0), int(self.labels[index])

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """Return many at once, as a DataLoader asks for a batch."""
        images, labels = self.batch(torch.as_tensor(indices))
        return list(zip(images, labels.tolist(), strict=True))

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return images uint8 (B, 1, S, S) and labels (B,), without a DataLoader."""
        images = self._arrays[self._positions[indices].numpy()]  # (B, S, S)
        return torch.from_numpy(images).unsqueeze(1), self.labels[indices]


def open_study(
    folder: str | Path,
    split: str,
    *,
    image_size: int = 64,
    fold: int | None = None,
    view: str = WHOLE,
) -> StudyImages:
    """Open the images of one split of a study as a torch Dataset.

    Its items are pairs of an image, uint8 (1, S, S), and a label index. Classes are the labels of
    the study outside of the external set, in alphabetical order.

    folder: the study's, which holds data/.
    split: train, validation, test or external.
    fold: of a study imported with --folds, take this part (from 1) of the training and validation
        images as validation, and the others as train.
    view: what of each image is seen, one of VIEWS.

    Raises FileNotFoundError when there is no study or it has no lungs for the view, ValueError on
    an unknown split, fold or view, or when nothing is in it.
    """
    workspace = Workspace(Path(folder)).in_view(view)
    rows = workspace.rows()
    if split not in (*SPLITS, EXTERNAL):
        raise ValueError(f"split {split!r}: expected one of {', '.join((*SPLITS, EXTERNAL))}")
    if fold is None:
        chosen = [row for row in rows if row.split == split]
    else:
        _check_fold(workspace, split, fold)
        chosen = [row for row in rows if row.fold and (row.fold == fold) == (split == "validation")]
    if not chosen:
        raise ValueError(f"{workspace.root} has no {split} image")
    classes = sorted({row.label for row in rows if row.split != EXTERNAL})
    return StudyImages(workspace, chosen, classes, image_size)


def _check_fold(workspace: Workspace, split: str, fold: int) -> None:
    """Raise ValueError when the study has no such fold, or the split is not made of folds."""
    folds = sorted({row.fold for row in workspace.rows() if row.fold})
    if fold not in folds:
        present = f"folds 1 to {folds[-1]}" if folds else "no folds; import with --folds K"
        raise ValueError(f"fold {fold}: {workspace.root} has {present}")
    if split not in SPLITS[:2]:
        raise ValueError(
            f"fold {fold} of {split}: folds divide the training and validation images; "
            f"{split} is the same for all"
        )
