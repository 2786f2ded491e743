"""Drawing images from a trained generator.

Sample i is a function of (generator, seed, i) alone. Its latent is keyed by (seed, i), and the
arithmetic runs in whole blocks of fixed size, since the rounding of a convolution may depend on
its batch size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor, nn

from gan.config import GanConfig
from gan.presets import build_generator
from gan.snapshots import Snapshot
from runtime import checkpoint
from runtime.files import atomic, parse_config
from runtime.randomness import torch_generator

BLOCK = 50  # samples computed together
MAX_CLASSES = 1000  # in a file that is read


@dataclass(frozen=True)
class TrainedGenerator:
    """A snapshot as `gan.train` left it, with what a careful user has to know of it.

    Attributes:
        network: The averaged weights, in evaluation mode.
        config: How it was trained.
        classes: The name of each label index.
        step: How many steps it was trained.
        diversity: Of each class, relative to the reals'; 1 is as diverse.
        trained_on: SHA-256 of every training image.
    """

    network: nn.Module
    config: GanConfig
    classes: tuple[str, ...]
    step: int
    diversity: tuple[float, ...]
    trained_on: tuple[str, ...]

    def with_sampling_scale(self, scale: float) -> TrainedGenerator:
        """Return the generator with latents of this scale, in that of training."""
        return replace(self, config=replace(self.config, sampling_scale=scale))


def save_generator(
    path: Path,
    network: nn.Module,
    config: GanConfig,
    snapshot: Snapshot,
    *,
    classes: Sequence[str],
    trained_on: Sequence[str],
) -> None:
    """Write a generator file: weights, configuration, score, classes and training images."""
    state = {
        "config": asdict(config),
        "weights": network.state_dict(),
        "step": snapshot.step,
        "diversity": list(snapshot.diversity),
        "distance": list(snapshot.distance),
        "classes": list(classes),
        "trained_on": list(trained_on),
    }
    checkpoint.save(path, "generator", state)


def load_generator(path: Path | str, device: torch.device | str = "cpu") -> TrainedGenerator:
    """Read a generator file, onto a device.

    Raises FileNotFoundError when it is absent, and ValueError that names it when it is damaged or
    no generator.
    """
    path = Path(path)
    state = checkpoint.load(
        path,
        "generator",
        config=dict,
        weights=dict,
        classes=list,
        step=int,
        diversity=list,
        trained_on=list,
    )
    config, classes = parse_config(GanConfig, state["config"], path), tuple(state["classes"])
    texts, numbers = [*classes, *state["trained_on"]], state["diversity"]
    if (
        not 1 <= len(classes) <= MAX_CLASSES
        or len(numbers) != len(classes)
        or not all(isinstance(text, str) for text in texts)
        or not all(isinstance(number, float) for number in numbers)
    ):
        raise ValueError(
            f"{path} does not say of which classes or images it is; it is damaged or not a file "
            "of cxr"
        )
    network = checkpoint.build_with_weights(
        lambda: build_generator(config, len(classes)), state["weights"], path
    )
    network = network.to(device).to(memory_format=torch.channels_last).eval()
    return TrainedGenerator(
        network, config, classes, state["step"], tuple(numbers), tuple(state["trained_on"])
    )


@torch.no_grad()
def draw_samples(
    network: nn.Module,
    labels: Sequence[int],
    config: GanConfig,
    *purpose: int | str,
    latents: Tensor | None = None,
) -> Tensor:
    """Draw gray samples of these N classes.

    The network gets the latents in the scales of the configuration, wider than in training by
    sampling_scale: where the training of a generator has given up some of the variety of its
    images, this brings it back (the reverse of truncation, Brock et al. 2019, section 3.1).

    Args:
        network: A generator; it is in evaluation mode for the while.
        labels: The class index of each sample.
        config: The generator's.
        purpose: With the configuration's seed the key of the latents, where they are not given.
        latents: (N, latent_size) ~ N(0, I).

    Returns:
        uint8 (N, 1, S, S) on the CPU.
    """
    if latents is None:
        latents = torch.randn(
            len(labels), config.latent_size, generator=torch_generator(config.seed, *purpose)
        )
    latents = latents * config.sample_latent_std
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    blocks = zip(latents.split(BLOCK), torch.tensor(labels).split(BLOCK), strict=True)
    images = [
        to_uint8(network(latent.to(device), label.to(device)).mean(dim=1, keepdim=True)).cpu()
        for latent, label in blocks
    ]
    network.train(was_training)
    return torch.cat(images)


def sample_block(
    trained: TrainedGenerator, labels: Sequence[int], seed: int, block: int
) -> np.ndarray:
    """Draw samples block · BLOCK … block · BLOCK + BLOCK − 1 as uint8 (BLOCK, S, S).

    Sample i is of class labels[i mod len(labels)].
    """
    config = trained.config
    indices = range(block * BLOCK, (block + 1) * BLOCK)
    latents = torch.stack(
        [
            torch.randn(config.latent_size, generator=torch_generator(seed, "sample", i))
            for i in indices
        ]
    )  # (BLOCK, latent_size)
    block_labels = [labels[i % len(labels)] for i in indices]
    return draw_samples(trained.network, block_labels, config, latents=latents).squeeze(1).numpy()


def draw_interpolation(
    trained: TrainedGenerator, label: int, columns: int, number: int
) -> np.ndarray:
    """Draw images of one class along the great circle between two latents.

    Spherical, since Gaussian latents of many dimensions live near a sphere (White 2016). The last
    two numbers, which choose black borders, are alike in both.

    Args:
        trained: The generator.
        label: The class index.
        columns: How many images.
        number: With the generator's seed the key of the two latents.

    Returns:
        uint8 (columns, S, S).
    """
    config = trained.config
    random = torch_generator(config.seed, "interpolation", number)
    ends = torch.randn(2, config.latent_size, generator=random)
    ends[1, -2:] = ends[0, -2:]
    angle = torch.acos(torch.cosine_similarity(ends[0], ends[1], dim=0)).item()
    along = torch.linspace(0, angle, columns).unsqueeze(1)  # (columns, 1)
    latents = (torch.sin(angle - along) * ends[0] + torch.sin(along) * ends[1]) / math.sin(angle)
    labels = [label] * columns
    return draw_samples(trained.network, labels, config, latents=latents).squeeze(1).numpy()


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 gray levels to the −1..1 of the networks."""
    return images.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Convert −1..1 to the nearest uint8 gray level."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def write_grid(path: Path, images: np.ndarray, columns: int) -> None:
    """Write uint8 images (N, S, S) row by row as one PNG with thin gaps, marked as synthetic."""
    count, size, _ = images.shape
    rows, gap = math.ceil(count / columns), max(size // 32, 1)
    sheet = np.zeros((rows * (size + gap) - gap, columns * (size + gap) - gap), np.uint8)
    for position, image in enumerate(images):
        top, left = (position // columns) * (size + gap), (position % columns) * (size + gap)
        sheet[top : top + size, left : left + size] = image
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "synthetic: drawn by a generative network, not a patient")
    with atomic(path) as file:
        Image.fromarray(sheet).save(file, "PNG", pnginfo=notes)
