"""Features that are computed once, whatever asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from classifier import features
from classifier.features import BATCH, FeatureStore
from tests.classifier.test_classifier import CPU, stripes


class Counted(nn.Module):
    """A small fixed network that counts the images it is given."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, width, 3)
        self.seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        return self.layer(images.float()).mean(dim=(2, 3))


def test_an_image_is_computed_once_in_one_process_and_from_disk_in_the_next(tmp_path: Path) -> None:
    network, images = Counted(), stripes(10, 0).tensors[0]
    store = FeatureStore(tmp_path)
    first = store.features(network, images[:6], CPU)
    assert network.seen == BATCH, "the last batch is filled up"
    with torch.no_grad():
        torch.testing.assert_close(first, network(images[:6]))
    network.seen = 0
    both = store.features(network, images[[7, 2, 2, 0]], CPU)
    assert network.seen == BATCH
    assert torch.equal(both[1:], first[[2, 2, 0]])
    again = FeatureStore(tmp_path)
    assert torch.equal(again.features(network, images[[0, 7]], CPU), both[[3, 0]])
    assert network.seen == BATCH


def test_the_company_of_an_image_changes_no_bit_of_its_features() -> None:
    network, images = Counted(), stripes(BATCH + 9, 0).tensors[0]
    whole = FeatureStore().features(network, images, CPU)
    for start, end in ((0, 1), (3, 40), (BATCH - 2, BATCH + 9)):
        assert torch.equal(
            FeatureStore().features(network, images[start:end], CPU), whole[start:end]
        )


def test_other_weights_are_another_network(tmp_path: Path) -> None:
    network, images = Counted(), stripes(4, 0).tensors[0]
    store = FeatureStore(tmp_path)
    before = store.features(network, images, CPU)
    with torch.no_grad():
        network.layer.weight += 1
    assert not torch.allclose(store.features(network, images, CPU), before)
    assert not torch.allclose(FeatureStore(tmp_path).features(network, images, CPU), before)


def test_large_features_stay_in_memory_and_a_damaged_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "WRITTEN", 40)
    images = stripes(3, 0).tensors[0]
    FeatureStore(tmp_path).features(Counted(41), images, CPU)
    assert not list(tmp_path.iterdir())
    network = Counted()
    FeatureStore(tmp_path).features(network, images, CPU)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ValueError, match=f"{file.name} is damaged"):
        FeatureStore(tmp_path).features(network, images, CPU)
