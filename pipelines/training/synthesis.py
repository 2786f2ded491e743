"""From a generator to synthetic images."""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from gan.doctor import is_healthy
from gan.sample import BLOCK, TrainedGenerator, load_generator, sample_block, write_grid
from gan.snapshots import snapshot_file
from pipelines.metrics.nearest import CopyGuard, copy_guard
from pipelines.study.image_io import read_gray, write_gray
from pipelines.study.leak_lock import check_leak
from pipelines.study.manifest import fingerprint
from pipelines.study.runs import RunRequest, prepare_run
from pipelines.study.synthetic import SyntheticRow, write_synthetic_manifest
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.options import OptionError
from runtime.progress import progress
from runtime.run import Interrupted, Run, StopRequest, stop_on_signal

MAX_IMAGES = 1_000_000  # of one set
SHEET_PER_CLASS = 24
SHEET_COLUMNS = 12
MAX_TRIES = 10  # samples drawn in all per image asked for, before so many copies are given up on
MAX_WRITERS = 8  # threads that encode images
PNG_NOTES = {"Comment": "synthetic: drawn by a generative network, not a patient"}


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What `cxr synthesize` was asked for."""

    n: int = 2000
    seed: int = 0
    labels: tuple[str, ...] = ()  # every class, where none is named
    generator: str | None = None  # the newest, where none is named
    snapshot: str = "best"  # or "last", or a step
    reject_copies: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MAX_IMAGES:
            raise OptionError("n", self.n, f"expected at least 1 image, and at most {MAX_IMAGES:,}")


def synthesize(
    workspace: Workspace,
    request: RunRequest,
    *,
    n: int | None = None,
    seed: int | None = None,
    labels: Sequence[str] = (),
    generator: str | None = None,
    snapshot: str | None = None,
    reject_copies: bool = False,
) -> Run:
    """Write n synthetic images, spread evenly over the labels, as PNGs with a manifest.

    Sample i is of class labels[i mod len(labels)] and depends on (generator, seed, i) alone,
    whatever the number of processes. reject_copies: pass over samples that are copies of training
    images, and draw further ones of their class instead, up to MAX_TRIES · n in all. Raises
    ValueError when those are not enough. The defaults stand in `Synthesis`.
    """
    given = {
        "n": n,
        "seed": seed,
        "labels": tuple(labels) or None,
        "generator": generator and workspace.name_of(workspace.find_run("gan-train", generator)),
        "snapshot": snapshot,
        "reject_copies": reject_copies or None,
    }
    start = prepare_run(workspace, "synthesize", Synthesis, given, request)
    settings, compute = start.settings, start.compute
    source = workspace.find_run("gan-train", settings.generator, holding="generator.pt")
    trained = _load_usable(workspace, source, settings.snapshot, compute.device)
    unknown = [label for label in settings.labels if label not in trained.classes]
    if unknown:
        raise OptionError("label", unknown[0], f"{source.name} knows {', '.join(trained.classes)}")
    asked_labels = list(settings.labels or trained.classes)
    guard = copy_guard(workspace, trained.config.image_size) if settings.reject_copies else None
    run = start.begin(
        {
            "labels": asked_labels,
            "image_size": trained.config.image_size,
            "generator": workspace.name_of(source),
            "generator_step": trained.step,
            "unhealthy": [
                label
                for label, diversity in zip(trained.classes, trained.diversity, strict=True)
                if not is_healthy([diversity])
            ],
            "trained_on": sorted(trained.trained_on),
            "copy_threshold": guard.threshold if guard else None,
        }
    )
    _write_set(_SampleSource(run, trained, asked_labels), compute, guard)
    return run


def _load_usable(
    workspace: Workspace, source: Run, snapshot: str, device: torch.device
) -> TrainedGenerator:
    """Load a snapshot of a generator. Raises ValueError when this study may not use its images."""
    path = snapshot_file(source, snapshot)
    trained = load_generator(path, device)
    if not trained.trained_on:
        raise ValueError(
            f"{path} does not say which images it was trained on; train one on this study: "
            "cxr gan-train"
        )
    rows = workspace.rows()
    # A class names a folder, and only the manifest's labels are known to be fit for that.
    strange = set(trained.classes) - {row.label for row in rows}
    if strange:
        raise ValueError(
            f"{path} draws {', '.join(sorted(strange))!r}, unknown to this study; train one on "
            "it: cxr gan-train"
        )
    check_leak(trained.trained_on, rows, source.name)
    return trained


class _SampleSource:
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

    source: _SampleSource
    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_WRITERS))
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
        origin = f"cxr {self.source.generator}, seed {self.source.seed}, sample {row.index}"
        notes = PNG_NOTES | {"Source": origin}
        self.pending.append(self.pool.submit(write_gray, self.source.path(row), image, **notes))

    def wait(self, most: int) -> None:
        """Wait until at most so many images are being written. Raises when one could not be."""
        while len(self.pending) > most or (self.pending and self.pending[0].done()):
            self.pending.popleft().result()


def _write_set(source: _SampleSource, compute: Compute, guard: CopyGuard | None) -> None:
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
        _write_sheet(source, rows)
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
    source: _SampleSource, copies: Sequence[int], guard: CopyGuard
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


def _write_sheet(source: _SampleSource, rows: Sequence[SyntheticRow]) -> None:
    """Draw the first samples of each label as samples.png."""
    shown = [
        row
        for place in range(len(source.labels))
        for row in [row for row in rows if row.index % len(source.labels) == place][
            :SHEET_PER_CLASS
        ]
    ]
    images = np.stack([read_gray(source.path(row)) for row in shown])
    write_grid(source.run.folder / "samples.png", images, SHEET_COLUMNS)
