"""The checkpoints of a generator's training, in its run's folder `checkpoints`.

last.pt             where training was last saved
before-cooldown.pt  where the learning rate began to fall, with the run's generator of that moment:
                    a run that is made longer goes on from there, and becomes what it would have
                    been had it been asked for that length at once
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gan.config import GanConfig
from gan.snapshots import delete_snapshots_after
from gan.training_state import NOT_COOLING, TrainingState
from runtime import checkpoint
from runtime.files import Record, atomic
from runtime.run import Run

KIND = "gan checkpoint"


class Checkpoints:
    """Saves the state of one run's training, and resumes it."""

    def __init__(
        self, run: Run, config: GanConfig, trained_on: Sequence[str], time_limit: float
    ) -> None:
        """time_limit: seconds, perhaps infinite; a run under a longer one goes on from before."""
        self.run, self.config = run, config
        self.trained_on, self.time_limit = list(trained_on), time_limit
        self.last = run.checkpoint
        self.before_cooldown = run.folder / "checkpoints" / "before-cooldown.pt"
        self._generator_file = run.folder / "generator.pt"

    def save(self, state: TrainingState, seconds: float) -> None:
        """Save the state after this much training time."""
        self._write(self.last, state, seconds)

    def save_before_cooldown(self, state: TrainingState, seconds: float) -> None:
        """Save the state, and the run's generator as it is, when the learning rate is to fall."""
        self._write(
            self.before_cooldown,
            state,
            seconds,
            generator_file=_read_as_tensor(self._generator_file),
        )

    def _write(self, path: Path, state: TrainingState, seconds: float, **extra: Any) -> None:
        content = {
            **{name: part.state_dict() for name, part in state.parts.items()},
            "step": state.step,
            "grown_at": state.grown_at,
            "seconds": seconds,
            "totals": state.totals,
            "trained_on": self.trained_on,
            "limit": self.time_limit,
            "cooling_from": state.cooling_from,
            "end": state.end,
            "config": asdict(self.config),
            "journal_size": self.run.journal_size(),
            **extra,
        }
        checkpoint.save(path, KIND, content)

    def resume(self, state: TrainingState, *, is_main_process: bool) -> None:
        """Bring the state to where the run's training was, where there is a checkpoint.

        The main process also brings the run's folder there: what was made after the checkpoint is
        taken back. In a new run it makes the folders.

        Raises ValueError that names the file when a checkpoint is damaged or is of other images or
        options, or the journal is damaged; then nothing on disk has changed.
        """
        saved = self._load() if self.last.exists() else None
        if saved is not None:
            self._check(saved)
            self._restore(state, saved)
            self.run.journal(saved["journal_size"])  # raises where it is damaged
        if is_main_process:
            self._prepare_folder(saved)

    def _load(self) -> Record:
        """Read the checkpoint to go on from."""
        saved = _read(self.last)
        if saved["cooling_from"] != NOT_COOLING:
            was_shorter = saved["config"].get("steps", 0) < self.config.steps
            if was_shorter or saved["limit"] < self.time_limit:
                return _read(self.before_cooldown, generator_file=torch.Tensor)
        return saved

    def _check(self, saved: Record) -> None:
        changed = [
            name
            for name, value in asdict(self.config).items()
            if name != "steps" and saved["config"].get(name) != value
        ]
        if changed:
            raise ValueError(
                f"{self.last} was made with another {', '.join(changed)}; start a new run without "
                "`resume`"
            )
        if saved["trained_on"] != self.trained_on:
            raise ValueError(
                f"{self.last}: the training images have changed since; start a new run without "
                "`resume`"
            )

    def _restore(self, state: TrainingState, saved: Record) -> None:
        checkpoint.restore({**state.parts, "totals": state.totals}, saved)
        state.step, state.grown_at = saved["step"], saved["grown_at"]
        state.seconds_before = saved["seconds"]
        if saved["cooling_from"] != NOT_COOLING:
            state.cooling_from, state.end = saved["cooling_from"], saved["end"]

    def _prepare_folder(self, saved: Record | None) -> None:
        for name in ("checkpoints", "samples", "snapshots"):
            (self.run.folder / name).mkdir(exist_ok=True)
        if saved is None:
            self.run.rewind_journal(0)
            return
        self.run.reopen(asdict(self.config))
        if saved.path == self.before_cooldown:
            self._go_back(saved)
        self.run.rewind_journal(saved["journal_size"])

    def _go_back(self, saved: Record) -> None:
        """Take back the snapshots since the state before the cooldown."""
        delete_snapshots_after(self.run, saved["step"])
        if not len(saved["generator_file"]):
            self._generator_file.unlink(missing_ok=True)
            return
        with atomic(self._generator_file) as file:
            file.write(saved["generator_file"].numpy().tobytes())


def _read(path: Path, **kinds: type) -> Record:
    """Read a checkpoint that has values of these kinds, besides those that each has."""
    return checkpoint.load(
        path,
        KIND,
        config=dict,
        trained_on=list,
        step=int,
        grown_at=int,
        seconds=float,
        journal_size=int,
        cooling_from=int,
        end=int,
        limit=float,
        **kinds,
    )


def _read_as_tensor(path: Path) -> torch.Tensor:
    """Return a file's bytes as uint8 (N,), as checkpoints hold them; none without a file."""
    if not path.exists():
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
