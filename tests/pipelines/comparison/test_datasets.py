"""Classes are filled up with synthetic images only where that can be."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.comparison.datasets import Datasets
from pipelines.comparison.design import Design
from pipelines.study.shares import RealShare
from pipelines.study.split import Split
from runtime.options import OptionError
from tests.pipelines.study.test_training_fractions import make_row

CLASSES = ["covid", "normal"]
DESIGN = Design(arms=("real", "real+gan-balanced"))


def make_datasets(covid: int, normal: int, added_labels: list[int]) -> Datasets:
    """Make the datasets of so many training images, without their pixels."""
    counts = {"covid": covid, "normal": normal}
    rows = [make_row(label, patient, 0) for label in CLASSES for patient in range(counts[label])]
    no_images = Split(np.zeros((0, 4, 4), np.uint8), np.zeros(0, np.int64), [], [])
    return Datasets(DESIGN, CLASSES, rows, no_images, {RealShare(): rows}, added_labels, 100)


def test_a_set_is_as_large_as_the_rarest_class_needs() -> None:
    datasets = make_datasets(covid=3, normal=10, added_labels=[0, 1])
    datasets.check_fillable()
    assert datasets.num_synthetic(RealShare(), CLASSES) == 2 * 6 + 1


@pytest.mark.parametrize(
    ("covid", "added_labels", "problem"),
    [(10, [0, 1], "equally large"), (3, [1], "no images of covid")],
)
def test_classes_that_cannot_be_filled_up_are_refused(
    covid: int, added_labels: list[int], problem: str
) -> None:
    with pytest.raises(OptionError, match=problem):
        make_datasets(covid, 10, added_labels).check_fillable()
