"""From the study's training images to a generator, and from a generator to synthetic images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch.utils.data import TensorDataset

from gan.config import GanConfig
from gan.sample import BLOCK, TrainedGenerator, load_generator, sample_block, write_grid
from gan.train import train
from pipelines.data.manifest import fingerprint
from pipelines.data.reading import write_gray
from pipelines.data.store import load_images
from pipelines.merge import SyntheticRow, check_leak, write_synthetic_manifest
from pipelines.report.figures import loss_curves
from pipelines.workspace import Workspace, resume
from runtime.device import Compute
from runtime.progress import progress
from runtime.run import Interrupted, Run, stop_on_signal

MIN_PER_CLASS = 8
SHEET_PER_CLASS = 24


def train_generator(
    workspace: Workspace, options: dict[str, Any], compute: Compute, *, max_minutes: float | None, resume_name: str | None, resuming: bool
) -> Run:
    """Train a generator on the study's training split; returns the finished run.

    options: the fields of GanConfig that were asked for. resuming: continue the run `resume_name`, or the newest
    unfinished one.
    """
    if max_minutes is not None and max_minutes <= 0:
        raise ValueError(f"--max-minutes {max_minutes}: expected a positive number of minutes")
    rows = [row for row in workspace.rows() if row.split == "train"]
    counts = Counter(row.label for row in rows)
    classes = sorted(counts)
    few = [label for label in classes if counts[label] < MIN_PER_CLASS]
    if few:
        raise ValueError(f"class {few[0]} has {counts[few[0]]} training image(s), a generator needs at least {MIN_PER_CLASS}; import more")
    if resuming:
        run = workspace.unfinished_run("gan-train", resume_name)
        config = resume(run, GanConfig, options, may_grow=("steps",))
        max_minutes = run.config["max_minutes"] if max_minutes is None else max_minutes
    else:
        config = GanConfig(**options)
    images = torch.from_numpy(load_images(workspace, rows, config.image_size)).unsqueeze(1)
    labels = torch.tensor([classes.index(row.label) for row in rows])
    if not resuming:
        record = asdict(config) | {"classes": classes, "class_counts": dict(counts), "max_minutes": max_minutes, "compute": str(compute)}
        run = workspace.create_run("gan-train", record)
    try:
        hashes = [row.sha256 for row in rows]
        result = train(config, TensorDataset(images, labels), run, compute, classes=classes, trained_on=hashes, max_minutes=max_minutes)
    finally:
        loss_curves(run.journal(), run.folder / "loss_curves.png")
    run.finish(result | {"data": fingerprint(hashes)})
    return run


def synthesize(
    workspace: Workspace, n: int, compute: Compute, *, seed: int = 0, labels: Sequence[str] = (), generator: str | None = None
) -> Run:
    """Write n synthetic images, spread evenly over `labels` (default: every class), as PNGs with a manifest.

    Sample i is of class labels[i mod len(labels)] and depends on (generator, seed, i) alone.
    """
    if n < 1:
        raise ValueError(f"--n {n}: expected at least 1 image")
    source = workspace.find_run("gan-train", generator, holding="generator.pt")
    trained = load_generator(source.folder / "generator.pt", compute.device)
    unknown = [label for label in labels if label not in trained.classes]
    if unknown:
        raise ValueError(f"--label {unknown[0]}: {source.name} knows {', '.join(trained.classes)}")
    if not trained.trained_on:
        raise ValueError(f"{source.folder / 'generator.pt'} does not say which images it was trained on; train one on this study: cxr gan-train")
    check_leak(trained.trained_on, workspace.rows(), source.name)
    chosen = [trained.classes.index(label) for label in labels or trained.classes]
    config = {
        "n": n,
        "seed": seed,
        "labels": [trained.classes[index] for index in chosen],
        "image_size": trained.image_size,
        "generator": source.name,
        "generator_step": trained.step,
        "trained_on": sorted(trained.trained_on),
    }
    run = workspace.create_run("synthesize", config)
    _write_images(run, trained, chosen, n, seed, source.name)
    return run


def _write_images(run: Run, trained: TrainedGenerator, chosen: Sequence[int], n: int, seed: int, source: str) -> None:
    """Generate block by block; encode a block while the next is computed."""
    for index in chosen:
        (run.folder / "images" / trained.classes[index]).mkdir(parents=True, exist_ok=True)
    of_generator = fingerprint(trained.trained_on)
    rows: list[SyntheticRow] = []
    first: dict[str, list[np.ndarray]] = {trained.classes[index]: [] for index in chosen}
    with stop_on_signal() as stop, ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool, progress(n, "synthesize", "image") as bar:
        pending = []
        for block in range(-(-n // BLOCK)):
            if stop.requested:
                raise Interrupted(f"stopped after {len(rows)} of {n} images; {run.folder} is not usable, run synthesize again")
            for offset, image in enumerate(sample_block(trained.network, chosen, seed, block)[: n - block * BLOCK]):
                index = block * BLOCK + offset
                label = trained.classes[chosen[index % len(chosen)]]
                name = f"images/{label}/synthetic-{index:06d}.png"
                notes = {"Comment": "synthetic: drawn by a generative network, not a patient", "Source": f"cxr {source}, seed {seed}, sample {index}"}
                pending.append(pool.submit(write_gray, run.folder / name, image, **notes))
                rows.append(SyntheticRow(file_name=name, label=label, index=index, seed=seed, synthetic="yes", generator=source, trained_on=of_generator))
                if len(first[label]) < SHEET_PER_CLASS:
                    first[label].append(image)
                bar.update()
        for write in pending:
            write.result()
    write_grid(run.folder / "samples.png", np.stack([image for images in first.values() for image in images]), 12)
    write_synthetic_manifest(run.folder / "manifest.csv", rows)
    run.finish({"images": dict(Counter(row.label for row in rows))})
