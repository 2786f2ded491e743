"""What the training of a lung network changes as it goes; all of it is in its checkpoint."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim import Adam

from gan.segan.config import LungsConfig
from gan.segan.networks import Critic, Segmentor
from runtime import checkpoint
from runtime.device import Compute
from runtime.randomness import key
from runtime.run import Run

LUNGS_CHECKPOINT = "lungs checkpoint"
AVERAGE_DECAY = 0.99  # per step, of the segmentor that is kept
CRITIC_RATE = 2e-4  # the critic's learning rate
CRITIC_WIDTH = 16


@dataclass
class TrainingState:
    """Networks, optimizers and how far they have come.

    Attributes:
        segmentor, critic: On the device; without a critic's loss the critic stays as it began.
        average: The segmentor that is kept: an average of weights and statistics over the steps.
        segmentor_optimizer, critic_optimizer: Adam; the critic's climbs.
        totals: Pixel loss and multi-scale L1 summed since the last look, (2,).
        best: Weights of the average with the highest validation Dice.
        best_dice, best_step: Of these weights.
        step: Steps done.
        seconds_before: Training time of the sessions before this one.
    """

    segmentor: Segmentor
    critic: Critic
    average: Segmentor
    segmentor_optimizer: Adam
    critic_optimizer: Adam
    totals: torch.Tensor
    best: dict[str, torch.Tensor]
    best_dice: float = -1.0
    best_step: int = 0
    step: int = 0
    seconds_before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls,
        config: LungsConfig,
        trained_on: Sequence[str],
        run: Run,
        compute: Compute,
        start: Segmentor | None = None,
    ) -> TrainingState:
        """Begin a training, or go on from the checkpoint in the run's folder.

        start: a segmentor of the same width whose weights to begin with.

        The run's journal is cut back to what the checkpoint knows of. Raises ValueError that names
        the checkpoint when it does not fit.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(config.seed, "lung networks"))
            segmentor, critic = Segmentor(width=config.width), Critic(width=CRITIC_WIDTH)
        if start is not None:
            segmentor.load_state_dict(start.state_dict())
        segmentor = segmentor.to(compute.device).to(memory_format=torch.channels_last)
        critic = critic.to(compute.device).to(memory_format=torch.channels_last)
        average = copy.deepcopy(segmentor).requires_grad_(False).eval()
        state = cls(
            segmentor,
            critic,
            average,
            Adam(segmentor.parameters(), lr=config.learning_rate),
            Adam(critic.parameters(), lr=CRITIC_RATE, betas=(0.5, 0.999), maximize=True),
            torch.zeros(2, device=compute.device),
            copy.deepcopy(average.state_dict()),
        )
        path = run.checkpoint
        journal_size = state._restore(path, config, trained_on) if path.exists() else 0
        path.parent.mkdir(exist_ok=True)
        run.rewind_journal(journal_size)
        state.started = time.monotonic()
        return state

    @property
    def seconds(self) -> float:
        """Training time so far, over all sessions."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def parts(self) -> dict[str, nn.Module | Adam | torch.Tensor]:
        """Everything that changes with every step, by its name in a checkpoint."""
        return {
            "segmentor": self.segmentor,
            "critic": self.critic,
            "average": self.average,
            "segmentor_optimizer": self.segmentor_optimizer,
            "critic_optimizer": self.critic_optimizer,
            "totals": self.totals,
        }

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the segmentor, faster in the first steps."""
        decay = min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        kept = self.average.state_dict()
        for name, value in self.segmentor.state_dict().items():
            if value.is_floating_point():
                kept[name].lerp_(value, 1 - decay)
            else:
                kept[name].copy_(value)  # BatchNorm's count of batches

    def keep_if_best(self, dice: float) -> None:
        """Keep the average's weights when their validation Dice is the highest so far."""
        if dice > self.best_dice:
            self.best = copy.deepcopy(self.average.state_dict())
            self.best_dice, self.best_step = dice, self.step

    def save(self, run: Run, config: LungsConfig, trained_on: Sequence[str]) -> None:
        """Write the checkpoint."""
        values = {
            name: part if isinstance(part, torch.Tensor) else part.state_dict()
            for name, part in self.parts.items()
        }
        checkpoint.save(
            run.checkpoint,
            LUNGS_CHECKPOINT,
            {
                **values,
                "best": self.best,
                "best_dice": self.best_dice,
                "best_step": self.best_step,
                "step": self.step,
                "seconds": self.seconds,
                "journal_size": run.journal_size(),
                "config": asdict(config),
                "trained_on": list(trained_on),
            },
        )

    def _restore(self, path: Path, config: LungsConfig, trained_on: Sequence[str]) -> int:
        """Read a checkpoint; return the size of the journal at its time."""
        saved = checkpoint.load(
            path,
            LUNGS_CHECKPOINT,
            best=dict,
            best_dice=float,
            best_step=int,
            step=int,
            seconds=float,
            journal_size=int,
            config=dict,
            trained_on=list,
        )
        if saved["config"] != asdict(config) or saved["trained_on"] != list(trained_on):
            raise ValueError(
                f"{path} is of other options or training images; start a new run without `resume`"
            )
        checkpoint.restore({"best": self.average}, saved)  # to see that it fits
        checkpoint.restore(self.parts, saved)
        self.best, self.best_dice = saved["best"], saved["best_dice"]
        self.best_step, self.step = saved["best_step"], saved["step"]
        self.seconds_before = saved["seconds"]
        return saved["journal_size"]
