"""The images of one purpose, in memory: what a trainer or a score is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import TensorDataset

from pipelines.study.image_cache import load_images
from pipelines.study.manifest import EXTERNAL, SPLITS
from pipelines.study.workspace import Workspace


@dataclass(frozen=True)
class Split:
    """Images of one purpose, and where each came from.

    Attributes:
        images: uint8 (N, S, S).
        labels: Label indices, int64 (N,).
        file_names: In the study's data folder, or RUN/NAME for a synthetic image.
        patients: Empty text for a synthetic image.
    """

    images: np.ndarray
    labels: np.ndarray
    file_names: list[str]
    patients: list[str]

    def take(self, indices: Sequence[int]) -> Split:
        """Return the images at these places, in their order."""
        indices = list(indices)
        return Split(
            self.images[indices],
            self.labels[indices],
            [self.file_names[index] for index in indices],
            [self.patients[index] for index in indices],
        )

    def join(self, other: Split) -> Split:
        """Return these images, then the other ones."""
        return Split(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.labels, other.labels]),
            self.file_names + other.file_names,
            self.patients + other.patients,
        )

    @property
    def is_synthetic(self) -> np.ndarray:
        """Whether each image is synthetic, (N,)."""
        return np.array([patient == "" for patient in self.patients], bool)

    def pixels(self) -> torch.Tensor:
        """Return the images as uint8 (N, 1, S, S)."""
        return torch.from_numpy(self.images).unsqueeze(1)

    def to_dataset(self) -> TensorDataset:
        """Return a dataset of uint8 (1, S, S) images and their label indices."""
        return TensorDataset(self.pixels(), torch.from_numpy(self.labels))


def load_splits(workspace: Workspace, size: int, classes: Sequence[str]) -> dict[str, Split]:
    """Load the study's train, validation and test images at one size.

    The external test set is among them where the study has one.
    """
    rows = workspace.rows()
    images = load_images(workspace, rows, size)  # (N, S, S)
    names = [*SPLITS]
    if any(row.split == EXTERNAL for row in rows):
        names.append(EXTERNAL)
    splits = {}
    for name in names:
        chosen = [index for index, row in enumerate(rows) if row.split == name]
        splits[name] = Split(
            images[chosen],
            np.array([classes.index(rows[index].label) for index in chosen], np.int64),
            [rows[index].file_name for index in chosen],
            [rows[index].patient for index in chosen],
        )
    return splits
