"""Drawing images from a trained generator.

Sample i is a function of (generator, seed, i) alone. Its latent is keyed by (seed, i), and the
arithmetic runs in whole blocks of fixed size, since the rounding of a convolution may depend on
its batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from gan.networks import Generator
from runtime import checkpoint
from runtime.files import atomic
from runtime.randomness import torch_generator

BLOCK = 50  # samples computed together


@dataclass(frozen=True)
class TrainedGenerator:
    """A generator as `gan.train` left it, with what a careful user has to know of it."""

    network: Generator  # averaged weights, evaluation mode
    image_size: int
    classes: tuple[str, ...]
    step: int
    trained_on: tuple[str, ...]  # SHA-256 of every training image


def save_generator(path: Path, network: Generator, *, config: dict, classes: Sequence[str], step: int, trained_on: Sequence[str]) -> None:
    state = {"config": config, "classes": list(classes), "step": step, "trained_on": list(trained_on), "weights": network.state_dict()}
    checkpoint.save(path, "generator", state)


def load_generator(path: Path, device: torch.device) -> TrainedGenerator:
    """Read a generator file. Raises FileNotFoundError or ValueError, naming the file and what is wrong with it."""
    state = checkpoint.load(path, "generator")
    config, classes = state["config"], tuple(state["classes"])
    network = Generator(image_size=config["image_size"], classes=len(classes), latent_size=config["latent_size"], width=config["width"])
    network.load_state_dict(state["weights"])
    network = network.to(device, memory_format=torch.channels_last).eval()
    return TrainedGenerator(network, config["image_size"], classes, state["step"], tuple(state["trained_on"]))


@torch.no_grad()
def sample_block(network: Generator, labels: Sequence[int], seed: int, block: int) -> np.ndarray:
    """Samples block·BLOCK … block·BLOCK + BLOCK − 1 as uint8 (BLOCK, S, S), sample i of class labels[i mod len(labels)]."""
    device = next(network.parameters()).device
    indices = range(block * BLOCK, (block + 1) * BLOCK)
    latents = torch.stack([torch.randn(network.latent_size, generator=torch_generator(seed, "sample", i)) for i in indices])
    chosen = torch.tensor([labels[i % len(labels)] for i in indices])
    return to_uint8(network(latents.to(device), chosen.to(device))).squeeze(1).cpu().numpy()


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
