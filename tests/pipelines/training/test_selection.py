"""Synthetic images are chosen by a classifier of the reals."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.config import ClassifierConfig
from pipelines.study.split import Split
from pipelines.training.selection import Ranking, select_synthetic
from pipelines.training.training_setup import TrainingSetup
from runtime.run import create_run
from tests.classifier.stripes import CLASSES, CPU, stripes

SETUP = TrainingSetup(compute=CPU, classes=CLASSES, positive=CLASSES[0])
IMAGE = st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0, 9))


def make_split(n: int, seed: int, patient: str) -> Split:
    """Make a split of stripes."""
    images, labels = stripes(n, seed).tensors
    names = [f"{seed}-{place}" for place in range(n)]
    return Split(images[:, 0].numpy(), labels.numpy(), names, [patient] * n)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, list[dict[str, str]]]:
    """Half of 60 synthetic images, of which the last half have the label of another class."""
    synthetic = make_split(60, 5, "")
    synthetic.labels[30:] = (synthetic.labels[30:] + 1) % 3
    splits = {
        "train": make_split(90, 0, "p1").join(synthetic),
        "validation": make_split(60, 1, "p2"),
    }
    config = ClassifierConfig(steps=80, batch_size=16, synthetic_keep=0.5, augment=True)
    run = create_run(tmp_path_factory.mktemp("chosen"), "classify-train", {})
    selected = select_synthetic(config, splits, run, SETUP, "test")
    with (run.folder / "selection.csv").open(newline="") as file:
        return selected, list(csv.DictReader(file))


def test_images_of_another_class_are_left_out(chosen) -> None:
    kept = [name for name in chosen[0].file_names if name.startswith("5-")]
    wrong = [name for name in kept if int(name[2:]) >= 30]
    assert len(kept) == 30
    assert len(wrong) <= 3


def test_all_reals_are_kept_in_their_order(chosen) -> None:
    assert chosen[0].file_names[:90] == make_split(90, 0, "p1").file_names


def test_the_table_says_of_every_image_whether_it_is_kept(chosen) -> None:
    selected, rows = chosen
    kept = [row["file_name"] for row in rows if row["kept"] == "yes"]
    assert len(rows) == 60
    assert kept == selected.file_names[90:]


@given(st.lists(IMAGE, min_size=1, max_size=40), st.floats(0.01, 1))
def test_of_each_label_the_share_is_kept_that_comes_first(
    images: list[tuple[int, int, float]], share: float
) -> None:
    labels, called, distance = (np.array(values) for values in zip(*images, strict=True))
    kept = Ranking(labels, called, distance).first(share)
    for label in set(labels.tolist()):
        own = labels == label
        keys = list(zip((called != labels)[own], distance[own], strict=True))
        first = [key for key, is_kept in zip(keys, kept[own], strict=True) if is_kept]
        rest = [key for key, is_kept in zip(keys, kept[own], strict=True) if not is_kept]
        assert len(first) == math.ceil(share * own.sum())
        assert not rest or max(first) <= min(rest)


def test_the_same_images_are_chosen_again(chosen, tmp_path: Path) -> None:
    again = select_synthetic(
        ClassifierConfig(steps=80, batch_size=16, synthetic_keep=1.0),
        {"train": chosen[0], "validation": make_split(60, 1, "p2")},
        create_run(tmp_path, "classify-train", {}),
        SETUP,
        "test",
    )
    assert again.file_names == chosen[0].file_names
