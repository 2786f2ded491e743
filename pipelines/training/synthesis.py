"""From a generator to synthetic images."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from gan.doctor import healthy
from gan.sample import BLOCK, TrainedGenerator, load_generator, sample_block, write_grid
from gan.snapshots import snapshot_file
from pipelines.metrics.nearest import CopyGuard, copy_guard
from pipelines.study.image_io import read_gray, write_gray
from pipelines.study.manifest import fingerprint
from pipelines.study.synthetic import SyntheticRow, check_leak, write_synthetic_manifest
from pipelines.study.workspace import Workspace
from runtime.device import Compute
from runtime.progress import progress
from runtime.run import Interrupted, Run, stop_on_signal

MOST = 1_000_000  # images of one set
SHEET_PER_CLASS = 24
TRIES = 10  # samples drawn in all for each image asked for, before so many copies are given up on


def synthesize(
    workspace: Workspace,
    compute: Compute,
    *,
    n: int | None = None,
    seed: int | None = None,
    labels: Sequence[str] = (),
    generator: str | None = None,
    snapshot: str | None = None,
    reject_copies: bool = False,
    resume_name: str | None = None,
    resuming: bool = False,
) -> Run:
    """Write n synthetic images (default 2000), spread evenly over `labels` (default: every class), as PNGs with a manifest.

    Sample i is of class labels[i mod len(labels)] and depends on (generator, seed, i) alone, whatever the number of processes.
    snapshot: "best" (the default), "last", or a step. reject_copies: pass over samples that are copies of training images, and draw further
    ones of their class instead, up to TRIES · n in all; ValueError when those are not enough. resuming: continue the run `resume_name`, or the newest unfinished one.
    """
    if resuming:
        run = workspace.unfinished_run("synthesize", resume_name)
        saved = run.config
        asked = {
            "n": n,
            "seed": seed,
            "labels": list(labels) or None,
            "generator": generator
            and workspace.name_of(workspace.find_run("gan-train", generator)),
            "snapshot": snapshot,
        }
        changed = [
            f"--{name} {saved[name]} → {value}"
            for name, value in asked.items()
            if value is not None and value != saved[name]
        ]
        if changed:
            raise ValueError(
                f"{run.name} cannot go on with other options ({', '.join(changed)}); start a new one without --resume"
            )
        if reject_copies and "reject_copies" not in saved:
            raise ValueError(
                f"{run.name} was begun without --reject-copies; start a new one without --resume"
            )
        n, seed, labels, generator, snapshot = (saved[name] for name in asked)
        reject_copies = "reject_copies" in saved
    n, seed, snapshot = 2000 if n is None else n, seed or 0, snapshot or "best"
    if not 1 <= n <= MOST:
        raise ValueError(f"--n {n}: expected at least 1 image, and at most {MOST:,}")
    source = workspace.find_run("gan-train", generator, holding="generator.pt")
    path = snapshot_file(source, snapshot)
    trained = load_generator(path, compute.device)
    unknown = [label for label in labels if label not in trained.classes]
    if unknown:
        raise ValueError(f"--label {unknown[0]}: {source.name} knows {', '.join(trained.classes)}")
    if not trained.trained_on:
        raise ValueError(
            f"{path} does not say which images it was trained on; train one on this study: cxr gan-train"
        )
    rows = workspace.rows()
    strange = set(trained.classes) - {row.label for row in rows}
    if (
        strange
    ):  # a class names a folder, and only the manifest's labels are known to be fit for that
        raise ValueError(
            f"{path} draws {', '.join(sorted(strange))!r}, unknown to this study; train one on it: cxr gan-train"
        )
    check_leak(trained.trained_on, rows, source.name)
    chosen = [trained.classes.index(label) for label in labels or trained.classes]
    guard = copy_guard(workspace, trained.config.image_size) if reject_copies else None
    config = {
        "n": n,
        "seed": seed,
        "labels": [trained.classes[index] for index in chosen],
        "image_size": trained.config.image_size,
        "generator": workspace.name_of(source),
        "snapshot": snapshot,
        "generator_step": trained.step,
        "unhealthy": [
            name for name, value in zip(trained.classes, trained.diversity) if not healthy([value])
        ],
        "trained_on": sorted(trained.trained_on),
    } | ({"reject_copies": guard.threshold} if guard else {})
    if not resuming:
        run = Run(
            Path(
                compute.agree(
                    str(workspace.create_run("synthesize", config).folder)
                    if compute.is_main_process
                    else ""
                )
            )
        )
    elif run.config != config:
        raise ValueError(
            f"{run.name} cannot go on, {source.name} has changed since; start a new one without --resume"
        )
    elif compute.is_main_process:
        workspace.hold(run)
    _write_images(run, trained, chosen, compute, guard)
    return run


def _write_images(
    run: Run,
    trained: TrainedGenerator,
    chosen: Sequence[int],
    compute: Compute,
    guard: CopyGuard | None,
) -> None:
    """Generate block by block, every process its share, encoding a block while the next is computed; what is there already is kept.

    guard: what it takes for a copy is not written, and the leading process draws further samples in its place.
    """
    n, seed, source = run.config["n"], run.config["seed"], run.config["generator"]
    notes = {"Comment": "synthetic: drawn by a generative network, not a patient"}
    of_generator = fingerprint(trained.trained_on)

    def row_of(index: int) -> SyntheticRow:
        label = trained.classes[chosen[index % len(chosen)]]
        name = f"images/{label}/synthetic-{index:06d}.png"
        return SyntheticRow(
            file_name=name,
            label=label,
            index=index,
            seed=seed,
            synthetic="yes",
            generator=source,
            trained_on=of_generator,
        )

    rows = [row_of(index) for index in range(n)]
    for label in {row.label for row in rows}:
        (run.folder / "images" / label).mkdir(parents=True, exist_ok=True)
    blocks = range(compute.rank, -(-n // BLOCK), compute.world_size)
    dropped: list[int] = []
    with (
        stop_on_signal() as stop,
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool,
        progress(n, "synthesize", "image", shown=compute.is_main_process) as bar,
    ):
        pending = deque()

        def write(row: SyntheticRow, image: np.ndarray) -> None:
            about = notes | {"Source": f"cxr {source}, seed {seed}, sample {row.index}"}
            pending.append(pool.submit(write_gray, run.folder / row.file_name, image, **about))

        for block in blocks:
            if stop.requested:
                raise Interrupted(f"stopped after {bar.n} of {n} images; continue with --resume")
            wanted = rows[block * BLOCK : (block + 1) * BLOCK]
            if any(not _written(run.folder / row.file_name) for row in wanted):
                images = sample_block(trained, chosen, seed, block)[: len(wanted)]
                copies = guard.copies(images) if guard else [False] * len(wanted)
                for row, image, copy in zip(wanted, images, copies):
                    if copy:
                        dropped.append(row.index)
                    else:
                        write(row, image)
            while len(pending) > BLOCK or (pending and pending[0].done()):
                pending.popleft().result()  # which raises when it could not be written
            bar.update(min(len(wanted) * compute.world_size, n - bar.n))
        if guard:
            flags = torch.zeros(n, device=compute.device)
            flags[dropped] = 1
            compute.average([flags])  # above zero where any process has dropped one
            dropped = flags.nonzero().flatten().tolist()
            found, more = (
                _replacements(trained, chosen, seed, n, dropped, guard)
                if compute.is_main_process
                else ({}, [])
            )
            if compute.agree(len(found)) < len(dropped):
                raise ValueError(
                    f"--reject-copies: {len(dropped)} of the first {n} samples of {source} are copies of training images, and {TRIES * n} samples do not hold enough others "
                    "in their place; train on more images or for fewer steps"
                )
            for index, image in found.items():
                write(row_of(index), image)
            gone = set(dropped)
            rows = [row for row in rows if row.index not in gone] + [
                row_of(index) for index in found
            ]
            dropped += more
        for written in pending:
            written.result()
    compute.agree(None)  # until every process has written its share
    if compute.is_main_process:
        shown = [
            [row for row in rows if row.index % len(chosen) == place][:SHEET_PER_CLASS]
            for place in range(len(chosen))
        ]
        write_grid(
            run.folder / "samples.png",
            np.stack(
                [read_gray(run.folder / row.file_name) for of_label in shown for row in of_label]
            ),
            12,
        )
        write_synthetic_manifest(run.folder / "manifest.csv", rows)
        left_out = (
            {"dropped": dict(Counter(row_of(index).label for index in dropped))} if guard else {}
        )
        run.finish({"images": dict(Counter(row.label for row in rows))} | left_out)
    compute.agree(None)


def _replacements(
    trained: TrainedGenerator,
    chosen: Sequence[int],
    seed: int,
    n: int,
    dropped: Sequence[int],
    guard: CopyGuard,
) -> tuple[dict[int, np.ndarray], list[int]]:
    """Samples from index n on, {index: image}, as many of each class as were dropped, and the indices of copies passed over.

    Fewer where samples up to TRIES · n do not give enough.
    """
    missing = Counter(index % len(chosen) for index in dropped)
    found, passed_over = {}, []
    for block in range(n // BLOCK, -(-TRIES * n // BLOCK)):
        if not missing.total():
            break
        images = sample_block(trained, chosen, seed, block)
        for index, image, copy in zip(
            range(block * BLOCK, (block + 1) * BLOCK), images, guard.copies(images)
        ):
            place = index % len(chosen)
            if n <= index < TRIES * n and missing[place]:
                if copy:
                    passed_over.append(index)
                else:
                    found[index] = image
                    missing[place] -= 1
    return found, passed_over


def _written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
