"""What a careful person would watch while a GAN trains, said in plain words.

Two measures of a batch of samples against the reals of its class, both from pixels alone, so that they need no pretrained
network and mean the same at every step:

- diversity: mean distance between two samples over mean distance between two reals. One picture for every latent has 0.
- distance: Fréchet distance between Gaussians fitted to simple features of samples and reals: energy of gradients by orientation
  in a grid of cells at every scale (as in HOG, Dalal & Triggs 2005), and the image at 16×16 pixels, each in units of its spread over
  the reals. It sees blur, noise, wrong anatomy and wrong gray levels, and ranks snapshots. Over 17 snapshots of different
  recipes its rank correlation with the Fréchet distance in VGG16 features was 0.91 and 0.83 (two classes); that of the sliced Wasserstein
  distance between patches (Karras et al. 2018, section 5) was 0.30 and 0.40.

The reals are training and validation images. Nothing here ever sees a test image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

CELLS = 8  # gradients are summed in CELLS × CELLS cells
ORIENTATIONS = 4
COARSEST = 16  # side of the last scale

LOW, HIGH = (
    0.3,
    1.6,
)  # a class of less diversity has collapsed or is not yet there; one of more is noise
UNHEALTHY_STEPS = 1000  # steps that a class may stay outside before training is stopped
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
        features = _features(images)
        self.spread = features.std(dim=0).clamp(min=1e-3)
        self.mean, self.scatter = _fitted(features / self.spread)

    def measure(self, samples: Tensor) -> tuple[float, float]:
        """Diversity relative to the reals, and distance from them, of samples (N, 1, S, S) in −1..1. Distances compare at equal N."""
        mean, scatter = _fitted(_features(samples) / self.spread)
        # tr √(Σ₁Σ₂) is the nuclear norm of the product of the centred feature matrices, which have fewer rows than columns
        overlap = torch.linalg.svdvals(self.scatter @ scatter.T).sum()
        distance = (
            (self.mean - mean).square().sum()
            + self.scatter.square().sum()
            + scatter.square().sum()
            - 2 * overlap
        )
        return diversity(samples) / max(self.diversity, 1e-9), distance.item()


def _features(images: Tensor) -> Tensor:
    """Features (N, D) of images (N, 1, S, S)."""
    found = [adaptive_avg_pool2d(images, COARSEST).flatten(1)]
    while images.shape[-1] >= COARSEST:
        right = images[..., :-1, 1:] - images[..., :-1, :-1]
        down = images[..., 1:, :-1] - images[..., :-1, :-1]
        strength, angle = torch.hypot(right, down), torch.atan2(down, right)
        for number in range(ORIENTATIONS):
            along = torch.relu(torch.cos(2 * angle - number * 2 * math.pi / ORIENTATIONS))
            found.append(adaptive_avg_pool2d(along * strength, CELLS).flatten(1))
        images = avg_pool2d(images, 2)
    return torch.cat(found, dim=1)


def _fitted(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and centred features over √(N − 1) (N, D), whose product with itself is the covariance; in float64."""
    features = features.double()
    mean = features.mean(dim=0)
    return mean, (features - mean) / math.sqrt(max(len(features) - 1, 1))


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
        if not well and now < UNHEALTHY_STEPS / 4:
            continue  # networks that start from noise need a while
        what = "collapsing" if values[-1] < LOW else "diverging"
        when = f"{what} since step {since}" if well else f"never near 1 in {now} steps"
        way_out = "try the preset small-data, a lower --learning-rate, or more images of this class"
        return (
            f"class {name}: diversity {values[-1]:.2f} of the reals', {when}; {way_out}",
            now - since >= UNHEALTHY_STEPS,
        )
    recent = [
        event["d_loss"]
        for event in journal
        if "d_loss" in event and event["step"] > now - UNHEALTHY_STEPS
    ]
    if now >= UNHEALTHY_STEPS and recent and max(recent) < SATURATED:
        return (
            f"the discriminator tells every image since step {now - UNHEALTHY_STEPS} (loss {recent[-1]:.3f}), so the generator learns nothing; "
            "try a higher --penalty or a lower --learning-rate"
        ), True
    return None, False
