"""What a careful person would watch while a GAN trains, said in plain words.

Two measures of a batch of samples against the reals of its class, both from pixels alone, so that they need no pretrained
network and mean the same at every step:

- diversity: mean distance between two samples over mean distance between two reals. One picture for every latent has 0.
- distance: sliced Wasserstein distance between small patches at every scale of a Laplacian pyramid (Karras et al. 2018,
  section 5), over the spread of the reals' patches. It sees blur, stripes and wrong gray levels, and ranks snapshots.

The reals are training and validation images. Nothing here ever sees a test image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from runtime.randomness import torch_generator

PATCH = 7  # side of the patches
PATCHES = 64  # per image and scale
DIRECTIONS = 128
QUANTILES = 200
COARSEST = 16  # side of the last level of the pyramid

LOW, HIGH = 0.3, 1.6  # a class of less diversity has collapsed or is not yet there; one of more is noise
PATIENCE = 1000  # steps that a class may stay outside before training is stopped
SATURATED = 0.02  # a discriminator loss below this teaches the generator nothing


def diversity(images: Tensor) -> float:
    """Mean Euclidean distance between two of the images (N, 1, S, S), in units of the gray levels they are in."""
    flat = images.flatten(1).float()
    distances = torch.pdist(flat)
    return distances.mean().item() if len(distances) else 0.0


class Reference:
    """The reals of one class, reduced to what samples are measured against."""

    def __init__(self, images: Tensor) -> None:
        """images (N, 1, S, S) in −1..1, on the CPU."""
        self.diversity = diversity(images)
        self.levels = []
        for level, patches in enumerate(_patches(images)):
            directions = torch.randn(patches.shape[1], DIRECTIONS, generator=torch_generator(0, "directions", level))
            directions /= directions.norm(dim=0)
            self.levels.append((directions, _quantiles(patches @ directions), patches.std()))

    def measure(self, samples: Tensor) -> tuple[float, float]:
        """Diversity relative to the reals, and distance from them, of samples (N, 1, S, S) in −1..1."""
        parts = [
            (_quantiles(patches @ directions) - quantiles).abs().mean() / spread
            for patches, (directions, quantiles, spread) in zip(_patches(samples), self.levels)
        ]
        return diversity(samples) / max(self.diversity, 1e-9), torch.stack(parts).mean().item()


def _patches(images: Tensor) -> list[Tensor]:
    """Random patches (N · PATCHES, PATCH²) of every level of the Laplacian pyramid, finest first."""
    levels = []
    while images.shape[-1] > COARSEST:
        low = avg_pool2d(images, 2)
        levels.append(images - interpolate(low, scale_factor=2))
        images = low
    found = []
    for number, level in enumerate([*levels, images]):
        windows = level.squeeze(1).unfold(1, PATCH, 1).unfold(2, PATCH, 1)  # (N, P, P, PATCH, PATCH)
        rows, columns = torch.randint(windows.shape[1], (2, len(level), PATCHES), generator=torch_generator(0, "patches", number))
        found.append(windows[torch.arange(len(level))[:, None], rows, columns].flatten(2).flatten(0, 1))
    return found


def _quantiles(values: Tensor) -> Tensor:
    """Quantiles (QUANTILES, D) of each column of values (N, D), the extremes left out."""
    ordered = values.sort(dim=0).values
    at = ((torch.arange(QUANTILES) + 0.5) / QUANTILES * len(ordered)).long()
    return ordered[at]


def healthy(diversities: Sequence[float]) -> bool:
    """Whether no class has collapsed, and none is noise."""
    return all(LOW <= value <= HIGH for value in diversities)


def diagnose(journal: Sequence[dict[str, Any]], classes: Sequence[str]) -> tuple[str | None, bool]:
    """What is wrong, if anything, in one line of plain words; and whether to go on would waste time.

    journal: the events so far; those with `diversity` (a list, one number per class) and with `d_loss` are looked at.
    """
    checks = [event for event in journal if "diversity" in event]
    if not checks:
        return None, False
    now = checks[-1]["step"]
    for index, name in enumerate(classes):
        values = [event["diversity"][index] for event in checks]
        if healthy(values[-1:]):
            continue
        well = [event["step"] for event, value in zip(checks, values) if healthy([value])]
        since = well[-1] if well else 0
        what = "collapsing" if values[-1] < LOW else "diverging"
        when = f"{what} since step {since}" if well else f"never near 1 in {now} steps"
        way_out = "try the preset small-data, a lower --learning-rate, or more images of this class"
        return f"class {name}: diversity {values[-1]:.2f} of the reals', {when}; {way_out}", now - since >= PATIENCE
    recent = [event["d_loss"] for event in journal if "d_loss" in event and event["step"] > now - PATIENCE]
    if now >= PATIENCE and recent and max(recent) < SATURATED:
        return (
            f"the discriminator tells every image since step {now - PATIENCE} (loss {recent[-1]:.3f}), so the generator learns nothing; "
            "try a higher --penalty or a lower --learning-rate"
        ), True
    return None, False
