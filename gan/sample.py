"""Drawing images from a trained generator.

Sample i is a function of (generator, seed, i) alone. Its latent is keyed by (seed, i), and the
arithmetic runs in whole blocks of fixed size, since the rounding of a convolution may depend on
its batch size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor, nn

from gan.config import GanConfig
from gan.presets import build_generator
from runtime import checkpoint
from runtime.files import atomic, configuration
from runtime.randomness import torch_generator

BLOCK = 50  # samples computed together
MAX_CLASSES = 1000  # in a file that is read


@dataclass(frozen=True)
class TrainedGenerator:
    """A snapshot as `gan.train` left it, with what a careful user has to know of it."""

    network: nn.Module  # averaged weights, evaluation mode
    config: GanConfig
    classes: tuple[str, ...]
    step: int
    diversity: tuple[float, ...]  # per class, relative to the reals
    trained_on: tuple[str, ...]  # SHA-256 of every training image


def save_generator(path: Path, network: nn.Module, config: GanConfig, **about: object) -> None:
    checkpoint.save(
        path, "generator", {"config": asdict(config), "weights": network.state_dict(), **about}
    )


def load_generator(path: Path, device: torch.device) -> TrainedGenerator:
    """Read a generator file. Raises FileNotFoundError or ValueError, naming the file and what is wrong with it."""
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
    config, classes = configuration(GanConfig, state["config"], path), tuple(state["classes"])
    texts, numbers = [*classes, *state["trained_on"]], state["diversity"]
    if (
        not 1 <= len(classes) <= MAX_CLASSES
        or len(numbers) != len(classes)
        or not all(isinstance(one, str) for one in texts)
        or not all(isinstance(one, float) for one in numbers)
    ):
        raise ValueError(
            f"{path} does not say of which classes or images it is; it is damaged or not a file of cxr"
        )
    network = checkpoint.filled(
        lambda: build_generator(config, len(classes)), state["weights"], path
    )
    network = network.to(device, memory_format=torch.channels_last).eval()
    return TrainedGenerator(
        network, config, classes, state["step"], tuple(numbers), tuple(state["trained_on"])
    )


@torch.no_grad()
def drawn(
    network: nn.Module,
    labels: Sequence[int],
    config: GanConfig,
    *purpose: int | str,
    latents: Tensor | None = None,
) -> Tensor:
    """Gray samples of these classes as uint8 (N, 1, S, S) on the CPU, of latents (N, latent_size) ~ N(0, I), keyed by (seed, purpose) where not given.

    The network gets them in the scales of the configuration, wider than in training by sampling_scale: where the training of a generator
    has given up some of the variety of its images, this brings it back (the reverse of truncation, Brock et al. 2019, section 3.1).
    """
    if latents is None:
        latents = torch.randn(
            len(labels), config.latent_size, generator=torch_generator(config.seed, *purpose)
        )
    latents = latents * config.scale_of_samples
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    blocks = zip(latents.split(BLOCK), torch.tensor(labels).split(BLOCK))
    images = [
        to_uint8(network(latent.to(device), label.to(device)).mean(dim=1, keepdim=True)).cpu()
        for latent, label in blocks
    ]
    network.train(was_training)
    return torch.cat(images)


def sample_block(
    trained: TrainedGenerator, labels: Sequence[int], seed: int, block: int
) -> np.ndarray:
    """Samples block·BLOCK … block·BLOCK + BLOCK − 1 as uint8 (BLOCK, S, S), sample i of class labels[i mod len(labels)]."""
    config = trained.config
    indices = range(block * BLOCK, (block + 1) * BLOCK)
    latents = torch.stack(
        [
            torch.randn(config.latent_size, generator=torch_generator(seed, "sample", i))
            for i in indices
        ]
    )
    of_class = [labels[i % len(labels)] for i in indices]
    return drawn(trained.network, of_class, config, latents=latents).squeeze(1).numpy()


def interpolation(trained: TrainedGenerator, label: int, columns: int, number: int) -> np.ndarray:
    """Images uint8 (columns, S, S) of one class along the great circle between two latents, the pair keyed by `number`.

    Spherical, since Gaussian latents of many dimensions live near a sphere (White 2016).
    """
    config = trained.config
    ends = torch.randn(
        2, config.latent_size, generator=torch_generator(config.seed, "interpolation", number)
    )
    angle = torch.acos(torch.cosine_similarity(ends[0], ends[1], dim=0)).item()
    along = torch.linspace(0, angle, columns).unsqueeze(1)
    latents = (torch.sin(angle - along) * ends[0] + torch.sin(along) * ends[1]) / math.sin(angle)
    return drawn(trained.network, [label] * columns, config, latents=latents).squeeze(1).numpy()


def to_float(images: Tensor) -> Tensor:
    """uint8 gray levels to the −1..1 of the networks."""
    return images.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """−1..1 to the nearest uint8 gray level."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def write_grid(path: Path, images: np.ndarray, columns: int) -> None:
    """Write uint8 images (N, S, S) row by row as one PNG with thin gaps, marked as synthetic."""
    count, size, _ = images.shape
    rows, gap = -(-count // columns), max(size // 32, 1)
    sheet = np.zeros((rows * (size + gap) - gap, columns * (size + gap) - gap), np.uint8)
    for position, image in enumerate(images):
        top, left = (position // columns) * (size + gap), (position % columns) * (size + gap)
        sheet[top : top + size, left : left + size] = image
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "synthetic: drawn by a generative network, not a patient")
    with atomic(path) as file:
        Image.fromarray(sheet).save(file, "PNG", pnginfo=notes)
