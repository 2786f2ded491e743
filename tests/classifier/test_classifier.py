"""Classifiers learn what is there to learn and nothing else; metrics agree with scikit-learn."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from classifier import features
from classifier.config import ClassifierConfig
from classifier.predict import TrainedClassifier, load_classifier, predict
from classifier.pretrained import INPUT, load_trunk, weights_hash
from classifier.train import schedule, train
from runtime.device import choose_compute
from runtime.run import Interrupted, Run, create_run
from tests.conftest import signalled

CPU = choose_compute("cpu", "fp32")
CONFIG = ClassifierConfig(steps=80, batch_size=16, evaluate_every=20)


def stripes(n: int, seed: int) -> TensorDataset:
    """Three classes of noisy stripes: upright, level, and none, all of the same mean brightness."""
    rng = np.random.default_rng(seed)
    wave = 40 * np.sign(np.sin(np.arange(32) * np.pi / 4 + 0.1))
    patterns = np.stack(
        [np.tile(wave, (32, 1)), np.tile(wave[:, None], (1, 32)), np.zeros((32, 32))]
    )
    labels = np.arange(n) % 3
    images = 128 + patterns[labels] + rng.normal(0, 40, (n, 32, 32))
    return TensorDataset(
        torch.from_numpy(images.clip(0, 255).astype(np.uint8)).unsqueeze(1),
        torch.from_numpy(labels),
    )


def fit(
    folder: Path,
    training: TensorDataset,
    config: ClassifierConfig = CONFIG,
    held_out: int = 60,
    **options: object,
) -> tuple[Run, TrainedClassifier]:
    run = create_run(folder, "classify-train", {})
    return run, train(
        config,
        training,
        stripes(held_out, 1),
        run,
        CPU,
        classes=["upright", "level", "none"],
        **options,
    )


def accuracy(trained: TrainedClassifier, dataset: TensorDataset) -> float:
    images, labels = dataset.tensors
    return float((predict(trained, images, CPU).argmax(axis=1) == labels.numpy()).mean())


def test_the_cnn_learns_and_comes_back_from_disk(tmp_path: Path) -> None:
    run, trained = fit(tmp_path, stripes(120, 0))
    assert accuracy(trained, stripes(150, 2)) > 0.9
    loaded = load_classifier(run.folder / "classifier.pt", CPU.device)
    images = stripes(30, 3).tensors[0]
    assert np.array_equal(predict(loaded, images, CPU), predict(trained, images, CPU))
    assert np.allclose(predict(loaded, images, CPU).sum(axis=1), 1)
    events = run.journal()
    assert [event["step"] for event in events[:-1]] == [20, 40, 60, 80]
    best = min(events[:-1], key=lambda event: event["validation_loss"])
    assert events[-1] == {
        "best_step": best["step"],
        "best_validation_loss": best["validation_loss"],
    }


def test_it_learns_nothing_from_shuffled_labels(tmp_path: Path) -> None:
    images, labels = stripes(144, 0).tensors
    unrelated = torch.arange(144) // 3 % 3  # every class gets every label equally often
    assert torch.equal(torch.bincount(3 * labels + unrelated), torch.full((9,), 16))
    _, trained = fit(tmp_path, TensorDataset(images, unrelated))
    assert accuracy(trained, stripes(150, 2)) < 0.55


def test_stopped_by_a_signal_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    config = ClassifierConfig(steps=180, batch_size=16, evaluate_every=30)
    whole, _ = fit(tmp_path / "whole", stripes(60, 0), config)
    run = create_run(tmp_path / "stopped", "classify-train", {})
    arguments = (config, stripes(60, 0), stripes(60, 1), run, CPU)
    with pytest.raises(Interrupted), signalled(run.journal_path, 2, signal.SIGINT):
        train(*arguments, classes=["upright", "level", "none"])
    train(*arguments, classes=["upright", "level", "none"])
    assert whole.journal_path.read_bytes() == run.journal_path.read_bytes()
    weights = [
        load_classifier(one.folder / "classifier.pt", CPU.device).network.state_dict()
        for one in (whole, run)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_seed_is_another_classifier_and_torch_s_own_randomness_is_left_alone(
    tmp_path: Path,
) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    short = [ClassifierConfig(steps=4, batch_size=8, seed=seed) for seed in (0, 0, 1)]
    weights = [fit(tmp_path, stripes(30, 0), config)[1].network.head[0].weight for config in short]
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    factors = [schedule(step, 100) for step in range(100)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[-1] < 0.001


def test_vgg16_with_real_weights(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With small batches, which are filled up, for speed."""
    monkeypatch.setattr(features, "BATCH", 4)
    trunk = load_trunk("vgg16", shared / "weights" / "vgg16_features_fp16.pth")
    assert len(weights_hash(trunk)) == 64
    run, trained = fit(
        tmp_path,
        stripes(16, 0),
        ClassifierConfig(arch="vgg16", steps=60, batch_size=16),
        12,
        trunk=trunk,
    )
    assert accuracy(trained, stripes(12, 2)) > 0.9
    before = load_trunk("vgg16", shared / "weights" / "vgg16_features_fp16.pth").stages[0][0].weight
    assert torch.equal(
        load_classifier(run.folder / "classifier.pt", CPU.device).network.trunk.stages[0][0].weight,
        before,
    ), "the trunk is frozen"


def test_gray_reaches_vgg16_as_its_weights_expect(shared: Path) -> None:
    """The trunk equals torchvision's own preprocessing and convolutions, pooled."""
    from torchvision.models import vgg16

    file = shared / "weights" / "vgg16_features_fp16.pth"
    images = stripes(2, 0).tensors[0]
    plain = vgg16(weights=None).features
    plain.load_state_dict(
        {
            name.removeprefix("features."): value.float()
            for name, value in torch.load(file, weights_only=True).items()
        }
    )
    rgb = torch.nn.functional.interpolate(
        images.float() / 255, (INPUT, INPUT), mode="bilinear", antialias=True
    ).expand(-1, 3, -1, -1)
    mean = torch.tensor([0.48235, 0.45882, 0.40784]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = plain((rgb - mean) * 255).mean(dim=(2, 3))
        torch.testing.assert_close(
            load_trunk("vgg16", file)(images), expected, rtol=1e-3, atol=1e-2
        )


def test_weights_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_trunk("vgg16", tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(ValueError, match="text.pth"):
        load_trunk("vgg16", tmp_path / "text.pth")
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="not vgg16 weights"):
        load_trunk("vgg16", tmp_path / "other.pth")
