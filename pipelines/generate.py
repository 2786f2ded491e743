"""From the study's training images to a generator, and from a generator to synthetic images."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import TensorDataset

from gan.augment import DRAWS, augment
from gan.config import GanConfig
from gan.doctor import healthy
from gan.presets import parameter_counts
from gan.sample import BLOCK, TrainedGenerator, load_generator, sample_block, to_float, to_uint8, write_grid
from gan.snapshots import best_snapshot
from gan.train import train
from pipelines.data.manifest import Row, fingerprint
from pipelines.data.reading import read_gray, write_gray
from pipelines.data.splitting import training_part
from pipelines.data.store import load_images
from pipelines.merge import SyntheticRow, check_leak, write_synthetic_manifest
from pipelines.model_card import write_generator_card
from pipelines.report.figures import gan_curves, image_sheet
from pipelines.report.progress import interpolations, progress_animation, progress_strip
from pipelines.scoring.nearest import CopyGuard, copy_guard
from pipelines.workspace import Workspace, resume
from runtime.device import Compute
from runtime.progress import progress
from runtime.randomness import torch_generator
from runtime.run import Interrupted, Run, stop_on_signal

MIN_PER_CLASS = 8
MOST = 1_000_000  # images of one set
SHEET_PER_CLASS = 24
TRIES = 10  # samples drawn in all for each image asked for, before so many copies are given up on
PREVIEWED = 16  # reals per class on the sheet of augmentations


def plan(workspace: Workspace, options: dict[str, Any]) -> tuple[GanConfig, dict[str, int], int | None]:
    """What training would be: the configuration, the parameter counts, and the number of classes; None, and two assumed, without data."""
    config = GanConfig.of(**options)
    classes = len({row.label for row in workspace.rows()}) if workspace.manifest_path.exists() else None
    return config, parameter_counts(config, classes or 2), classes


def train_generator(
    workspace: Workspace,
    options: dict[str, Any],
    compute: Compute,
    *,
    real_fraction: float | None = None,
    max_minutes: float | None = None,
    keep_going: bool = False,
    resume_name: str | None = None,
    resuming: bool = False,
) -> Run:
    """Train a generator on the study's training split; returns the finished run.

    options: the fields of GanConfig that were asked for. real_fraction: the share of the training images to train on, all of them when None.
    resuming: continue the run `resume_name`, or the newest unfinished one. keep_going: whatever the doctor says.
    """
    if max_minutes is not None and not max_minutes > 0:
        raise ValueError(f"--max-minutes {max_minutes}: expected a positive number of minutes")
    rows = workspace.rows()
    if resuming:
        run = workspace.unfinished_run("gan-train", resume_name)
        config = resume(run, GanConfig, options, may_grow=("steps",))
        max_minutes = run.config["max_minutes"] if max_minutes is None else max_minutes
        if real_fraction not in (None, run.config["real_fraction"]):
            raise ValueError(f"{run.name} cannot go on with other options (--real-fraction {run.config['real_fraction']} → {real_fraction})")
        real_fraction = run.config["real_fraction"]
    else:
        config = GanConfig.of(**options)
    real_fraction = 1.0 if real_fraction is None else real_fraction
    training = training_part(rows, real_fraction)
    counts = _counted(training, {row.label for row in rows})
    images, labels, hashes = _images(workspace, training, config.image_size, list(counts))
    validation = _images(workspace, [row for row in rows if row.split == "validation"], config.image_size, list(counts))
    if not resuming:
        record = asdict(config) | {"classes": list(counts), "class_counts": counts, "real_fraction": real_fraction, "max_minutes": max_minutes, "compute": str(compute)}
        run = Run(Path(compute.agree(str(workspace.create_run("gan-train", record).folder) if compute.leads else "")))
    elif compute.leads:
        workspace.hold(run)
    before = run.journal_size()
    about = {"classes": list(counts), "trained_on": hashes, "validation": TensorDataset(*validation[:2])}
    try:
        result = train(config, TensorDataset(images, labels), run, compute, max_minutes=max_minutes, keep_going=keep_going, **about)
    except (Interrupted, ValueError, FloatingPointError):  # as far as it came; where the disk is full there is nothing to draw on
        if compute.leads and run.journal_size() != before:
            _draw(run, list(counts))
        raise
    if compute.leads:
        _draw(run, list(counts))
        best = best_snapshot(run)
        result |= {"best_step": best["step"], "data": fingerprint(hashes)}
        write_generator_card(run, workspace, rows, training, result, best)
        run.finish(result)
    compute.agree(None)
    return run


def preview_augmentation(workspace: Workspace, options: dict[str, Any]) -> Path:
    """A sheet of training reals, each beside what the discriminator would see of it; returns its path."""
    config = GanConfig.of(**options)
    rows = workspace.rows()
    training = training_part(rows, 1.0)
    counts = _counted(training, {row.label for row in rows})
    images, labels, _ = _images(workspace, training, config.image_size, list(counts))
    groups = []
    for index, label in enumerate(counts):
        reals = images[labels == index][:PREVIEWED]
        random = torch_generator(config.seed, "preview", index)
        for title, number in ((f"{label}, reals", 0), ("as the discriminator sees them", 1), ("and at another step", 2)):
            draws = torch.rand(len(reals), DRAWS, generator=random)
            changed = to_uint8(augment(to_float(reals), draws)) if number and config.augment else reals
            groups.append((title, changed.squeeze(1).numpy()))
    path = workspace.root / "augmentation.png"
    image_sheet(groups, path)
    return path


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
        asked = {"n": n, "seed": seed, "labels": list(labels) or None, "generator": generator and workspace.name_of(workspace.find_run("gan-train", generator)), "snapshot": snapshot}
        changed = [f"--{name} {saved[name]} → {value}" for name, value in asked.items() if value is not None and value != saved[name]]
        if changed:
            raise ValueError(f"{run.name} cannot go on with other options ({', '.join(changed)}); start a new one without --resume")
        if reject_copies and "reject_copies" not in saved:
            raise ValueError(f"{run.name} was begun without --reject-copies; start a new one without --resume")
        n, seed, labels, generator, snapshot = (saved[name] for name in asked)
        reject_copies = "reject_copies" in saved
    n, seed, snapshot = 2000 if n is None else n, seed or 0, snapshot or "best"
    if not 1 <= n <= MOST:
        raise ValueError(f"--n {n}: expected at least 1 image, and at most {MOST:,}")
    source = workspace.find_run("gan-train", generator, holding="generator.pt")
    path = _snapshot_path(source, snapshot)
    trained = load_generator(path, compute.device)
    unknown = [label for label in labels if label not in trained.classes]
    if unknown:
        raise ValueError(f"--label {unknown[0]}: {source.name} knows {', '.join(trained.classes)}")
    if not trained.trained_on:
        raise ValueError(f"{path} does not say which images it was trained on; train one on this study: cxr gan-train")
    rows = workspace.rows()
    strange = set(trained.classes) - {row.label for row in rows}
    if strange:  # a class names a folder, and only the manifest's labels are known to be fit for that
        raise ValueError(f"{path} draws {', '.join(sorted(strange))!r}, unknown to this study; train one on it: cxr gan-train")
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
        "unhealthy": [name for name, value in zip(trained.classes, trained.diversity) if not healthy([value])],
        "trained_on": sorted(trained.trained_on),
    } | ({"reject_copies": guard.threshold} if guard else {})
    if not resuming:
        run = Run(Path(compute.agree(str(workspace.create_run("synthesize", config).folder) if compute.leads else "")))
    elif run.config != config:
        raise ValueError(f"{run.name} cannot go on, {source.name} has changed since; start a new one without --resume")
    elif compute.leads:
        workspace.hold(run)
    _write_images(run, trained, chosen, compute, guard)
    return run


def _write_images(run: Run, trained: TrainedGenerator, chosen: Sequence[int], compute: Compute, guard: CopyGuard | None) -> None:
    """Generate block by block, every process its share, encoding a block while the next is computed; what is there already is kept.

    guard: what it takes for a copy is not written, and the leading process draws further samples in its place.
    """
    n, seed, source = run.config["n"], run.config["seed"], run.config["generator"]
    notes = {"Comment": "synthetic: drawn by a generative network, not a patient"}
    of_generator = fingerprint(trained.trained_on)

    def row_of(index: int) -> SyntheticRow:
        label = trained.classes[chosen[index % len(chosen)]]
        name = f"images/{label}/synthetic-{index:06d}.png"
        return SyntheticRow(file_name=name, label=label, index=index, seed=seed, synthetic="yes", generator=source, trained_on=of_generator)

    rows = [row_of(index) for index in range(n)]
    for label in {row.label for row in rows}:
        (run.folder / "images" / label).mkdir(parents=True, exist_ok=True)
    blocks = range(compute.rank, -(-n // BLOCK), compute.ranks)
    dropped: list[int] = []
    with stop_on_signal() as stop, ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool, progress(n, "synthesize", "image", shown=compute.leads) as bar:
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
            bar.update(min(len(wanted) * compute.ranks, n - bar.n))
        if guard:
            flags = torch.zeros(n, device=compute.device)
            flags[dropped] = 1
            compute.average([flags])  # above zero where any process has dropped one
            dropped = flags.nonzero().flatten().tolist()
            found, more = _replacements(trained, chosen, seed, n, dropped, guard) if compute.leads else ({}, [])
            if compute.agree(len(found)) < len(dropped):
                raise ValueError(
                    f"--reject-copies: {len(dropped)} of the first {n} samples of {source} are copies of training images, and {TRIES * n} samples do not hold enough others "
                    "in their place; train on more images or for fewer steps"
                )
            for index, image in found.items():
                write(row_of(index), image)
            gone = set(dropped)
            rows = [row for row in rows if row.index not in gone] + [row_of(index) for index in found]
            dropped += more
        for written in pending:
            written.result()
    compute.agree(None)  # until every process has written its share
    if compute.leads:
        shown = [[row for row in rows if row.index % len(chosen) == place][:SHEET_PER_CLASS] for place in range(len(chosen))]
        write_grid(run.folder / "samples.png", np.stack([read_gray(run.folder / row.file_name) for of_label in shown for row in of_label]), 12)
        write_synthetic_manifest(run.folder / "manifest.csv", rows)
        left_out = {"dropped": dict(Counter(row_of(index).label for index in dropped))} if guard else {}
        run.finish({"images": dict(Counter(row.label for row in rows))} | left_out)
    compute.agree(None)


def _replacements(
    trained: TrainedGenerator, chosen: Sequence[int], seed: int, n: int, dropped: Sequence[int], guard: CopyGuard
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
        for index, image, copy in zip(range(block * BLOCK, (block + 1) * BLOCK), images, guard.copies(images)):
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


def _snapshot_path(run: Run, snapshot: str) -> Path:
    """The file of the snapshot that is meant by "best", "last" or a step."""
    there = sorted(int(path.stem.removeprefix("step-")) for path in (run.folder / "snapshots").glob("step-*.pt"))
    if snapshot == "best":
        return run.folder / "generator.pt"
    step = there[-1] if snapshot == "last" and there else int(snapshot) if snapshot.isdecimal() else None
    if step not in there:
        raise ValueError(f"--snapshot {snapshot}: {run.name} has best, last, {', '.join(map(str, there))}")
    return run.folder / "snapshots" / f"step-{step:06d}.pt"


def _counted(training: Sequence[Row], labels: Collection[str]) -> dict[str, int]:
    """Training images of each label, in the order of class indices. Raises ValueError when a class has too few."""
    counts = Counter(row.label for row in training)
    for label in sorted(labels):
        if counts[label] < MIN_PER_CLASS:
            raise ValueError(f"class {label} has {counts[label]} training image(s), a generator needs at least {MIN_PER_CLASS}; import more")
    return {label: counts[label] for label in sorted(counts)}


def _images(workspace: Workspace, rows: Sequence[Row], size: int, classes: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Images (N, 1, S, S) uint8, their label indices (N,) and their hashes."""
    images = torch.from_numpy(load_images(workspace, rows, size)).unsqueeze(1)
    return images, torch.tensor([classes.index(row.label) for row in rows], dtype=torch.long), [row.sha256 for row in rows]


def _draw(run: Run, classes: Sequence[str]) -> None:
    """The pictures of a run, as far as it came."""
    best = best_snapshot(run)
    gan_curves(run.journal(), classes, best and best["step"], run.folder / "curves.png")
    progress_strip(run)
    progress_animation(run)
    interpolations(run)
