"""What a GAN is trained on: the images, and each step's batch of them with its random numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gan.augment import count_draws
from gan.config import GanConfig
from gan.growth import fade_in, split_growth
from gan.losses import PENALTY_STRIDE
from gan.resize import resize
from gan.sample import to_float, to_uint8
from runtime.dataset import stack_dataset
from runtime.device import Compute
from runtime.options import OptionError
from runtime.randomness import batch_indices, torch_generator
from runtime.recorded_step import TensorBatch

RESIZED = 256  # reals that are resized together
STEPS_AHEAD = 64  # whose images are chosen together, so that the device is seldom waited for


@dataclass(frozen=True)
class TrainingData:
    """The images of one training.

    Attributes:
        training: (uint8 1×S×S image, label index) pairs to train on, S the networks' last side.
        classes: The name of each label index.
        trained_on: SHA-256 of each training image, kept in every generator file.
        validation: More of such pairs, never trained on. Samples are measured against these and the
            training images together.
    """

    training: Dataset[Any]
    classes: Sequence[str]
    trained_on: Sequence[str]
    validation: Dataset[Any] | None = None


def stack_training_images(data: TrainingData, config: GanConfig) -> tuple[Tensor, Tensor]:
    """Return the training images (N, 1, S, S) uint8 and their labels (N,), on the CPU.

    Raises ValueError when there is none, or when they are not of the networks' last side.
    """
    images, labels = stack_dataset(data.training)
    expected = (1, config.sides[-1], config.sides[-1])
    if images.shape[1:] != expected:
        raise ValueError(f"images are {tuple(images.shape[1:])}, expected {expected}")
    return images, labels


@dataclass(frozen=True)
class Batch(TensorBatch):
    """A process's part of one step's batch: b = batch_size / world_size images.

    S is the side that the networks have at this step.

    Attributes:
        reals: (b, C, S, S) in −1..1.
        labels: The class of each real, and of its fake, (b,).
        latents: (b, latent_size), in the scale of training.
        draws: Random numbers of the augmentation of reals and of fakes, (2, b, `count_draws`).
        noise: Directions of the gradient penalties, (2P, C, S, S), P = ⌈b / PENALTY_STRIDE⌉.
    """

    reals: Tensor
    labels: Tensor
    latents: Tensor
    draws: Tensor
    noise: Tensor


class BatchSampler:
    """Draws the batch of any step; of several processes each gets its part of the same batch.

    Every random number is keyed by (seed, purpose, step), so that a resumed run draws what an
    undisturbed one does.
    """

    def __init__(self, config: GanConfig, reals: Tensor, labels: Tensor, compute: Compute) -> None:
        """Take reals (N, 1, S, S) uint8 and labels (N,) to the device.

        Raises OptionError when the processes cannot share a batch equally.
        """
        world_size, batch_size = compute.world_size, config.batch_size
        if world_size > 1 and batch_size % (PENALTY_STRIDE * world_size):
            raise OptionError(
                "batch_size",
                f"{batch_size} over {world_size} processes",
                f"expected a multiple of {PENALTY_STRIDE * world_size}",
            )
        self.config = config
        self.reals, self.labels = reals.to(compute.device), labels.to(compute.device)
        self._num_draws = count_draws(len(reals))
        self._resized = self.reals
        self._chosen_block, self._chosen = -1, torch.empty(0)
        per_rank = batch_size // world_size
        self.local_batch = slice(compute.rank * per_rank, (compute.rank + 1) * per_rank)
        self.num_probes = math.ceil(batch_size / PENALTY_STRIDE)  # of all processes
        probes_per_rank = math.ceil(per_rank / PENALTY_STRIDE)
        self.local_probes = slice(
            compute.rank * probes_per_rank, (compute.rank + 1) * probes_per_rank
        )

    def draw(self, step: int, growth: float) -> Batch:
        """Draw this process's part of the batch of a step, counted from 0, at this growth."""
        config, device = self.config, self.reals.device
        stage, fade = split_growth(growth)
        reals = self._reals_at(config.sides[stage])  # (N, 1, S, S)
        random = torch_generator(config.seed, "step", step, device=device)
        local = self._choose_images(step)[self.local_batch]  # (b,)
        latents = torch.randn(
            config.batch_size, config.latent_size, generator=random, device=device
        )
        draws = torch.rand(2, config.batch_size, self._num_draws, generator=random, device=device)
        image_shape = (config.channels, *reals.shape[2:])
        noise = torch.randn(2, self.num_probes, *image_shape, generator=random, device=device)
        return Batch(
            reals=fade_in(to_float(reals[local]), fade).expand(-1, config.channels, -1, -1),
            labels=self.labels[local],
            latents=latents[self.local_batch] * config.latent_scale,
            draws=draws[:, self.local_batch],
            noise=noise[:, self.local_probes].flatten(0, 1),
        )

    def _choose_images(self, step: int) -> Tensor:
        """Return the places (batch_size,) of a step's images, on the device."""
        block, position = divmod(step, STEPS_AHEAD)
        if block != self._chosen_block:
            count = self.config.batch_size * STEPS_AHEAD
            chosen = batch_indices(len(self.reals), count, block, self.config.seed)
            self._chosen = chosen.view(STEPS_AHEAD, -1).to(self.reals.device)
            self._chosen_block = block
        return self._chosen[position]

    def _reals_at(self, side: int) -> Tensor:
        """Return all reals at this side, uint8 (N, 1, side, side); those of one side are kept."""
        if self._resized.shape[-1] != side:
            self._resized = torch.cat(
                [to_uint8(resize(to_float(part), side)) for part in self.reals.split(RESIZED)]
            )
        return self._resized
