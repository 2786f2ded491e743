"""Classifier training against torchvision's way, and features computed once against at every step.

    python benchmarks/classifier_training.py [--weights vgg16_features_fp16.pth] [--device cpu]

The epoch: the cnn at 64 px on 648 phantom X-rays of 256 px, classically augmented, and one look at
92 validation images. The reference is built as torchvision's reference script for classification
is: ImageFolder, transforms on PIL images that do what our augmentation does (rotation, scale,
shift, brightness, contrast, sharpness, noise), a DataLoader with two workers that stay alive, fp32
in contiguous layout, the same network, optimizer and batch.

The features: frozen VGG16 at 112 px over both arms of a comparison and five seeds, each training
with its validation and test images. Ours looks features up; the reference runs the trunk on the
images of every step, as a plain script does. 32 real and 32 synthetic images and few steps keep it
short; with more steps a training the ratio grows, since ours computes an image once whatever their
number.

Rounds are interleaved; medians.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from classifier.augment import (
    MAX_BRIGHTNESS_CHANGE,
    MAX_CONTRAST_CHANGE,
    MAX_SHIFT,
    NOISE,
    ROTATION,
    SCALE,
    SHARPNESS,
)
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.networks import build
from classifier.predict import predict
from classifier.pretrained import Trunk, load_trunk
from classifier.train import TrainingData, train
from pipelines.data import phantom
from runtime.device import Compute, choose_compute
from runtime.run import create_run

IMAGE_SIZE, BATCH_SIZE, CLASSES = 64, 32, ("covid", "normal")
TRAINING_IMAGES, VALIDATION_IMAGES = 648, 92
SEEDS = 5


def draw_phantoms(folder: Path, count: int, seed: int) -> TensorDataset:
    """Write phantoms as files of 256 px, a folder per class; return them at 64 px as tensors."""
    small_images, labels = [], []
    for number, case in enumerate(phantom.list_cases(count, seed)):
        image = Image.fromarray(phantom.draw(case, seed))
        path = folder / case.label / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        small = image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
        small_images.append(np.asarray(small))
        labels.append(CLASSES.index(case.label))
    images = torch.from_numpy(np.stack(small_images)).unsqueeze(1)  # (N, 1, S, S)
    return TensorDataset(images, torch.tensor(labels))


class Noise(nn.Module):
    """Noise of a random standard deviation on an image in 0..1."""

    def forward(self, image: Tensor) -> Tensor:
        return (image + torch.rand(()) * NOISE / 255 * torch.randn_like(image)).clamp(0, 1)


def reference_loaders(training: Path, validation: Path) -> tuple[DataLoader, DataLoader]:
    """Make the loaders of the reference, whose workers live on."""
    gray, normal = transforms.Grayscale(), transforms.Normalize([0.5], [0.25])
    resize, to_tensor = transforms.Resize((IMAGE_SIZE, IMAGE_SIZE)), transforms.ToTensor()
    augmentation = [
        transforms.RandomAffine(
            ROTATION,
            translate=(MAX_SHIFT, MAX_SHIFT),
            scale=(1 - SCALE, 1 + SCALE),
            interpolation=transforms.InterpolationMode.BILINEAR,
        ),
        transforms.ColorJitter(MAX_BRIGHTNESS_CHANGE / 255, MAX_CONTRAST_CHANGE),
        transforms.RandomAdjustSharpness(1 + SHARPNESS, p=0.5),
    ]
    augmented = transforms.Compose([gray, resize, *augmentation, to_tensor, Noise(), normal])
    plain = transforms.Compose([gray, resize, to_tensor, normal])
    workers = {"num_workers": 2, "persistent_workers": True}
    return (
        DataLoader(ImageFolder(training, augmented), BATCH_SIZE, shuffle=True, **workers),
        DataLoader(ImageFolder(validation, plain), BATCH_SIZE, **workers),
    )


def reference_epochs(training: Path, validation: Path, device: torch.device) -> Callable[[], float]:
    """Return a function that takes an epoch and returns its seconds; the network lives on."""
    training_loader, validation_loader = reference_loaders(training, validation)
    network = build("cnn", len(CLASSES)).head.to(device, memory_format=torch.contiguous_format)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)

    def take_epoch() -> float:
        started = time.perf_counter()
        network.train()
        for images, labels in training_loader:
            loss = cross_entropy(network(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # as the script's metric logger reads it
        network.eval()
        with torch.inference_mode():
            for images, labels in validation_loader:
                cross_entropy(network(images.to(device)), labels.to(device)).item()
        return time.perf_counter() - started

    return take_epoch


def our_epoch(training: TensorDataset, validation: TensorDataset, compute: Compute) -> float:
    """Return the seconds of an epoch of ours."""
    steps = math.ceil(len(training) / BATCH_SIZE)
    config = ClassifierConfig(
        steps=steps, batch_size=BATCH_SIZE, evaluate_every=steps, augment=True
    )
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder), "classify-train", {})
        started = time.perf_counter()
        train(config, TrainingData(training, validation, CLASSES), run, compute)
        return time.perf_counter() - started


def seconds_with_store(
    arms: Sequence[TensorDataset],
    validation: TensorDataset,
    trunk: Trunk,
    steps: int,
    compute: Compute,
    seeds: int,
) -> float:
    """Return the seconds of all trainings when features are looked up."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder) / "features")
        for seed in range(seeds):
            config = ClassifierConfig(arch="vgg16", steps=steps, evaluate_every=steps, seed=seed)
            for arm in arms:
                data = TrainingData(arm, validation, CLASSES)
                run = create_run(Path(folder), "classify-train", {})
                trained = train(config, data, run, compute, trunk=trunk, store=store)
                predict(trained, validation.tensors[0], compute, store)
    return time.perf_counter() - started


def seconds_without_store(
    arms: Sequence[TensorDataset],
    validation: TensorDataset,
    trunk: Trunk,
    steps: int,
    device: torch.device,
    seeds: int,
) -> float:
    """Return the seconds of all trainings when the trunk runs at every step."""
    started = time.perf_counter()
    for seed in range(seeds):
        for arm in arms:
            torch.manual_seed(seed)
            network = build("vgg16", len(CLASSES), trunk).to(device)
            optimizer = torch.optim.AdamW(network.head.parameters(), lr=1e-3, weight_decay=0.05)
            drawn = torch.randint(len(arm), (steps * BATCH_SIZE,)).tolist()
            for images, labels in DataLoader(arm, BATCH_SIZE, sampler=drawn):
                loss = cross_entropy(network.train()(images.to(device)), labels.to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.inference_mode():
                for _ in ("validation", "test"):
                    network.eval()(validation.tensors[0].to(device)).cpu()
    return time.perf_counter() - started


def compare_epochs(
    rounds: int, folder: Path, compute: Compute
) -> tuple[TensorDataset, TensorDataset]:
    """Print how fast an epoch is; return the training and the validation images."""
    training = draw_phantoms(folder / "train", TRAINING_IMAGES, 0)
    validation = draw_phantoms(folder / "validation", VALIDATION_IMAGES, 1)
    take_reference_epoch = reference_epochs(folder / "train", folder / "validation", compute.device)
    take_reference_epoch()  # its workers start
    ours, reference = [], []
    for _ in range(rounds):
        reference.append(take_reference_epoch())
        ours.append(our_epoch(training, validation, compute))
    seconds, reference_seconds = statistics.median(ours), statistics.median(reference)
    print(
        f"an epoch of the cnn: reference {reference_seconds:.2f} s, ours {seconds:.2f} s "
        f"({TRAINING_IMAGES / seconds:.0f} images/s): {reference_seconds / seconds:.1f} times as "
        "fast"
    )
    return training, validation


@click.command()
@click.option("--rounds", default=5)
@click.option("--steps", default=8, help="Of each training on frozen features.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, exists=True),
    help="VGG16 weights; without them fresh ones, which take as long.",
)
@click.option("--device", default="cpu")
def main(rounds: int, steps: int, weights: Path | None, device: str) -> None:
    """Print both ratios."""
    compute = choose_compute(device)
    with tempfile.TemporaryDirectory() as folder:
        training, validation = compare_epochs(rounds, Path(folder), compute)
    compare_features(training, validation, steps, weights, compute)


def compare_features(
    training: TensorDataset,
    validation: TensorDataset,
    steps: int,
    weights: Path | None,
    compute: Compute,
    seeds: int = SEEDS,
) -> None:
    """Print how much faster trainings are whose features are looked up."""
    trunk = load_trunk("vgg16", weights or Path("none")).eval()
    images, labels = (tensor[:64] for tensor in training.tensors)
    arms = [TensorDataset(images[:32], labels[:32]), TensorDataset(images, labels)]
    short_validation = TensorDataset(*(tensor[:32] for tensor in validation.tensors))
    anew = seconds_without_store(arms, short_validation, trunk, steps, compute.device, seeds)
    once = seconds_with_store(arms, short_validation, trunk, steps, compute, seeds)
    print(
        f"{seeds} seed(s) of frozen VGG16 over both arms, {steps} steps each: every step anew "
        f"{anew:.1f} s, features once {once:.1f} s: {anew / once:.1f} times as fast"
    )


if __name__ == "__main__":
    main()
