"""Datasets come in as two tensors, and what cannot be is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from runtime.dataset import stack_dataset


class Pairs(Dataset):
    """A map-style dataset of these shapes, labelled in turn."""

    def __init__(self, *shapes: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> None:
        self.images = [torch.full(shape, 7, dtype=dtype) for shape in shapes]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], index % 2


def test_pairs_become_two_tensors() -> None:
    images, labels = stack_dataset(Pairs(*[(1, 4, 4)] * 3))
    assert torch.equal(images, torch.full((3, 1, 4, 4), 7, dtype=torch.uint8))
    assert labels.tolist() == [0, 1, 0]


def test_a_tensor_dataset_is_taken_as_it_is() -> None:
    stored = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    images, labels = stack_dataset(TensorDataset(stored, torch.arange(3, dtype=torch.int32)))
    assert images is stored
    assert labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("dataset", "problem"),
    [
        pytest.param(Pairs(), "the dataset is empty", id="empty"),
        pytest.param(Pairs((1, 4, 4), (1, 5, 4)), "images differ in shape", id="shapes"),
        pytest.param(Pairs((1, 4, 4), dtype=torch.float32), "expected uint8", id="not 8-bit"),
        pytest.param(Pairs((4, 4)), "expected uint8 of shape", id="no channels"),
        pytest.param(
            TensorDataset(torch.zeros(0, 1, 4, 4, dtype=torch.uint8), torch.zeros(0)),
            "the dataset is empty",
            id="empty tensors",
        ),
    ],
)
def test_what_no_trainer_takes_is_refused(dataset: Dataset, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        stack_dataset(dataset)
