"""Looks at a generator while it trains, and leaves what it sees in the run's folder.

journal.jsonl          scores of snapshots, diversity in between, findings of the doctor
snapshots/step-N.pt    generators
samples/step-N.png     sample grids, at every snapshot of the same latents
generator.pt           the best snapshot
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan.batches import TrainingData
from gan.config import GanConfig
from gan.doctor import Reference, diagnose
from gan.resize import resize
from gan.sample import draw_samples, save_generator, to_float, write_grid
from gan.snapshots import Snapshot, best_snapshot, list_snapshots, prune_snapshots
from runtime.dataset import stack_dataset
from runtime.run import Run

CHECK_SAMPLES = 64  # per class, for a look at the diversity
SNAPSHOT_SAMPLES = 256  # per class, for the score of a snapshot
WARNING_INTERVAL = 500  # steps between two findings in the journal
GRID_COLUMNS = 8
MAX_CLASSES_OF_TWO_ROWS = 4  # on a grid; of more classes each has one row

_log = logging.getLogger(__name__)


def measure_references(config: GanConfig, data: TrainingData) -> list[Reference]:
    """Measure the training and validation images of each class, which samples are compared to."""
    images, labels = stack_dataset(data.training)
    if data.validation is not None and len(data.validation):  # type: ignore[arg-type]
        more_images, more_labels = stack_dataset(data.validation)
        images, labels = torch.cat([images, more_images]), torch.cat([labels, more_labels])
    reals = resize(to_float(images), config.image_size)
    return [Reference(reals[labels == index]) for index in range(len(data.classes))]


class Monitor:
    """Measures the generator of one run."""

    def __init__(
        self, config: GanConfig, data: TrainingData, run: Run, references: Sequence[Reference]
    ) -> None:
        """references: the reals of each class."""
        self.config, self.data, self.run, self.references = config, data, run, references

    def save_snapshot(self, network: nn.Module, step: int) -> None:
        """Score the generator at this step and keep it, as the run's if it is the best so far.

        A step that has a snapshot already is left alone.
        """
        if any(snapshot.step == step for snapshot in list_snapshots(self.run)):
            return
        samples = self._draw(network, SNAPSHOT_SAMPLES)
        diversity, distance = self._diversities(samples), self._distances(samples)
        self.run.log(step=step, diversity=diversity, distance=distance)
        paths = [self.run.folder / "snapshots" / f"step-{step:06d}.pt"]
        best = best_snapshot(self.run)
        if best is not None and best.step == step:
            paths.append(self.run.folder / "generator.pt")
        for path in paths:
            save_generator(
                path,
                network,
                self.config,
                Snapshot(step, tuple(diversity), tuple(distance)),
                classes=self.data.classes,
                trained_on=self.data.trained_on,
            )
        self._write_sample_grid(network, step)
        prune_snapshots(self.run, step, self.config.sample_every)

    def check_health(self, network: nn.Module, step: int) -> str | None:
        """Log the diversity of samples and what is wrong; return it where all hope is lost."""
        self.run.log(step=step, diversity=self._diversities(self._draw(network, CHECK_SAMPLES)))
        journal = self.run.journal()
        finding = diagnose(journal, self.data.classes)
        if finding is None:
            return None
        if not any(
            event.get("doctor") and event["step"] > step - WARNING_INTERVAL for event in journal
        ):
            _log.warning("step %d: %s", step, finding.text)
            self.run.log(step=step, doctor=finding.text)
        return finding.text if finding.is_hopeless else None

    def _draw(self, network: nn.Module, count: int) -> list[Tensor]:
        """Draw samples of each class, (count, 1, S, S) in −1..1, on the network's device."""
        samples = draw_samples(network, self._labels(count), self.config, "measure")
        device = next(network.parameters()).device
        return list(to_float(samples.to(device)).split(count))

    def _diversities(self, samples: Sequence[Tensor]) -> list[float]:
        """Return the diversity of the samples of each class."""
        return [
            round(reference.diversity(part), 4)
            for reference, part in zip(self.references, samples, strict=True)
        ]

    def _distances(self, samples: Sequence[Tensor]) -> list[float]:
        """Return the distance of the samples of each class from its reals."""
        return [
            round(reference.distance(part), 4)
            for reference, part in zip(self.references, samples, strict=True)
        ]

    def _write_sample_grid(self, network: nn.Module, step: int) -> None:
        rows = 2 if len(self.data.classes) <= MAX_CLASSES_OF_TWO_ROWS else 1
        samples = draw_samples(network, self._labels(rows * GRID_COLUMNS), self.config, "grid")
        path = self.run.folder / "samples" / f"step-{step:06d}.png"
        write_grid(path, samples.squeeze(1).numpy(), GRID_COLUMNS)

    def _labels(self, count: int) -> list[int]:
        """Return each class index `count` times, class by class."""
        return [index for index in range(len(self.data.classes)) for _ in range(count)]
