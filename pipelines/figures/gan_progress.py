"""Pictures of a generator's training: how it came about, and how its images change from one latent to another."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from gan.sample import drawn, interpolation, load_generator
from pipelines.figures.style import image_sheet
from runtime.files import atomic
from runtime.run import Run

SHOWN = 8  # snapshots at most on the strip, and columns
FRAME_MS, LAST_FRAME_MS = 400, 2000


def progress_strip(run: Run) -> None:
    """`progress.png`: the same latents at up to SHOWN snapshots, a row per snapshot and class."""
    files = sorted((run.folder / "snapshots").glob("step-*.pt"))
    kept = (
        [files[round(index)] for index in np.linspace(0, len(files) - 1, min(SHOWN, len(files)))]
        if files
        else []
    )
    groups = []
    for path in kept:
        trained = load_generator(path, torch.device("cpu"))
        for index, label in enumerate(trained.classes):
            images = drawn(trained.network, [index] * SHOWN, trained.config, "strip", index)
            groups.append((f"step {trained.step}, {label}", images.squeeze(1).numpy()))
    if groups:
        image_sheet(groups, run.folder / "progress.png", SHOWN)


def progress_animation(run: Run) -> None:
    """`progress.gif`: the sample grids of all snapshots, one after the other."""
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


def interpolations(run: Run) -> None:
    """`interpolation.png`: of the best snapshot, two walks per class from one latent to another."""
    if (run.folder / "generator.pt").exists():
        trained = load_generator(run.folder / "generator.pt", torch.device("cpu"))
        walks = [
            (
                label,
                np.concatenate([interpolation(trained, index, SHOWN, number) for number in (0, 1)]),
            )
            for index, label in enumerate(trained.classes)
        ]
        image_sheet(
            [(f"{label}, from one latent to another", images) for label, images in walks],
            run.folder / "interpolation.png",
            SHOWN,
        )
