"""Grad-CAM points at what decides, and the range test finds rates that train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.explain import grad_cam
from classifier.learning_rate import HIGHEST, LOWEST, find_learning_rate
from classifier.networks import build
from classifier.pretrained import load_trunk
from classifier.train import train
from runtime.run import create_run
from tests.classifier.test_classifier import CPU, stripes


def test_the_map_lies_on_what_makes_the_class(tmp_path: Path) -> None:
    """Class 1 has a bright disc somewhere on noise; the map's peak has to lie on it."""
    rng = np.random.default_rng(0)
    images, labels, places = (
        rng.normal(100, 25, (240, 64, 64)),
        np.arange(240) % 2,
        rng.integers(12, 52, (240, 2)),
    )
    y, x = np.mgrid[:64, :64]
    for image, label, (row, column) in zip(images, labels, places):
        image += 110 * label * ((y - row) ** 2 + (x - column) ** 2 < 49)
    dataset = TensorDataset(
        torch.from_numpy(images.clip(0, 255).astype(np.uint8)).unsqueeze(1),
        torch.from_numpy(labels),
    )
    trained = train(
        ClassifierConfig(steps=60, batch_size=16),
        dataset,
        dataset,
        create_run(tmp_path, "classify-train", {}),
        CPU,
        classes=["none", "disc"],
    )
    with_disc = np.flatnonzero(labels)[:40]
    maps = grad_cam(
        trained.network, dataset.tensors[0][with_disc], torch.ones(40, dtype=torch.long)
    ).numpy()
    assert maps.shape == (40, 64, 64)
    assert maps.min() >= 0
    assert maps.max() <= 1
    peaks = [np.unravel_index(one.argmax(), one.shape) for one in maps]
    near = [
        np.hypot(peak[0] - place[0], peak[1] - place[1]) < 14
        for peak, place in zip(peaks, places[with_disc])
    ]
    assert np.mean(near) > 0.8


@pytest.mark.parametrize(
    ("arch", "unfreeze"), [("vgg16", 0), ("vgg16", 2), ("resnet18", 0), ("resnet18", 1)]
)
def test_every_network_has_a_map(arch: str, unfreeze: int) -> None:
    network = build(arch, 3, load_trunk(arch, Path("none")), unfreeze)
    maps = grad_cam(network, stripes(2, 0).tensors[0], torch.tensor([0, 2]))
    assert maps.shape == (2, 32, 32)
    assert torch.isfinite(maps).all()
    assert maps.max() <= 1


def test_the_range_test_suggests_a_rate_that_trains_better_than_its_ends() -> None:
    dataset, config = stripes(120, 0), ClassifierConfig(batch_size=16)
    found = find_learning_rate(config, dataset, CPU, classes=["upright", "level", "none"])
    assert LOWEST < found.suggested < HIGHEST / 10
    assert list(found.rates) == sorted(found.rates)
    assert found.losses[found.rates.index(found.suggested)] < found.losses[0]
    with pytest.raises(ValueError, match="svm"):
        find_learning_rate(
            ClassifierConfig(arch="svm"), dataset, CPU, classes=["upright", "level", "none"]
        )
