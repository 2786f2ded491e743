"""Grad-CAM points at what decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.explain import grad_cam, heat_inside
from classifier.networks import Network, build
from classifier.pretrained import load_trunk
from classifier.svm import Pixels
from classifier.train import TrainingData, train
from runtime.run import create_run
from tests.classifier.stripes import CPU, stripes

DISC_RADIUS = 7


@pytest.fixture(scope="module")
def discs() -> tuple[TensorDataset, np.ndarray]:
    """Noise, in every other image with a bright disc (class 1), and the places of the discs."""
    rng = np.random.default_rng(0)
    images, labels = rng.normal(100, 25, (240, 64, 64)), np.arange(240) % 2
    places = rng.integers(12, 52, (240, 2))
    y, x = np.mgrid[:64, :64]
    for image, label, (row, column) in zip(images, labels, places, strict=True):
        image += 110 * label * ((y - row) ** 2 + (x - column) ** 2 < DISC_RADIUS**2)
    tensors = images.clip(0, 255).astype(np.uint8)
    return TensorDataset(torch.from_numpy(tensors).unsqueeze(1), torch.from_numpy(labels)), places


@pytest.fixture(scope="module")
def disc_maps(discs, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Maps of the disc's class, of the first 40 images with a disc."""
    dataset, _ = discs
    run = create_run(tmp_path_factory.mktemp("discs"), "classify-train", {})
    data = TrainingData(dataset, dataset, ["none", "disc"])
    trained = train(ClassifierConfig(steps=60, batch_size=16), data, run, CPU)
    images, labels = dataset.tensors
    with_disc = images[labels == 1][:40]
    return grad_cam(trained.network, with_disc, torch.ones(40, dtype=torch.long)).numpy()


def test_a_map_is_as_large_as_its_image(disc_maps: np.ndarray) -> None:
    assert disc_maps.shape == (40, 64, 64)


def test_a_map_lies_between_0_and_1(disc_maps: np.ndarray) -> None:
    assert disc_maps.min() >= 0
    assert disc_maps.max() <= 1


def test_the_map_s_peak_lies_on_what_makes_the_class(discs, disc_maps: np.ndarray) -> None:
    dataset, places = discs
    places = places[dataset.tensors[1].numpy() == 1][:40]
    peaks = [np.unravel_index(peak, (64, 64)) for peak in disc_maps.reshape(40, -1).argmax(axis=1)]
    assert np.mean(np.hypot(*(np.array(peaks) - places).T) < 2 * DISC_RADIUS) > 0.8


@pytest.mark.parametrize(
    ("arch", "unfreeze"), [("vgg16", 0), ("vgg16", 2), ("resnet18", 0), ("resnet18", 1)]
)
def test_every_network_has_a_map(arch: str, unfreeze: int) -> None:
    network = build(arch, 3, load_trunk(arch, Path("none")), unfreeze)
    maps = grad_cam(network, stripes(2, 0).tensors[0], torch.tensor([0, 2]))
    assert maps.shape == (2, 32, 32)
    assert torch.isfinite(maps).all()
    assert maps.max() <= 1


def test_a_network_without_convolutions_is_refused() -> None:
    network = Network(Pixels(), torch.nn.Linear(56 * 56, 3))
    with pytest.raises(ValueError, match="no convolutions to look into"):
        grad_cam(network, stripes(2, 0).tensors[0], torch.tensor([0, 2]))


def test_the_share_of_heat_in_an_area() -> None:
    heat = torch.tensor([[[1.0, 0.5], [0.25, 0.25]], [[0.0, 0.0], [0.0, 0.0]]])
    area = torch.tensor([[1.0, 0.0], [0.5, 0.0]]).expand(2, 2, 2)
    share, of_no_heat = heat_inside(heat, area).tolist()
    assert share == (1 + 0.125) / 2
    assert np.isnan(of_no_heat)
