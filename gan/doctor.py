"""What a careful person would watch while a GAN trains, said in plain words.

Two measures of a batch of samples against the reals of its class, both from pixels alone, so that
they need no pretrained network and mean the same at every step:

- diversity: mean distance between two samples over mean distance between two reals. One picture for
  every latent has 0.
- distance: Fréchet distance between Gaussians fitted to simple features of samples and reals:
  energy of gradients by orientation in a grid of cells at every scale (as in HOG, Dalal & Triggs
  2005), and the image at 16×16 pixels, each in units of its spread over the reals. It sees blur,
  noise, wrong anatomy and wrong gray levels, and ranks snapshots. Over 17 snapshots of different
  recipes its rank correlation with the Fréchet distance in VGG16 features was 0.91 and 0.83 (two
  classes); that of the sliced Wasserstein distance between patches (Karras et al. 2018, section 5)
  was 0.30 and 0.40.

The reals are training and validation images. Nothing here ever sees a test image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

CELLS = 8  # gradients are summed in CELLS × CELLS cells
ORIENTATIONS = 4
COARSEST_SIDE = 16  # of the last scale, in pixels

MIN_DIVERSITY = 0.3  # a class of less has collapsed, or is not yet there
MAX_DIVERSITY = 1.6  # a class of more is noise
UNHEALTHY_STEPS = 1000  # steps that a class may stay outside before training is stopped
SATURATED_LOSS = 0.02  # a discriminator loss below this teaches the generator nothing
# A distance so many times the least so far is a training gone wrong: in 36 trainings, of the
# defaults and of changes to them, it was never more than 1.05 times.
SPOILT = 1.25


def diversity(images: Tensor) -> float:
    """Return the mean Euclidean distance between two of the images (N, 1, S, S), in their units."""
    distances = torch.pdist(images.flatten(1).float())
    return distances.mean().item() if len(distances) else 0.0


@dataclass(frozen=True)
class Finding:
    """Something is wrong with a training.

    Attributes:
        text: What it is and what might help, in one line.
        is_hopeless: Whether to go on would waste time.
    """

    text: str
    is_hopeless: bool


class Reference:
    """The reals of one class, reduced to what samples are measured against.

    Images may be on any device; what is made of their features is computed on the CPU.
    """

    def __init__(self, images: Tensor) -> None:
        """Measure reals (N, 1, S, S) in −1..1."""
        self._diversity = diversity(images)
        features = extract_features(images).cpu()
        self.spread = features.std(dim=0).clamp(min=1e-3)  # (D,)
        self.mean, self.scatter = _fit_gaussian(features / self.spread)

    def diversity(self, samples: Tensor) -> float:
        """Return the diversity of samples (N, 1, S, S) in −1..1 relative to the reals."""
        return diversity(samples) / max(self._diversity, 1e-9)

    def distance(self, samples: Tensor) -> float:
        """Return the distance of samples (N, 1, S, S) in −1..1 from the reals.

        It is ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 √(Σ₁Σ₂)) (Dowson & Landau 1982), in squared units of the
        features' spread. It depends on N: compare only at equal N.
        """
        mean, scatter = _fit_gaussian(extract_features(samples).cpu() / self.spread)
        # tr √(Σ₁Σ₂) is the nuclear norm of the product of the centred feature matrices, which have
        # fewer rows than columns.
        overlap = torch.linalg.svdvals(self.scatter @ scatter.T).sum()
        distance = (
            (self.mean - mean).square().sum()
            + self.scatter.square().sum()
            + scatter.square().sum()
            - 2 * overlap
        )
        return distance.item()


def extract_features(images: Tensor) -> Tensor:
    """Return the features (N, D) of images (N, 1, S, S) that distances are measured in."""
    features = [adaptive_avg_pool2d(images, COARSEST_SIDE).flatten(1)]
    while images.shape[-1] >= COARSEST_SIDE:
        right = images[..., :-1, 1:] - images[..., :-1, :-1]
        down = images[..., 1:, :-1] - images[..., :-1, :-1]
        strength, angle = torch.hypot(right, down), torch.atan2(down, right)
        for number in range(ORIENTATIONS):
            along = torch.relu(torch.cos(2 * angle - number * 2 * math.pi / ORIENTATIONS))
            features.append(adaptive_avg_pool2d(along * strength, CELLS).flatten(1))
        images = avg_pool2d(images, 2)
    return torch.cat(features, dim=1)


def _fit_gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) of features (N, D), and the centred ones over √(N − 1), in float64.

    The latter (N, D), transposed times itself, is the covariance.
    """
    features = features.double()
    mean = features.mean(dim=0)
    return mean, (features - mean) / math.sqrt(max(len(features) - 1, 1))


def is_healthy(diversities: Sequence[float]) -> bool:
    """Say whether no class has collapsed, and none is noise."""
    return all(MIN_DIVERSITY <= value <= MAX_DIVERSITY for value in diversities)


def diagnose(journal: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Finding | None:
    """Say what is wrong with a training so far, if anything.

    The words also stand in the run's journal, so they keep their form.

    Args:
        journal: The events so far, oldest first. Those with `diversity` or `distance` (lists, one
            number per class) and those with `d_loss` are looked at; each has its `step`.
        classes: The name of each class.
    """
    checks = [event for event in journal if "diversity" in event]
    if not checks:
        return None
    steps = [event["step"] for event in checks]
    for index, name in enumerate(classes):
        finding = _diagnose_class(name, steps, [event["diversity"][index] for event in checks])
        if finding:
            return finding
    losses = [(event["step"], event["d_loss"]) for event in journal if "d_loss" in event]
    distances = [
        (sum(event["distance"]), event["step"]) for event in journal if "distance" in event
    ]
    return _diagnose_discriminator(steps[-1], losses) or _diagnose_course(distances)


def _diagnose_class(
    name: str, steps: Sequence[int], diversities: Sequence[float]
) -> Finding | None:
    """Look at a class's diversity at each of these steps."""
    now, last = steps[-1], diversities[-1]
    if is_healthy([last]):
        return None
    healthy_steps = [
        step for step, value in zip(steps, diversities, strict=True) if is_healthy([value])
    ]
    since = healthy_steps[-1] if healthy_steps else 0
    if not healthy_steps and now < UNHEALTHY_STEPS / 4:
        return None  # networks that start from noise need a while
    change = "collapsing" if last < MIN_DIVERSITY else "diverging"
    when = f"{change} since step {since}" if healthy_steps else f"never near 1 in {now} steps"
    way_out = "try the preset small-data, a lower --learning-rate, or more images of this class"
    return Finding(
        f"class {name}: diversity {last:.2f} of the reals', {when}; {way_out}",
        is_hopeless=now - since >= UNHEALTHY_STEPS,
    )


def _diagnose_discriminator(now: int, losses: Sequence[tuple[int, float]]) -> Finding | None:
    """Look at the discriminator's losses so far, each with its step.

    A Wasserstein loss, which goes below 0 as no cross-entropy does, cannot saturate.
    """
    since = now - UNHEALTHY_STEPS
    recent = [loss for step, loss in losses if step > since]
    if since < 0 or not recent or max(recent) >= SATURATED_LOSS or min(recent) < 0:
        return None
    return Finding(
        f"the discriminator tells every image since step {since} (loss {recent[-1]:.3f}), so the "
        "generator learns nothing; try a higher --penalty or a lower --learning-rate",
        is_hopeless=True,
    )


def _diagnose_course(distances: Sequence[tuple[float, int]]) -> Finding | None:
    """Look at the distance of each snapshot, each with its step: two in a row may be spoilt."""
    if len(distances) < 3:
        return None
    least, best = min(distances)
    if min(distance for distance, _ in distances[-2:]) < SPOILT * least:
        return None
    return Finding(
        f"samples are {distances[-1][0] / least:.1f} times as far from the reals as they were at "
        f"step {best}; try a lower --learning-rate or a higher --penalty",
        is_hopeless=False,
    )
