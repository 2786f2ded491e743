"""A study's images for people who bring their own training loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipelines.study.image_cache import mapped_images
from pipelines.study.manifest import EXTERNAL, SPLITS, Row
from pipelines.study.workspace import Workspace


class StudyImages(Dataset):
    """(uint8 1×S×S tensor, label index) pairs from a study's memory-mapped arrays.

    classes: the label of each index. rows: the manifest's row of each item. Opens the array in every worker process anew, and shares its memory.
    """

    def __init__(
        self, workspace: Workspace, rows: Sequence[Row], classes: Sequence[str], image_size: int
    ) -> None:
        self.classes, self.rows = tuple(classes), tuple(rows)
        self._arrays, positions = mapped_images(workspace, image_size)
        self._positions = torch.tensor([positions[row.file_name] for row in rows])
        self.labels = torch.tensor([self.classes.index(row.label) for row in rows])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_arrays": self._arrays.filename}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state | {"_arrays": np.load(state["_arrays"], mmap_mode="r")})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self._arrays[int(self._positions[index])].copy()).unsqueeze(0), int(
            self.labels[index]
        )

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """Many at once, as a DataLoader asks for a batch."""
        images = torch.from_numpy(self._arrays[self._positions[indices].numpy()]).unsqueeze(1)
        return list(zip(images, self.labels[indices].tolist()))

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images uint8 (B, 1, S, S) and labels (B,) of these items, without a DataLoader."""
        return torch.from_numpy(self._arrays[self._positions[indices].numpy()]).unsqueeze(
            1
        ), self.labels[indices]


def open_study(
    folder: str | Path, split: str, *, image_size: int = 64, fold: int | None = None
) -> StudyImages:
    """The images of one split of a study (the folder that holds data/), as a torch Dataset of (uint8 1×S×S tensor, label index).

    split: train, validation, test, or external. fold: of a study imported with --folds, take this part (from 1) of the training and validation
    images as validation and the others as train. Classes are those of the study outside of the external set, in alphabetical order.
    Raises FileNotFoundError when there is no study, ValueError on an unknown split or fold, or when nothing is in it.
    """
    workspace = Workspace(Path(folder))
    rows = workspace.rows()
    if split not in (*SPLITS, EXTERNAL):
        raise ValueError(f"split {split!r}: expected one of {', '.join((*SPLITS, EXTERNAL))}")
    if fold is None:
        chosen = [row for row in rows if row.split == split]
    else:
        folds = sorted({row.fold for row in rows if row.fold})
        if fold not in folds:
            raise ValueError(
                f"fold {fold}: {workspace.root} has {f'folds 1 to {folds[-1]}' if folds else 'no folds; import with --folds K'}"
            )
        if split not in SPLITS[:2]:
            raise ValueError(
                f"fold {fold} of {split}: folds divide the training and validation images; {split} is the same for all"
            )
        chosen = [row for row in rows if row.fold and (row.fold == fold) == (split == "validation")]
    if not chosen:
        raise ValueError(f"{workspace.root} has no {split} image")
    return StudyImages(
        workspace, chosen, sorted({row.label for row in rows if row.split != EXTERNAL}), image_size
    )
