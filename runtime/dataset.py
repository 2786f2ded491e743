"""Datasets as the trainers take them: pairs of (uint8 C×H×W image, integer label), held in memory whole."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset


def stacked(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """All images (N, C, H, W) uint8 and labels (N,) int64 of a map-style dataset.

    Raises ValueError when it is empty, when the images are not 8-bit, or when they differ in shape.
    """
    if isinstance(dataset, TensorDataset):
        images, labels = dataset.tensors
    else:
        if len(dataset) == 0:
            raise ValueError("the dataset is empty: expected at least one image")
        pairs = [dataset[index] for index in range(len(dataset))]
        shapes = {tuple(image.shape) for image, _ in pairs}
        if len(shapes) > 1:
            raise ValueError(
                f"images differ in shape: {sorted(shapes)}; expected one shape (C, H, W)"
            )
        images = torch.stack([image for image, _ in pairs])
        labels = torch.tensor([int(label) for _, label in pairs])
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise ValueError(
            f"images are {images.dtype} of shape {tuple(images.shape)}, expected uint8 of shape (N, C, H, W)"
        )
    if len(images) == 0:
        raise ValueError("the dataset is empty: expected at least one image")
    return images, labels.long()
