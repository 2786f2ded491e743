"""Features are computed once, whatever asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from classifier import features
from classifier.features import FEATURE_BATCH, FeatureStore
from runtime.device import Compute
from tests.classifier.stripes import CPU, stripes


class CountingNetwork(nn.Module):
    """A small fixed network that counts the images it is given."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, width, 3)
        self.images_seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images_seen += len(images)
        return self.layer(images.float()).mean(dim=(2, 3))


@pytest.fixture
def network() -> CountingNetwork:
    return CountingNetwork()


@pytest.fixture
def images() -> Tensor:
    return stripes(10, 0).tensors[0]


def test_features_are_the_network_s(network: CountingNetwork, images: Tensor) -> None:
    computed = FeatureStore().features(network, images, CPU)
    with torch.no_grad():
        torch.testing.assert_close(computed, network(images))


def test_features_are_float32_in_a_training_in_bfloat16(
    network: CountingNetwork, images: Tensor
) -> None:
    in_bfloat16 = Compute(torch.device("cpu"), "bf16")
    computed = FeatureStore().features(network, images, in_bfloat16)
    assert torch.equal(computed, FeatureStore().features(network, images, CPU))


def test_the_last_batch_is_filled_up(network: CountingNetwork, images: Tensor) -> None:
    FeatureStore().features(network, images, CPU)
    assert network.images_seen == FEATURE_BATCH


def test_an_image_is_computed_once_in_one_process(network: CountingNetwork, images: Tensor) -> None:
    store = FeatureStore()
    first = store.features(network, images[:6], CPU)
    network.images_seen = 0
    again = store.features(network, images[[2, 2, 0]], CPU)
    assert network.images_seen == 0
    assert torch.equal(again, first[[2, 2, 0]])


def test_an_image_is_read_from_disk_in_the_next_process(
    network: CountingNetwork, images: Tensor, tmp_path: Path
) -> None:
    first = FeatureStore(tmp_path).features(network, images, CPU)
    network.images_seen = 0
    again = FeatureStore(tmp_path).features(network, images[[0, 7]], CPU)
    assert network.images_seen == 0
    assert torch.equal(again, first[[0, 7]])


def test_only_new_images_are_computed(network: CountingNetwork, images: Tensor) -> None:
    store = FeatureStore()
    first = store.features(network, images[:6], CPU)
    network.images_seen = 0
    mixed = store.features(network, images[[7, 2]], CPU)
    assert network.images_seen == FEATURE_BATCH
    assert torch.equal(mixed[1], first[2])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(0, 1, id="alone"),
        pytest.param(3, 40, id="in-part-of-a-batch"),
        pytest.param(FEATURE_BATCH - 2, FEATURE_BATCH + 9, id="across-batches"),
    ],
)
def test_the_company_of_an_image_changes_no_bit_of_its_features(start: int, end: int) -> None:
    network, images = CountingNetwork(), stripes(FEATURE_BATCH + 9, 0).tensors[0]
    whole = FeatureStore().features(network, images, CPU)
    part = FeatureStore().features(network, images[start:end], CPU)
    assert torch.equal(part, whole[start:end])


@pytest.mark.parametrize(
    "is_new_process", [pytest.param(False, id="in-memory"), pytest.param(True, id="on-disk")]
)
def test_other_weights_are_another_network(
    network: CountingNetwork, images: Tensor, tmp_path: Path, is_new_process: bool
) -> None:
    store = FeatureStore(tmp_path)
    before = store.features(network, images, CPU)
    with torch.no_grad():
        network.layer.weight += 1
    later = FeatureStore(tmp_path) if is_new_process else store
    assert not torch.allclose(later.features(network, images, CPU), before)


def test_large_features_stay_in_memory(
    images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "MAX_STORED_VALUES", 40)
    FeatureStore(tmp_path).features(CountingNetwork(41), images, CPU)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named(network: CountingNetwork, images: Tensor, tmp_path: Path) -> None:
    FeatureStore(tmp_path).features(network, images, CPU)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ValueError, match=f"{file.name} is damaged"):
        FeatureStore(tmp_path).features(network, images, CPU)
