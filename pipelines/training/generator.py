"""From the study's training images to a generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import TensorDataset

from gan.augment import DRAWS, augment
from gan.config import GanConfig
from gan.presets import parameter_counts
from gan.sample import to_float, to_uint8
from gan.snapshots import best_snapshot
from gan.train import train
from pipelines.figures.gan_progress import interpolations, progress_animation, progress_strip
from pipelines.figures.style import gan_curves, image_sheet
from pipelines.study.image_cache import load_images
from pipelines.study.manifest import Row, fingerprint
from pipelines.study.splitting import training_part
from pipelines.study.workspace import Workspace, resume
from pipelines.training.model_card import write_generator_card
from runtime.device import Compute
from runtime.randomness import torch_generator
from runtime.run import Interrupted, Run

MIN_PER_CLASS = 8
PREVIEWED = 16  # reals per class on the sheet of augmentations


def plan(
    workspace: Workspace, options: dict[str, Any]
) -> tuple[GanConfig, dict[str, int], int | None]:
    """What training would be: the configuration, the parameter counts, and the number of classes; None, and two assumed, without data."""
    config = GanConfig.of(**options)
    classes = (
        len({row.label for row in workspace.rows()}) if workspace.manifest_path.exists() else None
    )
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
            raise ValueError(
                f"{run.name} cannot go on with other options (--real-fraction {run.config['real_fraction']} → {real_fraction})"
            )
        real_fraction = run.config["real_fraction"]
    else:
        config = GanConfig.of(**options)
    real_fraction = 1.0 if real_fraction is None else real_fraction
    training = training_part(rows, real_fraction)
    counts = _counted(training, {row.label for row in rows})
    images, labels, hashes = _images(workspace, training, config.image_size, list(counts))
    validation = _images(
        workspace,
        [row for row in rows if row.split == "validation"],
        config.image_size,
        list(counts),
    )
    if not resuming:
        record = asdict(config) | {
            "classes": list(counts),
            "class_counts": counts,
            "real_fraction": real_fraction,
            "max_minutes": max_minutes,
            "compute": str(compute),
        }
        run = Run(
            Path(
                compute.agree(
                    str(workspace.create_run("gan-train", record).folder)
                    if compute.is_main_process
                    else ""
                )
            )
        )
    elif compute.is_main_process:
        workspace.hold(run)
    before = run.journal_size()
    about = {
        "classes": list(counts),
        "trained_on": hashes,
        "validation": TensorDataset(*validation[:2]),
    }
    try:
        result = train(
            config,
            TensorDataset(images, labels),
            run,
            compute,
            max_minutes=max_minutes,
            keep_going=keep_going,
            **about,
        )
    except (
        Interrupted,
        ValueError,
        FloatingPointError,
    ):  # as far as it came; where the disk is full there is nothing to draw on
        if compute.is_main_process and run.journal_size() != before:
            _draw(run, list(counts))
        raise
    if compute.is_main_process:
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
        for title, number in (
            (f"{label}, reals", 0),
            ("as the discriminator sees them", 1),
            ("and at another step", 2),
        ):
            draws = torch.rand(len(reals), DRAWS, generator=random)
            changed = (
                to_uint8(augment(to_float(reals), draws)) if number and config.augment else reals
            )
            groups.append((title, changed.squeeze(1).numpy()))
    path = workspace.root / "augmentation.png"
    image_sheet(groups, path)
    return path


def _counted(training: Sequence[Row], labels: Collection[str]) -> dict[str, int]:
    """Training images of each label, in the order of class indices. Raises ValueError when a class has too few."""
    counts = Counter(row.label for row in training)
    for label in sorted(labels):
        if counts[label] < MIN_PER_CLASS:
            raise ValueError(
                f"class {label} has {counts[label]} training image(s), a generator needs at least {MIN_PER_CLASS}; import more"
            )
    return {label: counts[label] for label in sorted(counts)}


def _images(
    workspace: Workspace, rows: Sequence[Row], size: int, classes: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Images (N, 1, S, S) uint8, their label indices (N,) and their hashes."""
    images = torch.from_numpy(load_images(workspace, rows, size)).unsqueeze(1)
    return (
        images,
        torch.tensor([classes.index(row.label) for row in rows], dtype=torch.long),
        [row.sha256 for row in rows],
    )


def _draw(run: Run, classes: Sequence[str]) -> None:
    """The pictures of a run, as far as it came."""
    best = best_snapshot(run)
    gan_curves(run.journal(), classes, best and best["step"], run.folder / "curves.png")
    progress_strip(run)
    progress_animation(run)
    interpolations(run)
