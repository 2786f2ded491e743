"""Pictures of a generator's training: how it came about, and its walks between latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gan.sample import draw_interpolation, draw_samples, load_generator
from pipelines.figures.image_sheet import draw_image_sheet
from runtime.files import atomic
from runtime.run import Run

MAX_STRIP_SNAPSHOTS = 8
STRIP_COLUMNS = 8  # images of each snapshot and class
WALK_COLUMNS = 8  # images from one latent to another
WALKS = 2  # of each class
FRAME_MS, LAST_FRAME_MS = 400, 2000


def draw_progress_strip(run: Run) -> None:
    """Draw `progress.png`: the same latents at several snapshots, a row per snapshot and class."""
    groups = []
    for path in _spread_snapshots(run):
        trained = load_generator(path, torch.device("cpu"))
        for index, label in enumerate(trained.classes):
            images = draw_samples(
                trained.network, [index] * STRIP_COLUMNS, trained.config, "strip", index
            )
            groups.append((f"step {trained.step}, {label}", images.squeeze(1).numpy()))
    if groups:
        draw_image_sheet(groups, run.folder / "progress.png", STRIP_COLUMNS)


def _spread_snapshots(run: Run) -> list[Path]:
    """At most MAX_STRIP_SNAPSHOTS of a run's snapshots, evenly spaced, the last one among them."""
    paths = sorted((run.folder / "snapshots").glob("step-*.pt"))
    places = np.linspace(0, len(paths) - 1, min(MAX_STRIP_SNAPSHOTS, len(paths)))
    return [paths[round(place)] for place in places]


def write_progress_animation(run: Run) -> None:
    """Write `progress.gif`: the sample grids of all snapshots, one after the other."""
    frames = [
        Image.open(path, formats=("PNG",)).convert("L")
        for path in sorted((run.folder / "samples").glob("step-*.png"))
    ]
    if frames:
        durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
        with atomic(run.folder / "progress.gif") as file:
            frames[0].save(
                file,
                "GIF",
                save_all=True,
                append_images=frames[1:],
                duration=durations,
                loop=0,
                comment=b"synthetic images, not patients",
            )


def draw_interpolations(run: Run) -> None:
    """Draw `interpolation.png`: walks of the best snapshot from one latent to another, by class."""
    path = run.folder / "generator.pt"
    if not path.exists():
        return
    trained = load_generator(path, torch.device("cpu"))
    groups = []
    for index, label in enumerate(trained.classes):
        walks = [
            draw_interpolation(trained, index, WALK_COLUMNS, number) for number in range(WALKS)
        ]
        groups.append((f"{label}, from one latent to another", np.concatenate(walks)))
    draw_image_sheet(groups, run.folder / "interpolation.png", WALK_COLUMNS)
