"""The images of a synthetic set: drawn block by block, and written while others are drawn."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from gan.sample import BLOCK, TrainedGenerator, sample_block, write_grid
from pipelines.metrics.nearest import CopyGuard
from pipelines.study.image_io import read_gray, write_gray
from pipelines.study.manifest import fingerprint
from pipelines.study.synthetic import SyntheticRow, write_synthetic_manifest
from runtime.device import Compute
from runtime.processors import count_processors
from runtime.progress import progress
from runtime.run import Interrupted, Run, StopRequest, stop_on_signal

SHEET_PER_CLASS = 24
SHEET_COLUMNS = 12
MAX_TRIES = 10  # samples drawn in all per image asked for, before so many copies are given up on
MAX_WRITERS = 8  # threads that encode images
PNG_NOTES = {"Comment": "synthetic: drawn by a generative network, not a patient"}


def sample_notes(row: SyntheticRow, config: Mapping[str, Any]) -> dict[str, str]:
    """Make what an image says of itself: that it is synthetic, and where it is from.

    config: its set's.
    """
    if config.get("foreign"):
        return PNG_NOTES | {"Source": f"{row.generator}, brought from elsewhere"}
    scale = config.get("sampling_scale")
    latents = "" if scale is None else f"sampling scale {scale:g}, "
    origin = f"cxr {row.generator}, {latents}seed {row.seed}, sample {row.index}"
    return PNG_NOTES | {"Source": origin}


class SampleSource:
    """The samples of a set by their index: what each is called, and what it looks like."""

    def __init__(self, run: Run, trained: TrainedGenerator, labels: Sequence[str]) -> None:
        config = run.config
        self.run, self.trained, self.labels = run, trained, labels
        self.n: int = config["n"]
        self.seed: int = config["seed"]
        self.generator: str = config["generator"]
        self._classes = [trained.classes.index(label) for label in labels]
        self._trained_on = fingerprint(trained.trained_on)

    def row(self, index: int) -> SyntheticRow:
        label = self.labels[index % len(self.labels)]
        return SyntheticRow(
            file_name=f"images/{label}/synthetic-{index:06d}.png",
            label=label,
            index=index,
            seed=self.seed,
            synthetic="yes",
            generator=self.generator,
            trained_on=self._trained_on,
        )

    def block(self, number: int) -> np.ndarray:
        """Samples number · BLOCK and on, (BLOCK, H, W) uint8."""
        return sample_block(self.trained, self._classes, self.seed, number)

    def path(self, row: SyntheticRow) -> Path:
        return self.run.folder / row.file_name

    def is_written(self, row: SyntheticRow) -> bool:
        path = self.path(row)
        return path.exists() and path.stat().st_size > 0


@dataclass
class _ImageWriter:
    """Encodes images in threads, so that the next block is computed meanwhile."""

    source: SampleSource
    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(min(count_processors(), MAX_WRITERS))
    )
    pending: deque[Future[None]] = field(default_factory=deque)

    def __enter__(self) -> _ImageWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pool.shutdown()

    def write(self, row: SyntheticRow, image: np.ndarray) -> None:
        """Begin to write an image (H, W) uint8."""
        notes = sample_notes(row, self.source.run.config)
        self.pending.append(self.pool.submit(write_gray, self.source.path(row), image, **notes))

    def wait(self, most: int) -> None:
        """Wait until at most so many images are being written. Raises when one could not be."""
        while len(self.pending) > most or (self.pending and self.pending[0].done()):
            self.pending.popleft().result()


def write_sample_set(source: SampleSource, compute: Compute, guard: CopyGuard | None) -> None:
    """Write the images, their manifest and their sheet, every process its share of the images.

    guard: what it takes for a copy is not written, and the main process draws others instead.
    """
    rows = [source.row(index) for index in range(source.n)]
    for label in source.labels:
        (source.run.folder / "images" / label).mkdir(parents=True, exist_ok=True)
    copies: list[int] = []  # indices of the samples passed over
    with stop_on_signal() as stop, _ImageWriter(source) as writer:
        copies = _write_blocks(rows, writer, compute, guard, stop)
        if guard:
            rows, copies = _replace_copies(rows, copies, writer, compute, guard)
        writer.wait(0)
    compute.agree(None)  # until every process has written its share
    if compute.is_main_process:
        write_sheet(source.run.folder, rows, source.labels)
        write_synthetic_manifest(source.run.folder / "manifest.csv", rows)
        result = {"images": dict(Counter(row.label for row in rows))}
        if guard:
            result["dropped"] = dict(Counter(source.row(index).label for index in copies))
        source.run.finish(result)
    compute.agree(None)


def _write_blocks(
    rows: Sequence[SyntheticRow],
    writer: _ImageWriter,
    compute: Compute,
    guard: CopyGuard | None,
    stop: StopRequest,
) -> list[int]:
    """Write this process's blocks, but what is there already; return the indices of copies."""
    source, copies = writer.source, []
    blocks = range(compute.rank, math.ceil(source.n / BLOCK), compute.world_size)
    with progress(source.n, "synthesize", "image", shown=compute.is_main_process) as bar:
        for block in blocks:
            if stop.requested:
                raise Interrupted(
                    f"stopped after {bar.n} of {source.n} images; continue with --resume"
                )
            block_rows = rows[block * BLOCK : (block + 1) * BLOCK]
            if not all(source.is_written(row) for row in block_rows):
                images = source.block(block)[: len(block_rows)]
                is_copy = guard.copies(images) if guard else [False] * len(block_rows)
                for row, image, copied in zip(block_rows, images, is_copy, strict=True):
                    if copied:
                        copies.append(row.index)
                    else:
                        writer.write(row, image)
            writer.wait(BLOCK)
            bar.update(min(len(block_rows) * compute.world_size, source.n - bar.n))
    return copies


def _replace_copies(
    rows: Sequence[SyntheticRow],
    own_copies: Sequence[int],
    writer: _ImageWriter,
    compute: Compute,
    guard: CopyGuard,
) -> tuple[list[SyntheticRow], list[int]]:
    """Write further samples in the place of copies; return all rows, and the copies passed over.

    Raises ValueError when MAX_TRIES · n samples do not hold enough.
    """
    source = writer.source
    flags = torch.zeros(source.n, device=compute.device)
    flags[list(own_copies)] = 1
    compute.average([flags])  # above zero where any process has passed over one
    copies = flags.nonzero().flatten().tolist()
    images, more_copies = (
        _draw_replacements(source, copies, guard) if compute.is_main_process else ({}, [])
    )
    if compute.agree(len(images)) < len(copies):
        raise ValueError(
            f"--reject-copies: {len(copies)} of the first {source.n} samples of "
            f"{source.generator} are copies of training images, and {MAX_TRIES * source.n} "
            "samples do not hold enough others in their place; train on more images or for "
            "fewer steps"
        )
    for index, image in images.items():
        writer.write(source.row(index), image)
    kept = [row for row in rows if row.index not in set(copies)]
    return kept + [source.row(index) for index in images], copies + more_copies


def _draw_replacements(
    source: SampleSource, copies: Sequence[int], guard: CopyGuard
) -> tuple[dict[int, np.ndarray], list[int]]:
    """Draw samples from index n on, as many of each class as were copies.

    Returns {index: image (H, W)}, fewer where samples up to MAX_TRIES · n do not give enough, and
    the indices of the copies passed over among them.
    """
    n, num_labels = source.n, len(source.labels)
    missing = Counter(index % num_labels for index in copies)
    images: dict[int, np.ndarray] = {}
    passed_over: list[int] = []
    for block in range(n // BLOCK, math.ceil(MAX_TRIES * n / BLOCK)):
        if not missing.total():
            break
        samples = source.block(block)
        indices = range(block * BLOCK, (block + 1) * BLOCK)
        for index, image, copied in zip(indices, samples, guard.copies(samples), strict=True):
            place = index % num_labels
            if not n <= index < MAX_TRIES * n or not missing[place]:
                continue
            if copied:
                passed_over.append(index)
            else:
                images[index] = image
                missing[place] -= 1
    return images, passed_over


def write_sheet(folder: Path, rows: Sequence[SyntheticRow], labels: Sequence[str]) -> None:
    """Draw the first written images of each label as samples.png, beside them."""
    shown = [
        row
        for label in dict.fromkeys(labels)
        for row in [row for row in rows if row.label == label][:SHEET_PER_CLASS]
    ]
    images = np.stack([read_gray(folder / row.file_name) for row in shown])
    write_grid(folder / "samples.png", images, SHEET_COLUMNS)
