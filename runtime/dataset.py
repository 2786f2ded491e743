"""Datasets as the trainers take them, held in memory whole.

They are map-style datasets of pairs of an image, uint8 (C, H, W), and an integer label.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset


def stack_dataset(dataset: Dataset[Any]) -> tuple[Tensor, Tensor]:
    """Return all images (N, C, H, W) uint8 and labels (N,) int64 of a map-style dataset.

    Raises ValueError when it is empty, when the images are not 8-bit, or when they differ in shape.
    """
    images, labels = (
        dataset.tensors if isinstance(dataset, TensorDataset) else _stack_items(dataset)
    )
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise ValueError(
            f"images are {images.dtype} of shape {tuple(images.shape)}, expected uint8 of shape "
            "(N, C, H, W)"
        )
    if len(images) == 0:
        raise _empty()
    return images, labels.long()


def _stack_items(dataset: Dataset[Any]) -> tuple[Tensor, Tensor]:
    count = len(dataset)  # type: ignore[arg-type]  # a map-style dataset has a length
    if count == 0:
        raise _empty()
    pairs = [dataset[index] for index in range(count)]
    shapes = {tuple(image.shape) for image, _ in pairs}
    if len(shapes) > 1:
        raise ValueError(f"images differ in shape: {sorted(shapes)}; expected one shape (C, H, W)")
    images = torch.stack([image for image, _ in pairs])
    return images, torch.tensor([int(label) for _, label in pairs])


def _empty() -> ValueError:
    return ValueError("the dataset is empty: expected at least one image")
