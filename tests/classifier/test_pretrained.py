"""ImageNet networks are torchvision's, see gray as their weights expect, and stay frozen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate
from torchvision import models

from classifier import features
from classifier.config import ClassifierConfig
from classifier.networks import Unfrozen, build
from classifier.predict import load_classifier, predict
from classifier.pretrained import INPUT, load_trunk
from classifier.weights import weights_hash
from runtime.options import OptionError
from tests.classifier.stripes import CPU, accuracy, fit, stripes

VGG16_FILE = "vgg16_features_fp16.pth"


@pytest.fixture(scope="module")
def vgg16_run(tmp_path_factory: pytest.TempPathFactory, shared: Path):
    """The run and the classifier of a training on VGG16, with small batches for speed."""
    trunk = load_trunk("vgg16", shared / "weights" / VGG16_FILE)
    config = ClassifierConfig(arch="vgg16", steps=60, batch_size=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "FEATURE_BATCH", 4)
        return fit(tmp_path_factory.mktemp("vgg16"), stripes(16, 0), config, 12, trunk=trunk)


def test_vgg16_with_real_weights_learns(vgg16_run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "FEATURE_BATCH", 4)
    assert accuracy(vgg16_run[1], stripes(12, 2)) > 0.9


def test_a_frozen_trunk_is_saved_as_it_was_loaded(vgg16_run, shared: Path) -> None:
    loaded = load_classifier(vgg16_run[0].folder / "classifier.pt", CPU.device)
    before = load_trunk("vgg16", shared / "weights" / VGG16_FILE)
    assert weights_hash(loaded.network.trunk) == weights_hash(before)


def test_gray_reaches_vgg16_as_its_weights_expect(shared: Path) -> None:
    """The trunk equals torchvision's own preprocessing and convolutions, pooled."""
    file = shared / "weights" / VGG16_FILE
    images = stripes(2, 0).tensors[0]
    plain = models.vgg16(weights=None).features
    state = torch.load(file, weights_only=True)
    plain.load_state_dict(
        {name.removeprefix("features."): value.float() for name, value in state.items()}
    )
    gray = interpolate(images.float() / 255, (INPUT, INPUT), mode="bilinear", antialias=True)
    mean = torch.tensor([0.48235, 0.45882, 0.40784]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = plain((gray.expand(-1, 3, -1, -1) - mean) * 255).mean(dim=(2, 3))
        torch.testing.assert_close(
            load_trunk("vgg16", file)(images), expected, rtol=1e-3, atol=1e-2
        )


@pytest.fixture
def resnet18(tmp_path: Path) -> tuple[torch.nn.Module, Path]:
    """torchvision's network with fresh weights, and the file it is saved in."""
    torch.manual_seed(0)
    network = models.resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    return network, tmp_path / "resnet18.pth"


def test_resnet_weights_are_read_as_torchvision_saves_them(resnet18) -> None:
    network, file = resnet18
    images = torch.randint(0, 256, (2, 1, 112, 112), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = network((images.expand(-1, 3, -1, -1) / 255 - mean) / std)
        torch.testing.assert_close(
            load_trunk("resnet18", file).eval()(images), expected, rtol=1e-3, atol=1e-4
        )


def test_weights_of_another_network_are_refused(resnet18) -> None:
    with pytest.raises(OptionError, match="not vgg16 weights"):
        load_trunk("vgg16", resnet18[1])


def test_absent_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such file"):
        load_trunk("vgg16", tmp_path / "absent.pth")


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(OptionError, match=r"text\.pth: cannot be read"):
        load_trunk("vgg16", tmp_path / "text.pth")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(OptionError, match="not vgg16 weights"):
        load_trunk("vgg16", tmp_path / "other.pth")


def test_fresh_weights_are_the_same_every_time() -> None:
    """Else a run that began without pretrained weights could not be resumed."""
    first, second = (weights_hash(load_trunk("resnet18", Path("none"))) for _ in range(2))
    assert first == second


@pytest.fixture(scope="module")
def unfrozen_run(tmp_path_factory: pytest.TempPathFactory):
    """A trunk, its hash before, and the run and classifier of a training of its last stage."""
    torch.manual_seed(0)
    trunk = load_trunk("resnet18", Path("none"))
    before = weights_hash(trunk)
    config = ClassifierConfig(arch="resnet18", unfreeze=1, steps=2, batch_size=4, evaluate_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "FEATURE_BATCH", 4)  # they are filled up, which takes its time
        run, trained = fit(
            tmp_path_factory.mktemp("unfrozen"), stripes(12, 0), config, 12, trunk=trunk
        )
    return trunk, before, run, trained


def test_the_trunk_that_was_given_is_not_trained(unfrozen_run) -> None:
    trunk, before, _, _ = unfrozen_run
    assert weights_hash(trunk) == before


def test_unfrozen_stages_are_trained(unfrozen_run) -> None:
    trunk, _, _, trained = unfrozen_run
    (stage,) = [part for part in trained.network.head.modules() if isinstance(part, Unfrozen)]
    pairs = zip(stage.parameters(), trunk.stages[-1].parameters(), strict=True)
    assert any(not torch.equal(ours, given) for ours, given in pairs)


def test_unfrozen_stages_come_back_from_disk(unfrozen_run) -> None:
    _, _, run, trained = unfrozen_run
    images = stripes(12, 3).tensors[0]
    loaded = load_classifier(run.folder / "classifier.pt", CPU.device)
    assert predict(loaded, images, CPU) == pytest.approx(predict(trained, images, CPU), abs=1e-6)


@pytest.mark.parametrize("arch", ["resnet18", "vgg16"])
def test_a_network_in_two_parts_is_the_whole_one(arch: str) -> None:
    torch.manual_seed(0)
    trunk = load_trunk(arch, Path("none"))
    whole = build(arch, 3, trunk)
    parts = build(arch, 3, trunk, unfreeze=1).eval()
    images = stripes(4, 5).tensors[0]
    with torch.no_grad():
        torch.testing.assert_close(
            parts.head[:2](parts.trunk(images)), whole.trunk(images), rtol=1e-4, atol=1e-4
        )
