"""Images of stripes with three classes, and classifiers trained on them in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import TensorDataset

from classifier.config import ClassifierConfig
from classifier.predict import TrainedClassifier, predict
from classifier.train import TrainingData, train
from runtime.device import choose_compute
from runtime.run import Run, create_run

CPU = choose_compute("cpu", "fp32")
CLASSES = ("upright", "level", "none")
QUICK_CONFIG = ClassifierConfig(steps=80, batch_size=16, evaluate_every=20)


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
    config: ClassifierConfig = QUICK_CONFIG,
    validation_images: int = 60,
    **options: Any,
) -> tuple[Run, TrainedClassifier]:
    """Train in a new run of the folder, validated on stripes."""
    run = create_run(folder, "classify-train", {})
    data = TrainingData(training, stripes(validation_images, 1), CLASSES)
    return run, train(config, data, run, CPU, **options)


def accuracy(trained: TrainedClassifier, dataset: TensorDataset) -> float:
    """Return the share of images that get their label."""
    images, labels = dataset.tensors
    return float((predict(trained, images, CPU).argmax(axis=1) == labels.numpy()).mean())
