"""What a training changes as it goes; all of it is in a checkpoint, for a run that is resumed.

The learning rate is constant and falls linearly to 0 at the end (the schedule of Hu et al. 2024,
arXiv:2404.06395, section 4).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam

from gan.config import GanConfig
from gan.fbgan import is_backward
from gan.growth import Growing
from gan.networks import Generator
from gan.presets import build_discriminator, build_generator
from gan.sample import to_float
from runtime.device import Compute
from runtime.randomness import key

NOT_COOLING = -1
EXCHANGE_EVERY = 10  # steps between two looks of several processes at the time


def build_networks(
    config: GanConfig, classes: int, images: Tensor, labels: Tensor
) -> tuple[nn.Module, nn.Module]:
    """Build generator and discriminator on the CPU, with the weights that the seed gives.

    Args:
        config: The configuration.
        classes: How many there are.
        images: The training images, (N, 1, S, S) uint8; the generator of small-data starts as their
            principal components, and has their black borders.
        labels: (N,).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.seed, "networks"))
        generator = build_generator(config, classes)
        discriminator = build_discriminator(config, classes)
    if isinstance(generator, Generator):
        generator.fit_pca(to_float(images), labels)
        generator.borders.fit(images, labels)
    return generator, discriminator


@dataclass
class TrainingState:
    """Networks, optimizers and how far they have come.

    Attributes:
        generator, discriminator: On the device, every parameter with a gradient.
        average: The generator that samples are drawn from: an average over the steps, or
            `generator` itself.
        generator_optimizer, discriminator_optimizer: Adam.
        learning_rate: Of both, for the next step, ().
        average_weight: Of the generator of the next step in the average, ().
        encodes: Whether the next step draws its fakes from encoded reals, as fbgan may.
        totals: Sums since the last log line: discriminator loss, generator loss, logit gap, (3,).
        step: Steps done.
        grown_at: The step at which the networks came to their present side.
        seconds_before: Training time of the sessions before this one.
        cooling_from: The step at which the learning rate began to fall, or NOT_COOLING.
        end: The step at which it is 0, and training ends.
    """

    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module
    generator_optimizer: Adam
    discriminator_optimizer: Adam
    learning_rate: Tensor
    average_weight: Tensor
    encodes: bool
    totals: Tensor
    step: int
    grown_at: int
    seconds_before: float
    cooling_from: int
    end: int

    @classmethod
    def initial(
        cls,
        config: GanConfig,
        generator: nn.Module,
        discriminator: nn.Module,
        device: torch.device,
    ) -> TrainingState:
        """Take fresh networks to the device, before their first step, at their first side."""
        for network in (generator, discriminator):
            if isinstance(network, Growing):
                network.growth = 0.0
        generator = generator.to(device).to(memory_format=torch.channels_last)
        discriminator = discriminator.to(device).to(memory_format=torch.channels_last)
        average = copy.deepcopy(generator).requires_grad_(False) if config.ema_decay else generator
        # A CPU works with the number itself, CUDA with its float32.
        precise = torch.float64 if device.type == "cpu" else torch.float32
        learning_rate = torch.tensor(config.learning_rate, dtype=precise, device=device)
        return cls(
            generator=generator,
            discriminator=discriminator,
            average=average,
            generator_optimizer=_adam(config, generator, learning_rate),
            discriminator_optimizer=_adam(config, discriminator, learning_rate),
            learning_rate=learning_rate,
            average_weight=torch.zeros((), device=device),
            encodes=False,
            totals=torch.zeros(3, device=device),
            step=0,
            grown_at=0,
            seconds_before=0.0,
            cooling_from=NOT_COOLING,
            end=config.steps,
        )

    @property
    def parts(self) -> Mapping[str, nn.Module | Adam]:
        """Everything that has a state_dict, by its name in a checkpoint."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    @property
    def is_cooling(self) -> bool:
        """Whether the learning rate is falling."""
        return self.cooling_from != NOT_COOLING

    @property
    def side(self) -> int | None:
        """The side of what the networks draw and judge, None where they do not grow."""
        generator = self.generator
        if not isinstance(generator, Growing) or len(generator.sides) == 1:
            return None
        return generator.side

    def grow(self, growth: float) -> float:
        """Let networks that can grow as far, never back; return their growth, 0 where none can.

        Where a new side begins both optimizers start anew, as in the code of Karras et al. 2018:
        what they know is of other gradients.
        """
        if not isinstance(self.generator, Growing):
            return 0.0
        growth = max(growth, self.generator.growth)
        if math.ceil(growth) > math.ceil(self.generator.growth):
            self.grown_at = self.step
            self.generator_optimizer.state.clear()
            self.discriminator_optimizer.state.clear()
        for network in (self.generator, self.discriminator, self.average):
            network.growth = growth  # type: ignore[assignment]  # they grow together
        return growth

    def prepare_step(self, config: GanConfig, time_share: float = 0.0) -> None:
        """Set what of the next step depends on how far the training has come.

        time_share: How much of the time limit is over.

        The learning rate is that of the configuration, or below it while cooling. The average
        follows the generator faster in the first steps of each side.
        """
        left = 1.0
        if self.is_cooling:
            left = (self.end - self.step) / max(self.end - self.cooling_from, 1)
        self.learning_rate.fill_(config.learning_rate * left)
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            optimizer.param_groups[0]["lr"] = self.learning_rate  # a resumed one has another
        self.encodes = is_backward(config, self.step, time_share)
        steps = self.step - self.grown_at
        self.average_weight.fill_(1 - min(config.ema_decay, (1 + steps) / (10 + steps)))

    @torch.no_grad()  # or each step would hang on the one before, in memory, to the end
    def update_average(self) -> None:
        """Move the average towards the generator."""
        for averaged, weight in zip(
            self.average.parameters(), self.generator.parameters(), strict=True
        ):
            averaged.lerp_(weight, self.average_weight)


def _adam(config: GanConfig, network: nn.Module, learning_rate: Tensor) -> Adam:
    device = learning_rate.device.type
    return Adam(
        network.parameters(),
        lr=learning_rate,
        betas=(config.beta1, config.beta2),
        fused=device != "mps",
        capturable=device == "cuda",
    )


class Clock:
    """The training time of a run, over all its sessions, and the limit on it."""

    def __init__(self, seconds_before: float, limit: float, compute: Compute) -> None:
        """Start it. seconds_before: of earlier sessions. limit: in seconds, perhaps infinite."""
        self._seconds_before, self._limit, self._compute = seconds_before, limit, compute
        self._started = time.monotonic()
        self._asked, self._share = 0, 0.0

    def seconds(self) -> float:
        """Return the training time so far."""
        return self._seconds_before + time.monotonic() - self._started

    def share(self) -> float:
        """Return the share of the limit that is over, alike in all processes.

        To be asked at each step. Several processes exchange it only every EXCHANGE_EVERY times,
        since each has to wait for the others then.
        """
        if self._limit == math.inf:
            return 0.0
        if self._compute.world_size == 1 or self._asked % EXCHANGE_EVERY == 0:
            self._share = self._compute.agree(self.seconds() / self._limit)
        self._asked += 1
        return self._share


def cooldown_end(config: GanConfig, state: TrainingState, time_share: float) -> int | None:
    """Return the step to end at if the learning rate begins to fall now; None if it does not.

    It falls over the last share `cooldown` of the steps, or of the time where that is short.
    """
    if not config.cooldown or state.is_cooling:
        return None
    steady_share = 1 - config.cooldown
    if time_share >= steady_share:
        return min(config.steps, max(state.step + 1, round(state.step / steady_share)))
    return config.steps if state.step >= round(config.steps * steady_share) else None
