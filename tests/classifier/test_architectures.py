"""Every architecture and option learns, comes back from disk, and does what it says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset
from torchvision import models

from classifier import features
from classifier.augment import augment
from classifier.config import ClassifierConfig
from classifier.networks import Unfrozen, build
from classifier.predict import load_classifier, predict
from classifier.pretrained import load_trunk, weights_hash
from tests.classifier.test_classifier import CPU, accuracy, fit, stripes


def comes_back(folder: Path, trained) -> None:
    images = stripes(12, 3).tensors[0]
    assert np.allclose(
        predict(load_classifier(folder / "classifier.pt", CPU.device), images, CPU),
        predict(trained, images, CPU),
        atol=1e-6,
    )


def test_the_svm_learns_and_comes_back_without_a_pickle(tmp_path: Path) -> None:
    levels = torch.arange(90) % 3
    flat = TensorDataset(
        (levels.view(-1, 1, 1, 1) * 60 + 40 + torch.randint(0, 40, (90, 1, 32, 32))).to(
            torch.uint8
        ),
        levels,
    )
    from classifier.train import train
    from runtime.run import create_run

    run = create_run(tmp_path, "classify-train", {})
    trained = train(
        ClassifierConfig(arch="svm"), flat, flat, run, CPU, classes=["dark", "middle", "bright"]
    )
    assert accuracy(trained, flat) == 1.0
    assert run.journal()[-1]["penalty"] > 0
    images = flat.tensors[0][:9]
    again = load_classifier(run.folder / "classifier.pt", CPU.device)
    assert np.allclose(predict(again, images, CPU), predict(trained, images, CPU))
    assert np.allclose(predict(again, images, CPU).sum(axis=1), 1)


def test_unfrozen_stages_are_trained_and_the_trunk_that_was_given_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With small batches, which are filled up, for speed."""
    monkeypatch.setattr(features, "BATCH", 4)
    torch.manual_seed(0)
    trunk = load_trunk("resnet18", Path("none"))
    before = weights_hash(trunk)
    run, trained = fit(
        tmp_path,
        stripes(12, 0),
        ClassifierConfig(arch="resnet18", unfreeze=1, steps=2, batch_size=4, evaluate_every=2),
        12,
        trunk=trunk,
    )
    assert weights_hash(trunk) == before
    (last,) = [part for part in trained.network.head.modules() if isinstance(part, Unfrozen)]
    theirs = list(trunk.stages[-1].parameters())
    assert any(not torch.equal(one, other) for one, other in zip(last.parameters(), theirs))
    comes_back(run.folder, trained)


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


def test_resnet_weights_are_read_as_torchvision_saves_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = models.resnet18(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    trunk = load_trunk("resnet18", tmp_path / "resnet18.pth").eval()
    images = torch.randint(0, 256, (2, 1, 112, 112), dtype=torch.uint8)
    mean, std = (
        torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1),
        torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
    )
    theirs.fc = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(
            trunk(images),
            theirs((images.expand(-1, 3, -1, -1) / 255 - mean) / std),
            rtol=1e-3,
            atol=1e-4,
        )
    with pytest.raises(ValueError, match="not vgg16 weights"):
        load_trunk("vgg16", tmp_path / "resnet18.pth")


def test_augmentation_is_a_function_of_its_generator_and_stays_in_range() -> None:
    images = stripes(6, 0).tensors[0]
    first, again, other = (
        augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 255
    assert (first - images.float()).abs().mean(dim=(1, 2, 3)).min() > 1, "each image is changed"


def test_only_flips_change_the_side_of_the_heart() -> None:
    image = torch.zeros(400, 1, 32, 32, dtype=torch.uint8)
    image[:, :, 12:20, 4:10] = 255
    for flip, expected in ((False, 1.0), (True, 0.5)):
        moved = augment(image, torch.Generator().manual_seed(0), flip=flip)
        left = (
            (moved[..., :16].mean(dim=(1, 2, 3)) > moved[..., 16:].mean(dim=(1, 2, 3)))
            .float()
            .mean()
            .item()
        )
        assert left == pytest.approx(expected, abs=0.08)


def test_with_augmentation_few_images_go_further(tmp_path: Path) -> None:
    """Stripes whose phase is fixed in training and shifted in the test: shifts have to be taught."""
    config = ClassifierConfig(steps=120, batch_size=16, evaluate_every=40)
    images, labels = stripes(60, 9).tensors
    brighter = TensorDataset((images.float() * 0.8 + 60).clamp(0, 255).to(torch.uint8), labels)
    scores = []
    for augmented in (False, True):
        _, trained = fit(
            tmp_path / str(augmented),
            stripes(18, 0),
            ClassifierConfig(**{**asdict(config), "augment": augmented}),
        )
        scores.append(accuracy(trained, brighter))
    assert scores[1] > 0.8
    assert scores[1] >= scores[0] - 0.05


@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_rare_classes_are_heard(balance: str, tmp_path: Path) -> None:
    images, labels = stripes(300, 0).tensors
    keep = torch.cat(
        [
            torch.where(labels == 0)[0],
            torch.where(labels == 1)[0][:5],
            torch.where(labels == 2)[0][:5],
        ]
    )
    rare = TensorDataset(images[keep], labels[keep])
    _, trained = fit(
        tmp_path,
        rare,
        ClassifierConfig(steps=100, batch_size=16, evaluate_every=20, balance=balance),
    )
    assert accuracy(trained, stripes(150, 2)) > 0.75


def test_patience_ends_a_training_early(tmp_path: Path) -> None:
    shuffled = TensorDataset(stripes(60, 0).tensors[0], torch.arange(60) // 3 % 3)
    run, _ = fit(
        tmp_path,
        shuffled,
        ClassifierConfig(
            steps=2000, batch_size=16, evaluate_every=10, patience=3, label_smoothing=0.1
        ),
    )
    steps = [event["step"] for event in run.journal() if "step" in event]
    assert steps[-1] == run.journal()[-1]["best_step"] + 30 < 2000


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"arch": "alexnet"}, "--arch"),
        ({"unfreeze": 2}, "--unfreeze"),
        ({"arch": "vgg16", "unfreeze": 6}, "--unfreeze"),
        ({"features": "vgg16"}, "--features"),
        ({"flip": True}, "--flip"),
        ({"label_smoothing": 1.0}, "--label-smoothing"),
        ({"balance": "luck"}, "--balance"),
        ({"patience": -1}, "--patience"),
        ({"arch": "svm", "augment": True}, "--arch svm"),
    ],
)
def test_options_that_go_nowhere_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassifierConfig(**wrong)
