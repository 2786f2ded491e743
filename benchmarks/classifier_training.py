"""Classifier training against torchvision's way, and frozen features reused against computed at every step.

    python benchmarks/classifier_training.py [--weights vgg16_features_fp16.pth]

The epoch: the cnn at 64 px on 648 phantom X-rays of 256 px, classically augmented, and one look at 92 validation images. The reference is built as
torchvision's reference script for classification is: ImageFolder, transforms on PIL images that do what our augmentation does (rotation, scale, shift,
brightness, contrast, sharpness, noise), a DataLoader with two workers that stay alive, fp32 in contiguous layout, the same network, optimizer and batch.

The features: frozen VGG16 at 112 px over both arms of a comparison and five seeds, each training with its validation and test images. Ours looks features up;
the reference runs the trunk on the images of every step, as a plain script does. 32 real and 32 synthetic images and few steps keep
it short; with more steps a training the ratio grows, since ours computes an image once whatever their number.

Rounds are interleaved; medians.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
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

from classifier.augment import BRIGHTNESS, CONTRAST, NOISE, ROTATION, SCALE, SHARPNESS, TRANSLATION
from classifier.config import ClassifierConfig
from classifier.features import FeatureStore
from classifier.networks import build
from classifier.predict import predict
from classifier.pretrained import Trunk, load_trunk
from classifier.train import train
from pipelines.data import phantom
from runtime.device import choose_compute
from runtime.run import create_run

SIZE, BATCH, CLASSES = 64, 32, ("covid", "normal")
TRAINING, VALIDATION = 648, 92
SEEDS = 5


def draw(folder: Path, count: int, seed: int) -> TensorDataset:
    """Phantoms as files of 256 px, a folder per class, and the same at 64 px as tensors."""
    cases = phantom.cases(count, seed)
    images, labels = [phantom.draw(case, seed) for case in cases], [case.label for case in cases]
    for number, (image, label) in enumerate(zip(images, labels)):
        path = folder / label / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    small = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            for image in images
        ]
    )
    return TensorDataset(
        torch.from_numpy(small).unsqueeze(1),
        torch.tensor([CLASSES.index(label) for label in labels]),
    )


class Noise(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return (image + torch.rand(()) * NOISE / 255 * torch.randn_like(image)).clamp(0, 1)


def reference_epochs(training: Path, validation: Path) -> Callable[[], float]:
    """Seconds of one epoch per call; workers, network and optimizer live on."""
    gray, normal = transforms.Grayscale(), transforms.Normalize([0.5], [0.25])
    changed = [
        transforms.Resize((SIZE, SIZE)),
        transforms.RandomAffine(
            ROTATION,
            translate=(TRANSLATION, TRANSLATION),
            scale=(1 - SCALE, 1 + SCALE),
            interpolation=transforms.InterpolationMode.BILINEAR,
        ),
        transforms.ColorJitter(BRIGHTNESS / 255, CONTRAST),
        transforms.RandomAdjustSharpness(1 + SHARPNESS, p=0.5),
    ]
    train_set = ImageFolder(
        training, transforms.Compose([gray, *changed, transforms.ToTensor(), Noise(), normal])
    )
    held_out = ImageFolder(
        validation,
        transforms.Compose([gray, transforms.Resize((SIZE, SIZE)), transforms.ToTensor(), normal]),
    )
    train_loader = DataLoader(
        train_set, BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )
    held_out_loader = DataLoader(held_out, BATCH, num_workers=2, persistent_workers=True)
    network = build("cnn", len(CLASSES)).head.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)

    def epoch() -> float:
        started = time.perf_counter()
        network.train()
        for images, labels in train_loader:
            loss = cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # as the script's metric logger reads it
        network.eval()
        with torch.inference_mode():
            for images, labels in held_out_loader:
                cross_entropy(network(images), labels).item()
        return time.perf_counter() - started

    return epoch


def our_epoch(training: TensorDataset, validation: TensorDataset) -> float:
    steps = -(-len(training) // BATCH)
    config = ClassifierConfig(steps=steps, batch_size=BATCH, evaluate_every=steps, augment=True)
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder), "classify-train", {})
        started = time.perf_counter()
        train(config, training, validation, run, choose_compute("cpu"), classes=CLASSES)
        return time.perf_counter() - started


def with_reuse(
    arms: list[TensorDataset], held_out: TensorDataset, trunk: Trunk, steps: int
) -> float:
    compute = choose_compute("cpu")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder) / "features")
        for seed in range(SEEDS):
            for arm in arms:
                config = ClassifierConfig(
                    arch="vgg16", steps=steps, evaluate_every=steps, seed=seed
                )
                trained = train(
                    config,
                    arm,
                    held_out,
                    create_run(Path(folder), "classify-train", {}),
                    compute,
                    classes=CLASSES,
                    trunk=trunk,
                    store=store,
                )
                predict(trained, held_out.tensors[0], compute, store)
    return time.perf_counter() - started


def without_reuse(
    arms: list[TensorDataset], held_out: TensorDataset, trunk: Trunk, steps: int
) -> float:
    started = time.perf_counter()
    for seed in range(SEEDS):
        for arm in arms:
            torch.manual_seed(seed)
            network = build("vgg16", len(CLASSES), trunk)
            optimizer = torch.optim.AdamW(network.head.parameters(), lr=1e-3, weight_decay=0.05)
            batches = iter(
                DataLoader(arm, BATCH, sampler=torch.randint(len(arm), (steps * BATCH,)).tolist())
            )
            for images, labels in batches:
                loss = cross_entropy(network.train()(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.inference_mode():
                for _ in ("validation", "test"):
                    network.eval()(held_out.tensors[0])
    return time.perf_counter() - started


@click.command()
@click.option("--rounds", default=5)
@click.option("--steps", default=8, help="Of each training on frozen features.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, exists=True),
    help="VGG16 weights; without them fresh ones, which take as long.",
)
def main(rounds: int, steps: int, weights: Path | None) -> None:
    """Print both ratios."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        training, validation = (
            draw(files / "train", TRAINING, 0),
            draw(files / "validation", VALIDATION, 1),
        )
        reference = reference_epochs(files / "train", files / "validation")
        reference()  # its workers start
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(reference())
            ours.append(our_epoch(training, validation))
    mine, plain = statistics.median(ours), statistics.median(theirs)
    print(
        f"an epoch of the cnn: reference {plain:.2f} s, ours {mine:.2f} s ({TRAINING / mine:.0f} images/s): {plain / mine:.1f} times as fast"
    )

    trunk = load_trunk("vgg16", weights or Path("none")).eval()
    images, labels = (tensor[:64] for tensor in training.tensors)
    arms = [TensorDataset(images[:32], labels[:32]), TensorDataset(images, labels)]
    held_out = TensorDataset(*(tensor[:32] for tensor in validation.tensors))
    plain, mine = (
        without_reuse(arms, held_out, trunk, steps),
        with_reuse(arms, held_out, trunk, steps),
    )
    print(
        f"{SEEDS} seeds of frozen VGG16 over both arms, {steps} steps each: every step anew {plain:.1f} s, features once {mine:.1f} s: {plain / mine:.1f} times as fast"
    )


if __name__ == "__main__":
    main()
