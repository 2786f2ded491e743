"""What a training has come to, all of it in one file: it is resumed from there bit for bit."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime import checkpoint
from runtime.device import Compute
from runtime.run import Run

CHECKPOINT = "classifier checkpoint"


@dataclass
class TrainingState:
    """A training's head and optimizer, its best weights so far, and its place.

    Attributes:
        totals: Loss and accuracy summed over the steps since the last evaluation, (2,).
        best: The head's weights of the lowest validation loss.
        step: Steps done.
        seconds_before: What earlier processes took.
    """

    head: nn.Module
    optimizer: torch.optim.Optimizer
    totals: Tensor
    best: dict[str, Any]
    best_loss: float = math.inf
    best_step: int = 0
    step: int = 0
    seconds_before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls, head: nn.Module, optimizer: torch.optim.Optimizer, run: Run, compute: Compute
    ) -> TrainingState:
        """Begin a training, or go on from the checkpoint in the run's folder.

        The run's journal is cut back to what the checkpoint knows of. Raises ValueError that names
        the checkpoint when it does not fit.
        """
        state = cls(
            head, optimizer, torch.zeros(2, device=compute.device), copy.deepcopy(head.state_dict())
        )
        path = run.checkpoint
        journal_size = state._restore(path) if path.exists() else 0
        if compute.is_main_process:
            path.parent.mkdir(exist_ok=True)
            run.rewind_journal(journal_size)
        state.started = time.monotonic()
        return state

    def keep_if_best(self, validation_loss: float) -> None:
        """Keep the head's weights when their validation loss is the lowest so far."""
        if validation_loss < self.best_loss:
            self.best = copy.deepcopy(self.head.state_dict())
            self.best_loss, self.best_step = validation_loss, self.step

    def save(self, run: Run) -> None:
        """Write the checkpoint."""
        values = {
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "totals": self.totals,
            "step": self.step,
            "best": self.best,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "seconds": self.seconds_before + time.monotonic() - self.started,
            "journal_size": run.journal_size(),
        }
        checkpoint.save(run.checkpoint, CHECKPOINT, values)

    def _restore(self, path: Path) -> int:
        """Read a checkpoint; return the size of the journal at its time."""
        saved = checkpoint.load(
            path,
            CHECKPOINT,
            best=dict,
            best_loss=float,
            best_step=int,
            step=int,
            seconds=float,
            journal_size=int,
        )
        checkpoint.restore({"best": self.head}, saved)  # to see that it fits
        parts = {"head": self.head, "optimizer": self.optimizer, "totals": self.totals}
        checkpoint.restore(parts, saved)
        self.best, self.best_loss = saved["best"], saved["best_loss"]
        self.best_step, self.step = saved["best_step"], saved["step"]
        self.seconds_before = saved["seconds"]
        return saved["journal_size"]
