"""A training of seconds, for the tests: two classes of spots, and a small generator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import TensorDataset

from gan.batches import TrainingData
from gan.config import GanConfig
from gan.sample import TrainedGenerator, load_generator
from gan.train import train
from runtime import checkpoint
from runtime.device import choose_compute
from runtime.files import Record
from runtime.run import Run, create_run

CPU = choose_compute("cpu", "fp32")
CLASSES = ["left", "right"]
TINY = GanConfig(
    image_size=32, width=4, batch_size=8, latent_size=8, steps=12, cooldown=1 / 3, sample_every=5
)


def spots(n: int = 64) -> TensorDataset:
    """Class 0: a bright spot on the left; class 1: on the right; both up or down."""
    rng = np.random.default_rng(0)
    images = np.zeros((n, 1, 32, 32), np.float64)
    rows, columns = np.mgrid[:32, :32]
    for index, image in enumerate(images):
        centre = rng.choice([8, 24]) + rng.uniform(-1, 1), (9, 23)[index % 2] + rng.uniform(-1, 1)
        image[0] = 230 * np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 30)
    return TensorDataset(torch.from_numpy(images).to(torch.uint8), torch.arange(n) % 2)


SPOTS = TrainingData(spots(), CLASSES, trained_on=["a", "b"])


def train_in(run: Run, **changes: Any) -> dict[str, Any]:
    """Train in a run, perhaps one that has a checkpoint, with TINY changed."""
    return train(replace(TINY, **changes), SPOTS, run, CPU)


def run_training(folder: Path, **changes: Any) -> Run:
    """Train in a new run with TINY changed, to its end."""
    run = create_run(folder, "gan-train", {})
    run.finish(train_in(run, **changes))
    return run


def load_best(run: Run) -> TrainedGenerator:
    """Load the generator that a run is left with."""
    return load_generator(run.folder / "generator.pt", CPU.device)


def load_last_state(run: Run) -> Record:
    """Load the state that a run would go on from."""
    return checkpoint.load(run.folder / "checkpoints" / "last.pt", "gan checkpoint")


def names_in(run: Run, folder: str) -> list[str]:
    """Return the names of a run's snapshots, samples or checkpoints, without their suffixes."""
    return sorted(path.stem for path in (run.folder / folder).iterdir())
